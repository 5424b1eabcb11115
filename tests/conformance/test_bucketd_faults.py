"""The faults of bucketd, as foreign clients see them."""

import http.client
import threading
import time

import pytest

from lib.process import wait_until

pytest.importorskip("boto3")
from lib.foreign import plain, put_parts, refused, send  # noqa: E402


def test_faults(server, s3, name):
    s3.put_object(Bucket=name, Key="k", Body=b"12345678")
    server.fault("status", op="GetObject", status=503, code="SlowDown", count=2, skip=1)
    assert s3.get_object(Bucket=name, Key="k")["Body"].read() == b"12345678"
    for _ in range(2):
        assert refused(s3.get_object, Bucket=name, Key="k") == (503, "SlowDown")
    s3.get_object(Bucket=name, Key="k")
    server.fault("retry_after", op="PutObject", delay_ms=2000, key_prefix="k")
    s3.put_object(Bucket=name, Key="other")
    status, headers, _ = send(server, "PUT", f"/{name}/k2")
    assert (status, headers["Retry-After"]) == (503, "2")
    server.fault("wrong_etag", op="PutObject")
    assert s3.put_object(Bucket=name, Key="e", Body=b"1")["ETag"] != \
        s3.head_object(Bucket=name, Key="e")["ETag"]
    server.fault("corrupt_body", op="GetObject", after_bytes=3)
    assert s3.get_object(Bucket=name, Key="k")["Body"].read() == b"12355678"
    server.fault("truncated_list", op="ListObjectsV2")
    status, _, body = send(server, "GET", f"/{name}?list-type=2")
    assert status == 200 and b"</ListBucketResult>" not in body


def test_listings_that_are_short_and_do_not_say_so(server, s3, name):
    keys = [s3.put_object(Bucket=name, Key=f"k{number}") and f"k{number}" for number in range(9)]
    server.fault("cut_list", op="ListObjectsV2", keys=4)
    assert listed(s3.list_objects_v2(Bucket=name)) == (keys[:4], False)
    server.fault("thin_list", op="ListObjectsV2", keys=3)
    assert listed(s3.list_objects_v2(Bucket=name)) == ([*keys[:2], *keys[3:5], *keys[6:8]], False)
    assert listed(s3.list_objects_v2(Bucket=name)) == (keys, False)


def listed(answer):
    return [row["Key"] for row in answer["Contents"]], answer["IsTruncated"]


def test_faults_of_connections(server, s3, name):
    s3.put_object(Bucket=name, Key="k", Body=b"12345678")
    server.fault("lost_answer", op="PutObject")
    with pytest.raises(ConnectionError):
        send(server, "PUT", f"/{name}/lost", b"1")
    assert s3.get_object(Bucket=name, Key="lost")["Body"].read() == b"1"
    server.fault("reset", op="PutObject", after_bytes=1)
    with pytest.raises(ConnectionError):
        send(server, "PUT", f"/{name}/reset", b"1" * 100000)
    assert refused(s3.get_object, Bucket=name, Key="reset") == (404, "NoSuchKey")
    server.fault("reset", op="GetObject", after_bytes=4)
    with pytest.raises((ConnectionError, http.client.IncompleteRead)):
        send(server, "GET", f"/{name}/k")
    for after in (0, 4):
        server.fault("slow", op="GetObject", delay_ms=300, after_bytes=after)
        before = time.monotonic()
        assert send(server, "GET", f"/{name}/k")[2] == b"12345678"
        assert time.monotonic() - before >= 0.3


def test_error_in_200(server, s3, name):
    upload, parts = put_parts(s3, name, "m", [b"1"])
    server.fault("error_in_200", op="CompleteMultipartUpload", code="InternalError")
    document = (f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"
                f"{parts[0]['ETag']}</ETag></Part></CompleteMultipartUpload>").encode()
    path = f"/{name}/m?uploadId={upload['UploadId']}"
    status, _, body = send(server, "POST", path, document)
    assert status == 200 and b"<Error><Code>InternalError<" in body
    assert send(server, "POST", path, document)[0] == 200
    assert s3.get_object(Bucket=name, Key="m")["Body"].read() == b"1"


def test_wrong_fault_is_refused(server):
    for document in (b"{}", b"[", b'{"action":"explode"}', b'{"action":"slow","op":"Get"}',
                     b'{"action":"slow","typo":1}'):
        assert plain(server, "POST", "/_bucketd/fault", document)[0] == 400, document


@pytest.mark.parametrize("op, after", [("HeadObject", 0), ("GetObject", 4)])
def test_hang_ends_with_clear(server, s3, name, op, after):
    s3.put_object(Bucket=name, Key="k", Body=b"12345678")
    server.fault("hang", op=op, after_bytes=after)
    ended = []

    def ask():
        try:
            send(server, op[:-6].upper(), f"/{name}/k")
        except (ConnectionError, http.client.HTTPException) as error:
            ended.append(error)
    thread = threading.Thread(target=ask)
    before = server.stats()["requests"].get(op, 0)
    thread.start()
    wait_until(lambda: server.stats()["requests"].get(op, 0) > before, 10,
               "the request")
    while thread.is_alive():
        server.clear_faults()
        thread.join(0.05)
    assert ended
