"""The test servers themselves: each starts, takes and gives objects, and ends."""

import hashlib
import json
import ssl
import subprocess
import urllib.request

import pytest

from lib import servers


@pytest.fixture(params=["rgw", "rgw_tls", "minio"])
def server(request):
    return request.getfixturevalue(request.param)


def test_put_and_get(server, s3client, bucket):
    client, name = s3client(server), bucket(server)
    body = b"crawled page" * 1000
    put = client.put_object(Bucket=name, Key="raw/page 1.html", Body=body, Metadata={"a": "b"})
    assert put["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    got = client.get_object(Bucket=name, Key="raw/page 1.html")
    assert got["Body"].read() == body
    # nghttpx writes names of headers in its own case, as HTTP allows.
    assert {key.lower(): value for key, value in got["Metadata"].items()} == {"a": "b"}


def test_multipart(server, s3client, bucket):
    client, name = s3client(server), bucket(server)
    upload = client.create_multipart_upload(Bucket=name, Key="large")["UploadId"]
    parts = []
    for number, body in enumerate((b"a" * (5 << 20), b"b"), 1):
        part = client.upload_part(Bucket=name, Key="large", UploadId=upload, PartNumber=number,
                                  Body=body)
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    client.complete_multipart_upload(Bucket=name, Key="large", UploadId=upload,
                                     MultipartUpload={"Parts": parts})
    assert client.head_object(Bucket=name, Key="large")["ContentLength"] == (5 << 20) + 1


def test_front_speaks_http2(rgw_tls):
    shown = subprocess.run(
        ["curl", "-sS", "--cacert", rgw_tls.ca_file, "-o", "/dev/null", "-w", "%{http_version}",
         rgw_tls.url], capture_output=True, text=True, timeout=30)
    assert (shown.stdout, shown.stderr) == ("2", "")


def test_front_is_refused_without_its_ca(rgw_tls):
    with pytest.raises(urllib.error.URLError) as refused:
        urllib.request.urlopen(rgw_tls.url, timeout=10)
    assert isinstance(refused.value.reason, ssl.SSLCertVerificationError)


def test_prometheus_answers_queries(tmp_path):
    try:
        with servers.Prometheus() as prometheus:
            url = f"{prometheus.url}/api/v1/query?query=vector(1)"
            answer = json.load(urllib.request.urlopen(url, timeout=10))
            assert answer["status"] == "success"
            folder = prometheus.dir
    except servers.Missing as reason:
        pytest.skip(str(reason))
    assert not folder.exists()
