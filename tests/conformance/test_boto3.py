"""boto3 against bucketd: objects, listings, uploads, tags, buckets."""

import hashlib
import urllib.parse

import pytest

pytest.importorskip("boto3")
from lib.foreign import MIB, ODD_KEYS, put_parts, refused, send  # noqa: E402


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
