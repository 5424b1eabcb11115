"""Scans against real servers: what events missed is found, what vanished goes, crashes and failing
servers do neither lose nor delete anything."""

import contextlib
import gzip
import json

import pytest

from lib.bucketd import no_faults
from lib.world import make_world


def scan(world):
    """Begins a scan and waits for its end: what it reports."""
    world.repld.ctl("scan", "start", "rule")
    return world.repld.wait_for(lambda: ended(world), "the scan")


def ended(world):
    state = world.repld.ctl("scan", "status", "rule", json_out=True)
    return state if state["phase"] == "idle" and state["ended"] else None


def fill(world, count):
    keys = [f"k/{number:04d}" for number in range(count)]
    for key in keys:
        world.put(key, key.encode())
    return keys


def check_missed(world):
    world.add_rule("--deletes", "propagate", "--deletes-brake", "off", "--existing")
    keys = fill(world, 30)
    world.announce(keys)
    world.settle()
    world.repld.wait_for(lambda: ended(world), "the first scan")
    world.put("missed +%ä", b"1")
    world.put(keys[3], b"another")
    world.delete(keys[7])
    state = scan(world)
    assert state["found_objects"] == 2 and state["missing_objects"] == 1
    world.settle()
    world.compare()
    state = scan(world)
    assert (state["found_objects"], state["missing_objects"], state["equal_objects"]) == (0, 0, 30)


def test_what_events_missed_on_rgw(on_rgw):
    check_missed(on_rgw)


def test_what_events_missed(local):
    check_missed(local)


def test_kill9_in_the_middle_goes_on_from_the_cursor(bucketd, bucketd2, bucket):
    with make_world(bucketd, bucketd2, bucket) as world, no_faults(bucketd):
        fill(world, 1500)
        bucketd.fault("slow", op="ListObjectsV2", delay_ms=1000, count=-1, skip=1)
        world.add_rule("--existing", "--no-preflight")
        world.repld.wait_for(lambda: len(world.destination_keys()) >= 1000, "the first page")
        world.repld.kill9()
        bucketd.clear_faults()
        before = bucketd.stats()["requests"]["ListObjectsV2"]
        world.repld.start()
        state = world.repld.wait_for(lambda: ended(world), "the scan")
        assert state["listed_objects"] == 1500
        world.repld.ctl("wait", "rule", "--existing", "--timeout", "60")
        world.compare()
        # The page that was done is not listed again; comparing lists too, from the start.
        assert bucketd.stats()["requests"]["ListObjectsV2"] - before < 12


@pytest.mark.parametrize("members", [
    {"action": "status", "status": 503, "code": "SlowDown"},
    {"action": "status", "status": 403, "code": "AccessDenied"},
    {"action": "status", "status": 404, "code": "NoSuchBucket"},
    {"action": "truncated_list"},
], ids=lambda members: members.get("code", members["action"]))
def test_a_listing_that_fails_deletes_nothing(bucketd, bucketd2, bucket, members):
    with make_world(bucketd, bucketd2, bucket) as world, no_faults(bucketd):
        world.add_rule("--deletes", "propagate", "--deletes-brake", "off")
        keys = fill(world, 20)
        world.announce(keys)
        world.settle()
        world.delete(keys[0])
        bucketd.fault(op="ListObjectsV2", count=-1, **members)
        world.repld.ctl("scan", "start", "rule")
        world.repld.wait_for(lambda: "scan waits" in world.repld.logs(), "the failure")
        assert len(world.destination_keys()) == 20
        bucketd.clear_faults()
        world.repld.wait_for(lambda: len(world.destination_keys()) == 19, "the delete", 90)


def test_objects_that_are_left_alone_are_told(local):
    """Those older than a rule without --existing; --existing copies them."""
    local.source.set_clock(-600)
    try:
        fill(local, 3)
    finally:
        local.source.set_clock(0)
    local.add_rule("--scan", "every 1h")
    local.repld.wait_for(lambda: ended(local), "the first scan")
    said = "rule: 3 objects are older than the rule, and left alone; replctl rule update rule --existing"
    for command in ("status", "lag"):
        assert said in local.repld.ctl(command).stdout
        assert local.repld.ctl(command, json_out=True)["rules"][0]["left_objects"] == 3
    local.repld.ctl("rule", "update", "rule", "--existing")
    assert said not in local.repld.ctl("status").stdout
    local.repld.ctl("wait", "rule", "--existing", "--until", "2020-01-01T00:00:00Z", "--timeout", "60")
    local.compare()


@contextlib.contextmanager
def a_minute_later(server):
    """By its clock nothing of what is there has been written just now."""
    server.set_clock(60)
    try:
        yield
    finally:
        server.set_clock(0)


def proof(world):
    """(proven, watermark) in milliseconds."""
    row = world.repld.ctl("lag", json_out=True)["rules"][0]
    return row["proven_ms"], row["watermark_ms"]


def scans(world, result):
    return world.repld.metric("repl_rule_scans_total", rule="rule", result=result)


SHORT = {"cut": {"action": "cut_list", "keys": 60}, "thin": {"action": "thin_list", "keys": 10}}


@pytest.mark.parametrize("deletes", ["propagate", "ignore"])
@pytest.mark.parametrize("short", SHORT)
def test_a_short_listing_proves_and_deletes_nothing(bucketd, bucketd2, bucket, deletes, short):
    """It ends well and says that it is all; the rule lives by scans alone."""
    with make_world(bucketd, bucketd2, bucket) as world, no_faults(bucketd):
        keys = fill(world, 100)
        world.add_rule("--deletes", deletes, "--deletes-brake", "off", "--existing",
                       "--scan", "every 6h")
        world.repld.wait_for(lambda: min(proof(world)) > 0, "the first scan's proof")
        before = proof(world)
        world.delete(keys[0])
        world.put("k/0059-untold", b"1")
        with a_minute_later(bucketd):
            bucketd.fault(op="ListObjectsV2", count=-1, **SHORT[short])
            for number in (1, 2):  # however often it is said
                state = scan(world)
                assert state["unlisted_objects"] > 0 and "not complete" in state["doubt"]
                assert scans(world, "doubted") == number and scans(world, "complete") == 1
                world.repld.wait_for(
                    lambda: world.repld.metric("repl_rule_pending_objects") == 0, "the copies")
                assert proof(world) == before
                assert set(keys) <= set(world.destination_keys())
            bucketd.clear_faults()
            state = scan(world)
        assert state["unlisted_objects"] == 0 and not state["doubt"]
        assert scans(world, "doubted") == 2 and scans(world, "complete") == 2
        world.repld.wait_for(
            lambda: all(now > then for now, then in zip(proof(world), before)), "the new proof")
        there = set(world.destination_keys())
        assert "k/0059-untold" in there and (keys[0] in there) == (deletes == "ignore")


@pytest.mark.parametrize("mode", ["every 6h", "off"])
def test_a_filter_that_widens_during_a_scan(bucketd, bucketd2, bucket, mode):
    """Nothing is proven, and no watermark of scans passes, before all that it takes is there."""
    with make_world(bucketd, bucketd2, bucket) as world, no_faults(bucketd):
        keys = fill(world, 1100)
        bucketd.fault("slow", op="ListObjectsV2", delay_ms=60000, count=-1, skip=1)
        world.add_rule("--existing", "--scan", mode, "--include", "k/*[02468]", "--no-preflight")
        world.repld.wait_for(lambda: len(world.destination_keys()) >= 400, "the first page")
        # What is written now is no existing object, and stands in a page that was passed over.
        missed = [world.put(f"k/0001-{number}", b"1") for number in (1, 3, 5)]
        rows = world.source_client.list_objects(Bucket=world.from_bucket, Prefix="k/0001-")
        written_ms = max(row["LastModified"] for row in rows["Contents"]).timestamp() * 1000
        assert proof(world)[0] == 0
        world.repld.ctl("rule", "update", "rule", "--include", "k/*")
        bucketd.clear_faults()

        def is_proven():
            proven_ms, watermark_ms = proof(world)
            passes = mode != "off" and watermark_ms >= written_ms
            there = set(world.destination_keys()) if proven_ms or passes else set()
            assert not proven_ms or set(keys + missed) <= there
            assert not passes or set(missed) <= there
            return proven_ms and (passes or mode == "off")

        world.repld.wait_for(is_proven, "the proof", 120)
        world.compare()


def test_keys_of_a_file(local, tmp_path):
    keys = fill(local, 5)
    listed = tmp_path / "keys"
    listed.write_text("".join(f"{key}\n" for key in keys[:3]))
    local.add_rule()
    done = local.repld.ctl("scan", "start", "rule", "--keys", listed, json_out=True)
    assert done == {"keys": 3, "unmatched": 0}
    local.settle()
    assert sorted(local.destination_keys()) == keys[:3]


def test_an_inventory(local, tmp_path):
    keys = [local.put(key, b"x") for key in ("a", "b c", 'd"e', "f+ä", "old", "left out")]
    rows = [("a", "true", "false"), ("b+c", "true", "false"), ("d%22e", "true", "false"),
            ("f%2B%C3%A4", "true", "false"), ("old", "false", "false"), ("gone", "true", "true")]
    text = "".join(f'"{local.from_bucket}","{key}","{latest}","{marker}","1","",""\n'
                   for key, latest, marker in rows)
    (tmp_path / "part.csv.gz").write_bytes(gzip.compress(text.encode()))
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({
        "sourceBucket": local.from_bucket, "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, IsLatest, IsDeleteMarker, Size, ETag, LastModifiedDate",
        "files": [{"key": "inventory/data/part.csv.gz", "size": 1, "MD5checksum": "0"}]}))
    local.add_rule()
    assert local.repld.ctl("scan", "start", "rule", "--inventory", manifest,
                           json_out=True) == {"keys": 4, "unmatched": 0}
    local.settle()
    assert sorted(local.destination_keys()) == sorted(keys[:4])


def test_the_rule_says_when(local):
    local.add_rule("--scan", "every 1h", "--scan-requests", "20/s")
    assert "every 1h" in local.repld.ctl("rule", "show", "rule").stdout
    assert local.repld.wait_for(lambda: ended(local), "the first scan")["next"]
    assert local.repld.ctl("scan", "stop", "rule", check=False).returncode != 0


def test_list_of_another_bucket_is_refused(local, tmp_path):
    local.add_rule(prefix="k/")
    local.put("k/1", b"x")
    keys = tmp_path / "keys"
    keys.write_text("1\nother/2\n")
    done = local.repld.ctl("scan", "start", "rule", "--keys", keys, check=False)
    assert done.returncode == 1 and "takes none of the 2 keys" in done.stderr
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"sourceBucket": "another", "fileFormat": "CSV",
                                    "fileSchema": "Bucket, Key", "files": []}))
    done = local.repld.ctl("scan", "start", "rule", "--inventory", manifest, check=False)
    assert done.returncode == 1 and 'inventory of bucket "another"' in done.stderr
    assert local.destination_keys() == []


def test_wait_says_what_for(local):
    """A rule that is only scanned has no watermark before its next scan."""
    local.add_rule("--scan", "every 6h")
    local.repld.wait_for(
        lambda: local.repld.ctl("scan", "status", "rule", json_out=True)["phase"] == "idle"
        and local.repld.ctl("lag", json_out=True)["rules"][0]["watermark"], "the first scan")
    done = local.repld.ctl("wait", "rule", "--existing", "--timeout", "4", check=False)
    assert done.returncode == 1
    assert "waiting: " in done.stderr and "replctl scan start rule begins one now" in done.stderr
