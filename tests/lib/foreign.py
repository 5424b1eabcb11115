"""What foreign clients of S3 send and are told, for servers that should agree with them."""

import http.client
import urllib.parse

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

MIB = 1 << 20
ODD_KEYS = [
    "plain", "a b", "a+b", "a%41b", "a%2Fb", "a&b=c;d", "a~b*c'd(e)!", "dir/", "/lead", "a//b",
    "./x",
    "../x", "a/./b", "ä/ö/ü", "\U0001F600", "<xml>&amp;\"quot\"", "tab\there", "line\nfeed",
    "cr\rhere", "back\\slash", "q?x=1#frag", "@:,$", "x" * 1024, "é" * 512, "\x7f",
]


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


def put_parts(s3, name, key, bodies, **kwargs):
    """An upload with these parts, not completed: (what names it, its parts)."""
    upload = s3.create_multipart_upload(Bucket=name, Key=key, **kwargs)["UploadId"]
    parts = [{"PartNumber": number, "ETag": s3.upload_part(
        Bucket=name, Key=key, UploadId=upload, PartNumber=number, Body=body)["ETag"]}
        for number, body in enumerate(bodies, 1)]
    return {"Bucket": name, "Key": key, "UploadId": upload}, parts
