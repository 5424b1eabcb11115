"""MinIO's own bucket replication over the path of a row, where MinIO and its client are here."""

import contextlib
import pathlib
import time

from lib import servers
from lib.bucketd import Bucketd
from lib.movers import Job, Rclone
from lib.process import work_dir

from .bed import SOURCE
from .line import line

BUCKET = "mirror"
LIMIT_S = 300
POLL_S = 2


def replicate(row, wan, loads, seconds):
    """A line of our seconds beside MinIO's, each from the first write until the other end has all.
    rclone writes the objects into one MinIO as fast as it takes them, and another gets them."""
    try:
        mc, rclone = servers.mc_program(), servers.rclone_program()
        with contextlib.ExitStack() as stack:
            near, far = (stack.enter_context(servers.Minio().at(end)) for end in wan.ends)
            work = pathlib.Path(stack.enter_context(work_dir("minio")))
            _set_up(mc, work, wan, near, far)
            written_s, whole_s, missing = _copy(rclone, work, wan, near, far, loads)
    except servers.Missing as reason:
        return line(f"{row}/minio", seconds, "s", reason=str(reason))
    return line(f"{row}/minio", seconds, "s", whole_s, written_s=round(written_s, 1),
                missing=missing)


def _set_up(mc, work, wan, near, far):
    def run(*words):
        with wan.near.entered():
            servers.run(mc, "--config-dir", work, *words)

    for name, server in (("near", near), ("far", far)):
        run("alias", "set", name, server.url, server.access_key, server.secret_key)
        run("mb", "--with-versioning", f"{name}/{BUCKET}")
    remote = far.url.replace("://", f"://{far.access_key}:{far.secret_key}@")
    run("replicate", "add", f"near/{BUCKET}", "--remote-bucket", f"{remote}/{BUCKET}")


def _copy(rclone, work, wan, near, far, loads):
    """(seconds of writing, seconds until all was there or the time was up, objects that were not
    there then)"""
    synths = [word for load in loads
              for word in ("--synth", f"{SOURCE}:{load.prefix}:{load.count}:{load.size}")]
    with Bucketd(*synths).at(wan.near) as source:
        begin = time.monotonic()
        Rclone(rclone, *Rclone.small(64)).run(Job(work, source, SOURCE, near, BUCKET), wan.near)
        written_s = time.monotonic() - begin
    wanted = sum(load.count for load in loads)
    while True:
        missing, seconds = wanted - _count(far), time.monotonic() - begin
        if missing == 0 or seconds > written_s + LIMIT_S:
            return written_s, seconds, missing
        time.sleep(POLL_S)


def _count(server):
    with server.place.entered():
        pages = servers.s3_client(server).get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return sum(page["KeyCount"] for page in pages)
