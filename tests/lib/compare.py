"""Compares two buckets, byte by byte, by clients that are not ours: boto3 and rclone."""

import hashlib
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor

from .repld import MARKER
from .servers import rclone_environment, s3_client

RESERVED = "_repl/"  # ours, at bucket level
HEADERS = ("ContentType", "ContentEncoding", "ContentLanguage", "ContentDisposition",
           "CacheControl")


def keys_of(server, bucket, prefix=""):
    pages = s3_client(server).get_paginator("list_objects_v2").paginate(Bucket=bucket,
                                                                        Prefix=prefix)
    return [item["Key"] for page in pages for item in page.get("Contents", [])
            if not item["Key"].startswith(RESERVED)]


def describe(client, bucket, key):
    """All that must be equal of an object."""
    got = client.get_object(Bucket=bucket, Key=key)
    digest = hashlib.sha256()
    for chunk in iter(lambda: got["Body"].read(1 << 20), b""):
        digest.update(chunk)
    metadata = {name.lower(): value for name, value in got["Metadata"].items()
                if name.lower() != MARKER}
    tags = client.get_object_tagging(Bucket=bucket, Key=key).get("TagSet", [])
    return {"size": got["ContentLength"], "sha256": digest.hexdigest(), "metadata": metadata,
            "tags": sorted((tag["Key"], tag["Value"]) for tag in tags),
            **{name: got.get(name) for name in HEADERS}}


def describe_all(server, bucket, prefix=""):
    """Key without the prefix → description."""
    client = s3_client(server)
    keys = keys_of(server, bucket, prefix)
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda key: describe(client, bucket, key), keys)
        return {key[len(prefix):]: what for key, what in zip(keys, found)}


def differences(source, source_bucket, destination, destination_bucket, source_prefix="",
                destination_prefix=""):
    """Sentences, one for each difference."""
    ours = describe_all(source, source_bucket, source_prefix)
    theirs = describe_all(destination, destination_bucket, destination_prefix)
    found = [f"{key!r} is missing" for key in ours.keys() - theirs.keys()]
    found += [f"{key!r} should not be there" for key in theirs.keys() - ours.keys()]
    found += [f"{key!r}: {name} is {theirs[key][name]!r}, not {value!r}"
              for key in ours.keys() & theirs.keys()
              for name, value in ours[key].items() if theirs[key][name] != value]
    return sorted(found)


def assert_equal(*args, **kwargs):
    found = differences(*args, **kwargs)
    assert not found, "\n" + "\n".join(found)


def open_uploads(server, bucket):
    """(key, upload id) of the multipart uploads that are neither completed nor aborted."""
    answer = s3_client(server).list_multipart_uploads(Bucket=bucket)
    return [(upload["Key"], upload["UploadId"]) for upload in answer.get("Uploads", [])]


def rclone_conf(servers):
    return "".join(
        f"[{name}]\ntype = s3\nprovider = {'Ceph' if server.kind.startswith('rgw') else 'Other'}\n"
        f"endpoint = {server.url}\nregion = {server.region}\n"
        f"access_key_id = {server.access_key}\nsecret_access_key = {server.secret_key}\n"
        f"force_path_style = true\nencoding = None\n\n" for name, server in servers.items())


def rclone_check(rclone, source, source_path, destination, destination_path):
    """`rclone check --download` of BUCKET[/PREFIX] on both sides; fails on any difference."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as conf:
        conf.write(rclone_conf({"src": source, "dst": destination}))
        conf.flush()
        args = [rclone, "--config", conf.name, "check", "--download", "--exclude", "/_repl/**",
                "--retries", "1", f"src:{source_path}", f"dst:{destination_path}"]
        for server in (source, destination):
            if server.ca_file:
                args += ["--ca-cert", server.ca_file]
        done = subprocess.run(args, capture_output=True, text=True, timeout=600,
                              env=rclone_environment())
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stderr
