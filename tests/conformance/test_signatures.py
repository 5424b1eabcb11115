"""Signatures, digests and chunked bodies: bucketd takes the right ones only."""

import base64
import hashlib
import hmac
import os
import socket
import time

import pytest

from lib import servers
from lib.bucketd import Bucketd

pytest.importorskip("boto3")
from botocore.auth import S3SigV4Auth  # noqa: E402
from botocore.awsrequest import AWSRequest  # noqa: E402
from botocore.credentials import Credentials  # noqa: E402
from lib.foreign import MIB, plain, refused, send  # noqa: E402


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
