"""Servers that misbehave: everything arrives whole all the same, or is named as failed."""

import contextlib
import sqlite3
import time

import pytest

from lib import compare
from lib.bucketd import no_faults
from lib.proxy import Link
from lib.world import MIB, PART, make_world

WRITES = ("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload")


@pytest.fixture
def faulty(bucketd, bucketd2, bucket):
    """A world with a rule; bucketd is the source, bucketd2 the destination."""
    with make_world(bucketd, bucketd2, bucket) as world:
        world.add_rule("--deletes", "propagate")
        yield world
        for server in (bucketd, bucketd2):
            server.clear_faults()


def objects(noise):
    return {"small": b"x" * 1000, "large": noise(4 * PART), "empty": b"", "page/1": noise(70000),
            "page/2": noise(PART)}


def ends_equal(world, noise, timeout_s=120):
    world.put_all(objects(noise))
    world.settle(timeout_s)
    world.source.clear_faults()
    world.destination.clear_faults()
    world.compare()
    world.assert_no_uploads()


@pytest.mark.parametrize("action,op", [
    *((action, op) for op in WRITES for action in ("status", "reset", "lost_answer")),
    ("error_in_200", "CompleteMultipartUpload"), ("slow", "PutObject"), ("slow", "UploadPart"),
    ("wrong_etag", "PutObject"), ("wrong_etag", "UploadPart"), ("retry_after", "PutObject")])
def test_destination_fails_twice(faulty, noise, action, op):
    members = {"status": 503, "code": "SlowDown"} if action in ("status", "retry_after") else {}
    if action in ("slow", "retry_after"):
        members["delay_ms"] = 1000
    faulty.destination.fault(op=op, action=action, count=2, **members)
    ends_equal(faulty, noise)


@pytest.mark.parametrize("action", ["status", "reset", "slow", "corrupt_body"])
def test_source_fails_twice(faulty, noise, action):
    members = {"status": {"status": 500, "code": "InternalError"}, "slow": {"delay_ms": 1000},
               "reset": {"after_bytes": 500}, "corrupt_body": {"after_bytes": 500}}[action]
    faulty.source.fault(op="GetObject", action=action, count=2, key_prefix="", **members)
    if action == "corrupt_body":
        # Only an object with an MD5 for its ETag can be checked while it is read.
        faulty.put_all({"small": b"x" * 1000, "page": noise(70000)})
        faulty.settle()
        faulty.source.clear_faults()
        faulty.compare()
    else:
        ends_equal(faulty, noise)


def test_storm_of_503(faulty, noise):
    """Half a minute of nothing but 503: slower, but nothing is lost and nothing given up."""
    pages = {f"page/{number}": noise(number) for number in range(300)}
    faulty.destination.fault(op="PutObject", action="status", status=503, code="SlowDown",
                             count=400)
    faulty.put_all(pages)
    faulty.settle(240)
    faulty.compare()


@pytest.mark.parametrize("op", ["DeleteObject", "DeleteObjects"])
@pytest.mark.parametrize("action", ["lost_answer", "status"])
def test_deletes_fail(faulty, op, action):
    faulty.put_all({"a": b"1", "b": b"2"})
    faulty.settle()
    faulty.destination.fault(op=op, action=action, status=500, code="InternalError", count=2)
    faulty.announce([faulty.delete("a")], "delete")
    faulty.settle()
    assert faulty.destination_keys() == ["b"]


@pytest.mark.parametrize("status,code", [(403, "AccessDenied"), (503, "SlowDown"),
                                         (404, "NoSuchBucket"), (500, "InternalError")])
def test_nothing_is_deleted_on_doubt(faulty, status, code):
    """What the source says when it is unwell is no evidence that an object is gone."""
    faulty.put_all({"keep": b"x"})
    faulty.settle()
    faulty.repld.restart()  # it no longer knows that the bucket was there a moment ago
    for op in ("HeadObject", "GetObject", "HeadBucket"):
        faulty.source.fault(op=op, action="status", status=status, code=code, count=1000)
    faulty.announce(["keep"], "delete")
    faulty.announce(["keep"])
    time.sleep(3)
    assert faulty.at_destination("keep") == b"x"
    assert faulty.repld.ctl("wait", "rule", "--until", "now", "--timeout", "1",
                            check=False).returncode == 1, "the watermark stands"


def test_truncated_listing_ends_nothing(bucketd, bucketd2, bucket):
    with make_world(bucketd, bucketd2, bucket) as world, no_faults(bucketd):
        for number in range(50):
            world.put(f"k{number}", b"x")
        bucketd.fault("truncated_list", op="ListObjectsV2", count=2)
        world.add_rule("--existing", "--no-preflight")
        world.repld.wait_for(lambda: len(world.destination_keys()) == 50, "all objects")
        bucketd.clear_faults()
        world.compare()


def test_permanent_failure_is_named_and_holds_the_watermark(faulty):
    faulty.put("bad", b"x")
    faulty.put("good", b"y")
    faulty.destination.fault(op="PutObject", action="status", status=400, code="KeyTooLongError",
                             key_prefix="bad", count=1000)
    faulty.announce(["bad", "good"])
    faulty.repld.wait_for(lambda: "good" in faulty.destination_keys(), "the good one")
    failures = faulty.repld.wait_for(
        lambda: faulty.repld.ctl("failures", "list", json_out=True)["failures"], "a failure")
    assert [failure["key"] for failure in failures] == ["bad"]
    assert "KeyTooLong" in str(failures[0])
    assert faulty.repld.ctl("wait", "rule", "--until", "now", "--timeout", "1",
                            check=False).returncode == 1
    faulty.destination.clear_faults()
    retried = faulty.repld.ctl("failures", "retry", "rule").stdout
    assert retried == "1 object will be tried again\n"
    faulty.settle()
    assert faulty.at_destination("bad") == b"x"
    retried = faulty.repld.ctl("failures", "retry", "rule").stdout
    assert retried == "no failures: there is nothing to try again\n"


@pytest.fixture
def link(bucketd2):
    with Link(bucketd2) as made:
        yield made


@pytest.fixture
def linked(bucketd, link, bucket):
    """The destination behind a link that can be cut."""
    with make_world(bucketd, link, bucket) as world:
        world.add_rule()
        yield world, link
    if link.listener.fileno() < 0:
        link.restore()  # for the cleaning of the buckets


def test_outage_of_the_destination(linked, noise):
    world, link = linked
    world.put_all({"before": b"1"})
    world.settle()
    link.cut()
    world.put_all({f"page/{number}": noise(number) for number in range(100)})
    world.put_all({"large": noise(40 * MIB)})
    time.sleep(2)
    assert world.repld.ctl("status").returncode == 0
    link.restore()
    world.settle(180)
    world.compare()
    world.assert_no_uploads()


def test_cuts_in_the_middle_of_a_large_object(linked, noise):
    world, link = linked
    world.put_all({"large": noise(100 * MIB)})
    for _ in range(4):
        time.sleep(0.15)
        link.cut()
        time.sleep(0.3)
        link.restore()
    world.settle(180)
    world.compare()
    world.assert_no_uploads()


def test_restart_in_an_outage(linked, noise):
    world, link = linked
    link.cut()
    world.put_all({"a": b"1", "large": noise(20 * MIB)})
    world.repld.kill9()
    world.repld.start()
    link.restore()
    world.settle(180)
    world.compare()
    world.assert_no_uploads()


def waits_for_an_endpoint(world):
    rows = world.repld.ctl("status", json_out=True)["rules"]
    return [row["blocker"] for row in rows] == ["endpoint"]


def recorded(world):
    """What the journal has: parts, open uploads, tasks in the hands of the daemon."""
    journal = f"file:{world.repld.journal_path}?mode=ro"
    with contextlib.closing(sqlite3.connect(journal, uri=True)) as db:
        return [db.execute(f"SELECT count(*) FROM {what}").fetchone()[0]
                for what in ("parts", "uploads", "tasks WHERE state = 1")]


def test_stop_in_an_outage(linked, bucketd2, noise):
    """What waits for the destination is put back at once; the next life brings all of it, and no
    part that was accepted once more."""
    def seen(op):
        return bucketd2.stats()["requests"].get(op, 0) - before.get(op, 0)

    world, link = linked
    world.repld.write_conf(shutdown="60s")
    world.repld.restart()
    before = bucketd2.stats()["requests"]
    with no_faults(bucketd2):
        bucketd2.fault("slow", op="UploadPart", delay_ms=60000, skip=6, count=-1)
        world.put_all({"large": noise(20 * PART)})
        world.repld.wait_for(lambda: recorded(world)[0] == 6, "parts")
        link.cut()
    world.put_all({f"page/{number}": noise(number + 1) for number in range(50)})
    world.repld.wait_for(lambda: waits_for_an_endpoint(world), "the outage")
    world.repld.stop()  # a third of what it may take
    assert "stops, within 60000 ms" in world.repld.logs()
    assert recorded(world) == [6, 1, 0]
    sent = seen("UploadPart")
    link.restore()
    world.repld.start()
    world.settle()
    world.compare()
    world.assert_no_uploads()
    assert seen("UploadPart") - sent == 20 - 6
    assert seen("CreateMultipartUpload") == 1
    assert world.repld.metric("repl_endpoint_operations_total", endpoint="dst",
                              operation="PutObject", result="ok") == 50


def test_source_changes_under_the_copy(bucket, bucketd, bucketd2, noise):
    """A slow read of a large object that is overwritten meanwhile: one version or the other."""
    with make_world(bucketd, bucketd2, bucket) as world, no_faults(bucketd):
        world.add_rule()
        old, new = noise(6 * PART), noise(6 * PART)[::-1]
        for _ in range(3):
            bucketd.fault("slow", op="GetObject", delay_ms=200, count=6)
            world.put_all({"large": old})
            time.sleep(0.3)
            world.put_all({"large": new})
            world.settle()
            assert world.at_destination("large") == new
        world.assert_no_uploads()
        assert compare.keys_of(bucketd2, world.to_bucket) == ["large"]
