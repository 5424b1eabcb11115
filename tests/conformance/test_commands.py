"""awscli and s3cmd against bucketd."""

import base64
import json
import os
import shutil
import subprocess

import pytest

from lib import servers

pytest.importorskip("boto3")
from lib.foreign import MIB  # noqa: E402


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
