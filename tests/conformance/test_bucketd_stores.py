"""What bucketd keeps in a folder, makes up, or throws away."""

import hashlib

import pytest

from lib import servers
from lib.bucketd import Bucketd

pytest.importorskip("boto3")
from lib.foreign import MIB, ODD_KEYS, put_parts, refused  # noqa: E402


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
