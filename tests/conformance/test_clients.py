"""Foreign clients against bucketd: what it accepts and refuses is what they know of S3.

boto3, awscli and s3cmd each sign, encode and list in their own way; a server that all of them
agree with is fit to judge ours.
"""

import base64
import hashlib
import hmac
import http.client
import json
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse

import pytest

from lib import servers
from lib.bucketd import Bucketd
from lib.process import wait_until

boto3 = pytest.importorskip("boto3")
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth  # noqa: E402
from botocore.awsrequest import AWSRequest  # noqa: E402
from botocore.credentials import Credentials  # noqa: E402
from botocore.exceptions import ClientError  # noqa: E402

MIB = 1 << 20
ODD_KEYS = [
    "plain", "a b", "a+b", "a%41b", "a%2Fb", "a&b=c;d", "a~b*c'd(e)!", "dir/", "/lead", "a//b",
    "./x",
    "../x", "a/./b", "ä/ö/ü", "\U0001F600", "<xml>&amp;\"quot\"", "tab\there", "line\nfeed",
    "cr\rhere", "back\\slash", "q?x=1#frag", "@:,$", "x" * 1024, "é" * 512, "\x7f",
]


@pytest.fixture(scope="module")
def server():
    with Bucketd() as bucketd:
        yield bucketd
        assert bucketd.process.stop() == 0, bucketd.process.log_path


@pytest.fixture
def s3(server):
    server.clear_faults()
    return servers.s3_client(server)


@pytest.fixture
def name(s3):
    bucket_name = servers.new_bucket_name()
    s3.create_bucket(Bucket=bucket_name)
    return bucket_name


def refused(call, **kwargs):
    """(status, code) of a call that must fail."""
    with pytest.raises(ClientError) as caught:
        call(**kwargs)
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def send(server, method, path, body=b"", headers=None, secret=None, region=None, presign=None):
    """One signed request built by hand; (status, headers, body)."""
    headers = dict(headers or {})
    request = AWSRequest(method, server.url + path, data=body, headers=headers)
    credentials = Credentials(server.access_key, secret or server.secret_key)
    region = region or server.region
    if presign:
        S3SigV4QueryAuth(credentials, "s3", region, expires=presign).add_auth(request)
    else:
        S3SigV4Auth(credentials, "s3", region).add_auth(request)
    prepared = request.prepare()
    parts = urllib.parse.urlsplit(prepared.url)
    return plain(server, method, f"{parts.path}?{parts.query}" if parts.query else parts.path, body,
                 dict(prepared.headers.items()))


def plain(server, method, target, body=b"", headers=None):
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=20)
    try:
        connection.request(method, target, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


# boto3


def test_object_keeps_everything(s3, name):
    sent = s3.put_object(
        Bucket=name, Key="k", Body=b"hello", ContentType="text/plain", CacheControl="no-cache",
        ContentDisposition="attachment", ContentEncoding="gzip", ContentLanguage="de",
        Metadata={"one": "1", "two": "two words"}, StorageClass="STANDARD_IA",
        Tagging="a=b&c%20d=e+f")
    assert sent["ETag"] == '"5d41402abc4b2a76b9719d911017c592"'
    for answer in (s3.get_object(Bucket=name, Key="k"), s3.head_object(Bucket=name, Key="k")):
        assert answer["ContentLength"] == 5
        assert answer["ContentType"] == "text/plain"
        assert answer["CacheControl"] == "no-cache"
        assert answer["ContentDisposition"] == "attachment"
        assert answer["ContentEncoding"] == "gzip"
        assert answer["ContentLanguage"] == "de"
        assert answer["Metadata"] == {"one": "1", "two": "two words"}
        assert answer["StorageClass"] == "STANDARD_IA"
        assert answer["ETag"] == sent["ETag"]
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        assert headers["x-amz-tagging-count"] == "2"
        assert headers["x-amz-request-id"]
    assert s3.get_object(Bucket=name, Key="k")["Body"].read() == b"hello"


@pytest.mark.parametrize("key", ODD_KEYS)
def test_odd_key(s3, name, key):
    s3.put_object(Bucket=name, Key=key, Body=key.encode())
    assert s3.get_object(Bucket=name, Key=key)["Body"].read() == key.encode()
    listed = s3.list_objects_v2(Bucket=name)["Contents"]
    assert [item["Key"] for item in listed] == [key]
    listed = s3.list_objects(Bucket=name, EncodingType="url")["Contents"]
    assert [urllib.parse.unquote_plus(item["Key"]) for item in listed] == [key]
    s3.delete_object(Bucket=name, Key=key)
    assert refused(s3.get_object, Bucket=name, Key=key) == (404, "NoSuchKey")


def test_key_of_1025_bytes_is_refused(s3, name):
    assert refused(s3.put_object, Bucket=name, Key="x" * 1025) == (400, "KeyTooLongError")


def test_ranges(s3, name):
    body = bytes(range(256)) * 4
    s3.put_object(Bucket=name, Key="k", Body=body)
    for text, part in (("bytes=0-0", body[:1]), ("bytes=10-19", body[10:20]),
                       ("bytes=1000-", body[1000:]), ("bytes=-7", body[-7:]),
                       ("bytes=1000-9999", body[1000:]), ("bytes=-9999", body)):
        answer = s3.get_object(Bucket=name, Key="k", Range=text)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert answer["Body"].read() == part, text
        start = len(body) - len(part) if text.startswith("bytes=-") else int(text[6:].split("-")[0])
        assert answer["ContentRange"] == f"bytes {start}-{start + len(part) - 1}/{len(body)}"
    assert refused(s3.get_object, Bucket=name, Key="k", Range="bytes=1024-") == \
        (416, "InvalidRange")
    assert s3.get_object(Bucket=name, Key="k", Range="bytes=0-1,4-5")["Body"].read() == body


def test_conditions(s3, name):
    etag = s3.put_object(Bucket=name, Key="k", Body=b"1")["ETag"]
    assert refused(s3.get_object, Bucket=name, Key="k", IfMatch='"0"') == \
        (412, "PreconditionFailed")
    assert refused(s3.get_object, Bucket=name, Key="k", IfNoneMatch=etag)[0] == 304
    assert s3.get_object(Bucket=name, Key="k", IfMatch=etag)["Body"].read() == b"1"


def test_conditional_writes(server, name, s3):
    new, same = {"If-None-Match": "*"}, {"If-Match": '"c4ca4238a0b923820dcc509a6f75849b"'}
    path = f"/{name}/k"
    assert send(server, "PUT", path, b"1", same)[0] == 404
    assert send(server, "PUT", path, b"1", new)[0] == 200
    assert send(server, "PUT", path, b"2", new)[0] == 412
    assert send(server, "PUT", path, b"2", same)[0] == 200
    assert send(server, "PUT", path, b"3", same)[0] == 412
    assert s3.get_object(Bucket=name, Key="k")["Body"].read() == b"2"


def test_listing_pages(s3, name):
    keys = sorted(f"{a}/{b}/{c:02}" for a in "xyz" for b in "pq" for c in range(17))
    for key in keys:
        s3.put_object(Bucket=name, Key=key, Body=b"")
    for version in ("list_objects", "list_objects_v2"):
        for size in (1, 7, 102, 1000):
            pages = s3.get_paginator(version).paginate(Bucket=name, MaxKeys=size)
            assert [item["Key"] for page in pages for item in page.get("Contents", [])] == keys
        pages = list(s3.get_paginator(version).paginate(Bucket=name, Delimiter="/", MaxKeys=2))
        assert [item["Prefix"] for page in pages for item in page["CommonPrefixes"]] == \
            ["x/", "y/", "z/"]
        assert len(pages) == 2
        pages = s3.get_paginator(version).paginate(Bucket=name, Prefix="y/q/1", MaxKeys=3)
        assert [item["Key"] for page in pages for item in page["Contents"]] == \
            [key for key in keys if key.startswith("y/q/1")]
    answer = s3.list_objects_v2(Bucket=name, StartAfter="z/q/10")
    assert [item["Key"] for item in answer["Contents"]] == keys[-6:]
    assert s3.list_objects_v2(Bucket=name, MaxKeys=0)["KeyCount"] == 0
    assert refused(s3.list_objects_v2, Bucket=name, ContinuationToken="no") == \
        (400, "InvalidArgument")


def test_listing_is_in_byte_order(s3, name):
    keys = ["Z", "a", "a-", "a/", "a/b", "a0", "aa", "é", "中", "\U0001F600"]
    for key in reversed(keys):
        s3.put_object(Bucket=name, Key=key)
    listed = [item["Key"] for item in s3.list_objects_v2(Bucket=name)["Contents"]]
    assert listed == sorted(keys, key=str.encode)


def put_parts(s3, name, key, bodies, **kwargs):
    upload = s3.create_multipart_upload(Bucket=name, Key=key, **kwargs)["UploadId"]
    parts = [{"PartNumber": number, "ETag": s3.upload_part(
        Bucket=name, Key=key, UploadId=upload, PartNumber=number, Body=body)["ETag"]}
        for number, body in enumerate(bodies, 1)]
    return {"Bucket": name, "Key": key, "UploadId": upload}, parts


def test_multipart(s3, name):
    bodies = [b"a" * (5 * MIB), b"b" * (6 * MIB), b"c"]
    upload, parts = put_parts(s3, name, "m", bodies, Metadata={"x": "y"}, Tagging="t=u")
    open_uploads = s3.list_multipart_uploads(Bucket=name)["Uploads"]
    assert [(item["Key"], item["UploadId"]) for item in open_uploads] == [("m", upload["UploadId"])]
    pages = s3.get_paginator("list_parts").paginate(**upload, PaginationConfig={"PageSize": 2})
    assert [(part["PartNumber"], part["Size"]) for page in pages for part in page["Parts"]] == \
        [(1, 5 * MIB), (2, 6 * MIB), (3, 1)]
    done = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    digests = b"".join(hashlib.md5(body).digest() for body in bodies)
    assert done["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-3"'
    answer = s3.get_object(Bucket=name, Key="m")
    assert answer["Body"].read() == b"".join(bodies)
    assert (answer["Metadata"], answer["TagCount"]) == ({"x": "y"}, 1)
    border = s3.get_object(Bucket=name, Key="m", Range=f"bytes={5 * MIB - 2}-{5 * MIB + 1}")
    assert border["Body"].read() == b"aabb"
    assert refused(s3.list_parts, **upload) == (404, "NoSuchUpload")
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=name)


def test_multipart_is_checked(s3, name):
    upload, parts = put_parts(s3, name, "m", [b"a" * 100, b"b" * 100])
    complete = s3.complete_multipart_upload
    assert refused(complete, **upload, MultipartUpload={"Parts": parts}) == (400, "EntityTooSmall")
    assert refused(complete, **upload, MultipartUpload={"Parts": parts[::-1]}) == \
        (400, "InvalidPartOrder")
    wrong = [{"PartNumber": 1, "ETag": parts[1]["ETag"]}]
    assert refused(complete, **upload, MultipartUpload={"Parts": wrong}) == (400, "InvalidPart")
    wrong = [{"PartNumber": 3, "ETag": parts[1]["ETag"]}]
    assert refused(complete, **upload, MultipartUpload={"Parts": wrong}) == (400, "InvalidPart")
    assert refused(complete, **upload, MultipartUpload={"Parts": []}) == (400, "MalformedXML")
    assert refused(s3.upload_part, **upload, PartNumber=10001, Body=b"") == \
        (400, "InvalidArgument")
    s3.abort_multipart_upload(**upload)
    assert refused(s3.upload_part, **upload, PartNumber=1, Body=b"") == (404, "NoSuchUpload")
    assert refused(s3.abort_multipart_upload, **upload) == (404, "NoSuchUpload")


def test_conditional_complete(server, s3, name):
    etag = s3.put_object(Bucket=name, Key="m", Body=b"old")["ETag"]
    upload, parts = put_parts(s3, name, "m", [b"new"])
    path = f"/{name}/m?uploadId={upload['UploadId']}"
    document = (f"<CompleteMultipartUpload><Part><ETag>{parts[0]['ETag']}</ETag>"
                f"<PartNumber>1</PartNumber></Part></CompleteMultipartUpload>").encode()
    assert send(server, "POST", path, document, {"If-None-Match": "*"})[0] == 412
    assert send(server, "POST", path, document, {"If-Match": '"0"'})[0] == 412
    assert s3.get_object(Bucket=name, Key="m")["Body"].read() == b"old"
    assert send(server, "POST", path, document, {"If-Match": etag})[0] == 200
    assert s3.get_object(Bucket=name, Key="m")["Body"].read() == b"new"


def test_part_is_replaced(s3, name):
    upload, parts = put_parts(s3, name, "m", [b"first"])
    etag = s3.upload_part(**upload, PartNumber=1, Body=b"second")["ETag"]
    assert refused(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": parts}) == \
        (400, "InvalidPart")
    s3.complete_multipart_upload(
        **upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    assert s3.get_object(Bucket=name, Key="m")["Body"].read() == b"second"


def test_upload_listing_pages(s3, name):
    wanted = []
    for key in ("a", "a", "b", "c/1", "c/2"):
        wanted.append((key, s3.create_multipart_upload(Bucket=name, Key=key)["UploadId"]))
    pages = s3.get_paginator("list_multipart_uploads").paginate(
        Bucket=name, PaginationConfig={"PageSize": 2})
    assert [(item["Key"], item["UploadId"]) for page in pages for item in page["Uploads"]] == wanted
    answer = s3.list_multipart_uploads(Bucket=name, Prefix="c/")
    assert [item["Key"] for item in answer["Uploads"]] == ["c/1", "c/2"]


def test_tags(s3, name):
    s3.put_object(Bucket=name, Key="k", Body=b"1", Metadata={"m": "1"})
    tags = [{"Key": "a", "Value": "1 & <2>"}, {"Key": "ä b", "Value": ""}]
    s3.put_object_tagging(Bucket=name, Key="k", Tagging={"TagSet": tags})
    assert s3.get_object_tagging(Bucket=name, Key="k")["TagSet"] == tags
    answer = s3.get_object(Bucket=name, Key="k")
    assert (answer["TagCount"], answer["Metadata"], answer["Body"].read()) == (2, {"m": "1"}, b"1")
    many = [{"Key": str(number), "Value": ""} for number in range(11)]
    assert refused(s3.put_object_tagging, Bucket=name, Key="k", Tagging={"TagSet": many}) == \
        (400, "InvalidTag")
    s3.delete_object_tagging(Bucket=name, Key="k")
    assert s3.get_object_tagging(Bucket=name, Key="k")["TagSet"] == []
    assert refused(s3.get_object_tagging, Bucket=name, Key="no") == (404, "NoSuchKey")


def test_deletes(s3, name, server):
    keys = ["a", "b & c", "<d>", "é", "cr\rhere"]
    for key in keys:
        s3.put_object(Bucket=name, Key=key)
    answer = s3.delete_objects(
        Bucket=name, Delete={"Objects": [{"Key": key} for key in keys[:3] + ["not there"]]})
    assert sorted(item["Key"] for item in answer["Deleted"]) == sorted(keys[:3] + ["not there"])
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=name)["Contents"]] == \
        sorted(keys[3:], key=str.encode)
    document = b"<Delete><Object><Key>a</Key></Object></Delete>"
    status, _, body = send(server, "POST", f"/{name}?delete", document)
    assert status == 400 and b"Content-MD5" in body
    s3.delete_object(Bucket=name, Key="not there")


def test_buckets(s3, name):
    assert name in [item["Name"] for item in s3.list_buckets()["Buckets"]]
    s3.head_bucket(Bucket=name)
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] is None
    assert refused(s3.create_bucket, Bucket=name) == (409, "BucketAlreadyOwnedByYou")
    s3.put_object(Bucket=name, Key="k")
    assert refused(s3.delete_bucket, Bucket=name) == (409, "BucketNotEmpty")
    s3.delete_object(Bucket=name, Key="k")
    s3.delete_bucket(Bucket=name)
    assert refused(s3.head_bucket, Bucket=name)[0] == 404
    assert refused(s3.put_object, Bucket=name, Key="k") == (404, "NoSuchBucket")
    assert refused(s3.list_objects_v2, Bucket=name) == (404, "NoSuchBucket")


def test_copy_is_not_implemented(s3, name):
    s3.put_object(Bucket=name, Key="k")
    assert refused(s3.copy_object, Bucket=name, Key="l", CopySource=f"{name}/k") == \
        (501, "NotImplemented")


# Signatures and digests


def test_bad_signatures(server, name):
    path = f"/{name}/k"
    assert b"<Code>SignatureDoesNotMatch<" in send(server, "PUT", path, secret="wrong")[2]
    status, _, body = send(server, "PUT", path, region="eu-west-9")
    assert status == 400
    assert b"<Code>AuthorizationHeaderMalformed<" in body and b"<Region>us-east-1</Region>" in body
    assert b"<Code>AccessDenied<" in plain(server, "GET", path)[2]
    assert server.secret_key.encode() not in send(server, "GET", path, secret="wrong")[2]


def test_unsigned_header_is_refused(server, name):
    request = AWSRequest("PUT", f"{server.url}/{name}/k", data=b"")
    S3SigV4Auth(Credentials(server.access_key, server.secret_key), "s3",
                server.region).add_auth(request)
    headers = {**dict(request.prepare().headers.items()), "x-amz-meta-added": "later"}
    status, _, body = plain(server, "PUT", f"/{name}/k", b"", headers)
    assert status == 403 and b"<HeadersNotSigned>x-amz-meta-added<" in body


def test_unknown_access_key(server):
    other = Bucketd()
    other.url, other.access_key = server.url, "nobody"
    assert refused(servers.s3_client(other).list_buckets) == (403, "InvalidAccessKeyId")


def test_clock_skew(server, s3, name):
    try:
        for skew_s in (-1000, 1000):
            server.set_clock(skew_s)
            status, headers, body = send(server, "GET", f"/{name}")
            assert status == 403 and b"<Code>RequestTimeTooSkewed<" in body
            date = time.mktime(time.strptime(headers["Date"], "%a, %d %b %Y %H:%M:%S GMT"))
            assert abs(date - time.timezone - time.time() - skew_s) < 60
        server.set_clock(600)
        assert send(server, "GET", f"/{name}")[0] == 200
    finally:
        server.set_clock(0)


def test_presigned(server, s3, name):
    s3.put_object(Bucket=name, Key="a b+c", Body=b"1")
    url = s3.generate_presigned_url("get_object", {"Bucket": name, "Key": "a b+c"}, ExpiresIn=60)
    target = url.removeprefix(server.url)
    assert plain(server, "GET", target)[::2] == (200, b"1")
    assert plain(server, "DELETE", target)[0] == 403
    wrong = target[:-1] + ("0" if target[-1] != "0" else "1")
    assert b"<Code>SignatureDoesNotMatch<" in plain(server, "GET", wrong)[2]
    try:
        server.set_clock(61)
        assert b"Request has expired" in plain(server, "GET", target)[2]
    finally:
        server.set_clock(0)


def test_payload_hash_is_verified(server, s3, name):
    wrong = {"X-Amz-Content-SHA256": hashlib.sha256(b"other").hexdigest()}
    request = AWSRequest("PUT", f"{server.url}/{name}/k", data=b"body", headers=wrong)
    auth = S3SigV4Auth(Credentials(server.access_key, server.secret_key), "s3", server.region)
    auth.payload = lambda _: wrong["X-Amz-Content-SHA256"]
    auth.add_auth(request)
    status, _, body = plain(server, "PUT", f"/{name}/k", b"body",
                            dict(request.prepare().headers.items()))
    assert status == 400 and b"<Code>XAmzContentSHA256Mismatch<" in body
    assert refused(s3.get_object, Bucket=name, Key="k") == (404, "NoSuchKey")


def test_unsigned_payload(server, s3, name):
    request = AWSRequest("PUT", f"{server.url}/{name}/k", data=b"body")
    auth = S3SigV4Auth(Credentials(server.access_key, server.secret_key), "s3", server.region)
    auth.payload = lambda _: "UNSIGNED-PAYLOAD"
    auth.add_auth(request)
    headers = dict(request.prepare().headers.items())
    assert plain(server, "PUT", f"/{name}/k", b"body", headers)[0] == 200
    assert s3.get_object(Bucket=name, Key="k")["Body"].read() == b"body"


def test_signature_behind_a_proxy(server, name):
    """No key with // here: nghttpx cleans paths."""
    try:
        proxy = servers.Nghttpx(server).__enter__()
    except servers.Missing as reason:
        pytest.skip(str(reason))
    try:
        client = servers.s3_client(proxy)
        body = os.urandom(6 * MIB)
        client.put_object(Bucket=name, Key="a b+ü/c", Body=body)
        assert client.get_object(Bucket=name, Key="a b+ü/c")["Body"].read() == body
        assert refused(client.get_object, Bucket=name, Key="none") == (404, "NoSuchKey")
    finally:
        proxy.__exit__(None, None, None)


def test_wrong_md5(server, s3, name):
    def put(md5):
        return send(server, "PUT", f"/{name}/k", b"body", {"Content-MD5": md5})
    right = base64.b64encode(hashlib.md5(b"body").digest()).decode()
    wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    assert put(right)[0] == 200
    assert b"<Code>BadDigest<" in put(wrong)[2]
    assert b"<Code>InvalidDigest<" in put("short")[2]


# The check values of "123456789".
CHECKSUMS = {"crc32": "y/Q5Jg==", "crc32c": "4waSgw==",
             "crc64nvme": base64.b64encode(bytes.fromhex("ae8b14860a799888")).decode(),
             "sha256": base64.b64encode(hashlib.sha256(b"123456789").digest()).decode(),
             "sha1": base64.b64encode(hashlib.sha1(b"123456789").digest()).decode()}


@pytest.mark.parametrize("algorithm", CHECKSUMS)
def test_checksum(server, name, algorithm):
    header, value = f"x-amz-checksum-{algorithm}", CHECKSUMS[algorithm]
    path = f"/{name}/k"
    assert send(server, "PUT", path, b"123456789", {header: value})[0] == 200
    assert send(server, "GET", path, headers={"x-amz-checksum-mode": "ENABLED"})[1][header] == value
    assert header not in send(server, "GET", path)[1]
    status, _, body = send(server, "PUT", path, b"123456780", {header: value})
    assert status == 400 and b"<Code>BadDigest<" in body
    status, _, body = send(server, "PUT", path, b"123456789", {header: value[:-1]})
    assert status == 400 and b"<Code>InvalidRequest<" in body


def crc(poly, bits, data):
    """The reflected CRC, bit by bit, in base64."""
    value = (1 << bits) - 1
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (poly if value & 1 else 0)
    return base64.b64encode((value ^ (1 << bits) - 1).to_bytes(bits // 8, "big")).decode()


@pytest.mark.parametrize("algorithm, poly, bits", [
    ("CRC32", 0xEDB88320, 32), ("CRC32C", 0x82F63B78, 32), ("CRC64NVME", 0x9A6C9329AC4BC9B5, 64)])
def test_checksum_of_whole_multipart_object(algorithm, poly, bits):
    with Bucketd("--min-part", "0", "--bucket", "parts") as server:
        header = f"x-amz-checksum-{algorithm.lower()}"
        _, _, body = send(server, "POST", "/parts/k?uploads", headers={
            "x-amz-checksum-algorithm": algorithm, "x-amz-checksum-type": "FULL_OBJECT"})
        upload = body.decode().split("<UploadId>")[1].split("<")[0]
        bodies = [b"abc", b"", b"x" * 1000, b"end"]
        document = "<CompleteMultipartUpload>"
        for number, part in enumerate(bodies, 1):
            status, headers, _ = send(
                server, "PUT", f"/parts/k?partNumber={number}&uploadId={upload}", part,
                {header: crc(poly, bits, part)})
            assert status == 200
            document += (f"<Part><PartNumber>{number}</PartNumber><ETag>{headers['ETag']}</ETag>"
                         f"</Part>")
        document += "</CompleteMultipartUpload>"
        status, _, body = send(server, "POST", f"/parts/k?uploadId={upload}", document.encode())
        assert status == 200
        assert f"<Checksum{algorithm}>{crc(poly, bits, b''.join(bodies))}<" in body.decode()
        headers = send(server, "HEAD", "/parts/k", headers={"x-amz-checksum-mode": "ENABLED"})[1]
        assert headers[header] == crc(poly, bits, b"".join(bodies))
        assert headers["x-amz-checksum-type"] == "FULL_OBJECT"


def hmac_hex(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def chunked_request(server, path, chunks, trailer=None, kind=None):
    """(headers, body, sign) of an aws-chunked PUT; the chunk signatures are the caller's."""
    kind = kind or "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" + ("-TRAILER" if trailer else "")
    headers = {"Content-Encoding": "aws-chunked", "X-Amz-Content-SHA256": kind,
               "x-amz-decoded-content-length": str(sum(map(len, chunks)))}
    if trailer:
        headers["x-amz-trailer"] = trailer[0]
    request = AWSRequest("PUT", server.url + path, data=b"", headers=headers)
    auth = S3SigV4Auth(Credentials(server.access_key, server.secret_key), "s3", server.region)
    auth.payload = lambda _: kind
    auth.add_auth(request)
    headers = dict(request.prepare().headers.items())
    headers.pop("Content-Length", None)
    previous = headers["Authorization"].split("Signature=")[1]
    date = headers["X-Amz-Date"]
    scope = f"{date[:8]}/{server.region}/s3/aws4_request"
    key = f"AWS4{server.secret_key}".encode()
    for word in scope.split("/"):
        key = bytes.fromhex(hmac_hex(key, word))
    body = b""
    empty = hashlib.sha256(b"").hexdigest()
    for chunk in [*chunks, b""]:
        if kind.startswith("STREAMING-AWS4"):
            previous = hmac_hex(key, f"AWS4-HMAC-SHA256-PAYLOAD\n{date}\n{scope}\n{previous}\n"
                                     f"{empty}\n{hashlib.sha256(chunk).hexdigest()}")
            body += f"{len(chunk):x};chunk-signature={previous}\r\n".encode()
        else:
            body += f"{len(chunk):x}\r\n".encode()
        body += chunk + b"\r\n" if chunk else b""
    if trailer:
        line = f"{trailer[0]}:{trailer[1]}\n"
        body += line.replace("\n", "\r\n").encode()
        if kind.startswith("STREAMING-AWS4"):
            tail = hmac_hex(key, f"AWS4-HMAC-SHA256-TRAILER\n{date}\n{scope}\n{previous}\n"
                                 f"{hashlib.sha256(line.encode()).hexdigest()}")
            body += f"x-amz-trailer-signature:{tail}\r\n".encode()
    return headers, body + b"\r\n"


CHUNKS = [b"a" * 70000, b"b" * 9000, b"123456789"]


@pytest.mark.parametrize("trailer", [None, "signed", "unsigned"])
def test_aws_chunked(server, s3, name, trailer):
    path = f"/{name}/k"
    kind = "STREAMING-UNSIGNED-PAYLOAD-TRAILER" if trailer == "unsigned" else None
    pair = ("x-amz-checksum-crc32", crc(0xEDB88320, 32, b"".join(CHUNKS))) if trailer else None
    headers, body = chunked_request(server, path, CHUNKS, pair, kind)
    status, _, text = plain(server, "PUT", path, body, headers)
    assert status == 200, text
    answer = s3.get_object(Bucket=name, Key="k", ChecksumMode="ENABLED")
    assert answer["Body"].read() == b"".join(CHUNKS)
    assert "ContentEncoding" not in answer
    if trailer:
        assert answer["ChecksumCRC32"] == pair[1]
        wrong = body.replace(b"12345678", b"12345670")
        status, _, text = plain(server, "PUT", path, wrong, headers)
        code = b"SignatureDoesNotMatch" if trailer == "signed" else b"BadDigest"
        assert status in (400, 403) and code in text
    status, _, text = plain(server, "PUT", path, body.replace(b"bbbb", b"bbbc"), headers)
    assert status in (400, 403)
    status, _, text = plain(server, "PUT", path, body[:-30], headers)
    assert status in (400, 403)


def test_expect_continue(server, name):
    """Who asks first is refused before the body."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as sock:
        sock.sendall(f"PUT /{name}/k HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 1000000\r\n"
                     "Expect: 100-continue\r\n\r\n".encode())
        assert sock.recv(65536).startswith(b"HTTP/1.1 403 ")


# Faults


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


# Other ways to store


@pytest.mark.parametrize("kill", [False, True])
def test_folder_survives_restart(kill):
    with Bucketd("--min-part", "1", "--bucket", "kept", folder=True) as server:
        s3 = servers.s3_client(server)
        for key in ODD_KEYS:
            s3.put_object(Bucket="kept", Key=key, Body=key.encode(), Metadata={"a": "b"})
        s3.put_object(Bucket="kept", Key="plain", Body=b"again")
        s3.put_object(Bucket="kept", Key="gone", Body=b"x")
        s3.delete_object(Bucket="kept", Key="gone")
        s3.put_object(Bucket="kept", Key="empty", Body=b"", Tagging="a=b")
        upload, parts = put_parts(s3, "kept", "multi", [b"one", b"two"])
        etag = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})["ETag"]
        for _ in range(2):
            server.restart(kill=kill)
            s3 = servers.s3_client(server)
            tags = [{"Key": "x", "Value": "y"}]
            s3.put_object_tagging(Bucket="kept", Key="plain", Tagging={"TagSet": tags})
        listed = [item["Key"] for item in s3.list_objects_v2(Bucket="kept")["Contents"]]
        assert listed == sorted([*ODD_KEYS, "empty", "multi"], key=str.encode)
        answer = s3.get_object(Bucket="kept", Key="plain")
        assert (answer["Body"].read(), answer["TagCount"]) == (b"again", 1)
        assert s3.get_object(Bucket="kept", Key=ODD_KEYS[5])["Metadata"] == {"a": "b"}
        assert s3.get_object(Bucket="kept", Key="empty")["TagCount"] == 1
        answer = s3.get_object(Bucket="kept", Key="multi")
        assert (answer["Body"].read(), answer["ETag"]) == (b"onetwo", etag)


def test_synth_and_discard():
    size = 3 * MIB + 17
    with Bucketd("--synth", f"made:a:b/:12:{size}", "--bucket", "sink", "--discard",
                 "--fast") as server:
        s3 = servers.s3_client(server)
        listed = s3.list_objects_v2(Bucket="made")["Contents"]
        assert [item["Key"] for item in listed] == [f"a:b/{number:08}" for number in range(12)]
        body = s3.get_object(Bucket="made", Key=listed[7]["Key"])["Body"].read()
        assert len(body) == size
        assert f'"{hashlib.md5(body).hexdigest()}"' == listed[7]["ETag"]
        assert s3.put_object(Bucket="sink", Key="k", Body=body)["ETag"] == listed[7]["ETag"]
        assert s3.head_object(Bucket="sink", Key="k")["ContentLength"] == size
        assert refused(s3.get_object, Bucket="sink", Key="k") == (403, "InvalidObjectState")
        last = s3.get_object(Bucket="sink", Key="k", Range=f"bytes={size - 1}-{size - 1}")
        assert (last["Body"].read(), last["ETag"]) == (b"\0", listed[7]["ETag"])
        assert last["ContentRange"] == f"bytes {size - 1}-{size - 1}/{size}"


# awscli and s3cmd


def run(program, *args, env=None):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    path = f"/usr/bin/{program}" if os.path.exists(f"/usr/bin/{program}") else program
    return subprocess.run([path, *map(str, args)], env={**os.environ, **(env or {})}, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=120)


def aws(server, *args, secret=None):
    env = {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_MAX_ATTEMPTS": "1",
           "AWS_SECRET_ACCESS_KEY": secret or server.secret_key, "AWS_CONFIG_FILE": "/dev/null",
           "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_DEFAULT_REGION": server.region}
    return run("aws", "--endpoint-url", server.url, "--output", "json", *args, env=env)


def s3cmd(server, *args, secret=None):
    host = server.url.removeprefix("http://")
    return run("s3cmd", "--config=/dev/null", f"--access_key={server.access_key}",
               f"--secret_key={secret or server.secret_key}", f"--host={host}",
               f"--host-bucket={host}", "--no-ssl", f"--region={server.region}", "--no-progress",
               *args)


def good(done):
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize("client", [aws, s3cmd])
def test_round_trip_of_commands(server, s3, name, tmp_path, client):
    verb = ("s3", "cp") if client is aws else ("put",)
    fetch = ("s3", "cp") if client is aws else ("get",)
    bodies = {"small.txt": b"hello", "odd ä+%&.bin": os.urandom(1000),
              "large.bin": os.urandom(17 * MIB + 3)}
    for file_name, body in bodies.items():
        path = tmp_path / file_name
        path.write_bytes(body)
        good(client(server, *verb, path, f"s3://{name}/dir/{file_name}"))
        assert s3.get_object(Bucket=name, Key=f"dir/{file_name}")["Body"].read() == body
        back = tmp_path / "back"
        back.unlink(missing_ok=True)
        good(client(server, *fetch, f"s3://{name}/dir/{file_name}", back))
        assert back.read_bytes() == body
    assert s3.head_object(Bucket=name, Key="dir/large.bin")["ETag"].strip('"').split("-")[1:] in \
        (["2"], ["3"])
    listing = ("s3", "ls", "--recursive") if client is aws else ("ls", "--recursive")
    listed = good(client(server, *listing, f"s3://{name}/"))
    assert all(f"dir/{file_name}" in listed for file_name in bodies)
    remove = ("s3", "rm", "--recursive") if client is aws else ("del", "--recursive", "--force")
    good(client(server, *remove, f"s3://{name}/dir/"))
    assert "Contents" not in s3.list_objects_v2(Bucket=name)


@pytest.mark.parametrize("client", [aws, s3cmd])
def test_commands_are_refused(server, s3, name, tmp_path, client):
    path = tmp_path / "f"
    path.write_bytes(b"1")
    verb = ("s3", "cp") if client is aws else ("put",)
    done = client(server, *verb, path, f"s3://{name}/k", secret="wrong")
    assert done.returncode != 0 and "SignatureDoesNotMatch" in done.stdout
    assert "Contents" not in s3.list_objects_v2(Bucket=name)


def test_aws_api(server, name, tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"1")
    wrong = base64.b64encode(bytes(16)).decode()
    put = ("s3api", "put-object", "--bucket", name, "--key", "k", "--body", path)
    done = aws(server, *put, "--content-md5", wrong)
    assert done.returncode != 0 and "BadDigest" in done.stdout
    good(aws(server, *put, "--tagging", "a=b"))
    tags = json.loads(good(aws(server, "s3api", "get-object-tagging", "--bucket", name, "--key",
                               "k")))
    assert tags["TagSet"] == [{"Key": "a", "Value": "b"}]
    good(aws(server, "s3api", "put-object-tagging", "--bucket", name, "--key", "k", "--tagging",
             "TagSet=[{Key=c,Value=d}]"))
    pages = json.loads(good(aws(server, "s3api", "list-objects-v2", "--bucket", name,
                                "--page-size", "1")))
    assert [item["Key"] for item in pages["Contents"]] == ["k"]
    good(aws(server, "s3api", "delete-objects", "--bucket", name, "--delete",
             "Objects=[{Key=k}]"))
    good(aws(server, "s3", "rb", f"s3://{name}"))


def test_s3cmd_buckets(server, s3):
    bucket_name = servers.new_bucket_name()
    good(s3cmd(server, "mb", f"s3://{bucket_name}"))
    assert f"s3://{bucket_name}" in good(s3cmd(server, "ls"))
    good(s3cmd(server, "rb", f"s3://{bucket_name}"))
    assert bucket_name not in good(s3cmd(server, "ls"))
