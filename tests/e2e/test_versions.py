"""versions: all: every version arrives once, in order, through restarts and parts."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from lib.world import PART, make_world


@pytest.fixture(params=["rgw", "minio"])
def versioned(request, bucket):
    server = request.getfixturevalue(request.param)
    with make_world(server, server, bucket) as world:
        for client, name in ((world.source_client, world.from_bucket),
                             (world.destination_client, world.to_bucket)):
            client.put_bucket_versioning(Bucket=name,
                                         VersioningConfiguration={"Status": "Enabled"})
        yield world


def history(client, bucket, key):
    """Bodies from old to new; None stands for a delete marker."""
    listed = client.list_object_versions(Bucket=bucket, Prefix=key)
    entries = [(e["LastModified"], e["IsLatest"], e) for e in listed.get("Versions", [])]
    entries += [(e["LastModified"], e["IsLatest"], e) for e in listed.get("DeleteMarkers", [])]
    entries.sort(key=lambda e: e[:2])
    return [client.get_object(Bucket=bucket, Key=key, VersionId=e["VersionId"])["Body"].read()
            if "Size" in e else None for _, _, e in entries]


def assert_same_history(world, key, length):
    source = history(world.source_client, world.from_bucket, key)
    assert len(source) == length
    assert history(world.destination_client, world.to_bucket, key) == source


def test_versions_in_order(versioned, noise):
    world = versioned
    world.add_rule("--versions", "all", "--deletes", "propagate")
    for i in range(3):
        world.put("small", f"version {i}".encode())
    world.put("large", noise(PART + 1))
    world.put("large", noise(3 * PART))
    world.put("gone", b"was here")
    world.delete("gone")
    world.announce(["small", "large", "gone"])
    world.settle()
    assert_same_history(world, "small", 3)
    assert_same_history(world, "large", 2)
    assert_same_history(world, "gone", 2)
    world.put("small", b"after")
    world.put("gone", b"is back")
    world.announce(["small", "gone", "large"])
    world.settle()
    assert_same_history(world, "small", 4)
    assert_same_history(world, "large", 2)
    assert_same_history(world, "gone", 3)
    world.assert_no_uploads()


def test_versions_through_kills(versioned, noise):
    world = versioned
    world.add_rule("--versions", "all", "--deletes", "propagate")
    for i in range(6):
        world.put("k", noise(2 * PART + i))
    world.announce(["k"])
    for at_least in (1, 3, 5):
        world.repld.wait_for(
            lambda: len(history(world.destination_client, world.to_bucket, "k")) >= at_least,
            f"{at_least} versions have arrived")
        world.repld.kill9()
        world.repld.start()
    world.settle()
    found = history(world.destination_client, world.to_bucket, "k")
    # What a kill met after Complete may be there twice; never out of order, never missing.
    assert list(dict.fromkeys(found)) == history(world.source_client, world.from_bucket, "k")
    assert len(found) <= 6 + 3
    world.assert_no_uploads()


def scan_ends(world):
    """Waits for the scan, and for all that it has found; how many keys that was."""
    def ended():
        state = world.repld.ctl("scan", "status", "rule", json_out=True)
        return state if state["phase"] == "idle" and state["ended"] else None
    found = world.repld.wait_for(ended, "the scan")["found_objects"]
    world.repld.wait_for(lambda: pending(world) == 0, "what the scan has found is done")
    return found


def scan(world):
    scan_ends(world)
    world.repld.ctl("scan", "start", "rule")
    return scan_ends(world)


def pending(world):
    [rule] = world.repld.ctl("status", json_out=True)["rules"]
    return rule["pending_objects"] + rule["backfill_objects"]


def newest_id(world, key):
    listed = world.source_client.list_object_versions(Bucket=world.from_bucket, Prefix=key)
    entries = listed.get("Versions", []) + listed.get("DeleteMarkers", [])
    return next(e["VersionId"] for e in entries if e["IsLatest"])


def remove_newest(world, key):
    world.source_client.delete_object(Bucket=world.from_bucket, Key=key,
                                      VersionId=newest_id(world, key))


def test_existing_versions_arrive_oldest_first(versioned):
    world = versioned
    for i in range(3):
        world.put("many", f"version {i}".encode())
    world.put("hidden", b"was here")
    world.delete("hidden")
    world.add_rule("--versions", "all", "--deletes", "propagate", "--existing")
    world.repld.wait_for(lambda: len(history(world.destination_client, world.to_bucket, "many")) == 3
                         and len(history(world.destination_client, world.to_bucket, "hidden")) == 2,
                         "all versions have arrived")
    assert_same_history(world, "many", 3)
    assert_same_history(world, "hidden", 2)
    assert scan(world) == 0


def test_a_scan_finds_versions_that_no_event_told(versioned):
    world = versioned
    world.add_rule("--versions", "all", "--deletes", "propagate", "--exclude", "long")
    world.put("k", b"one")
    world.announce(["k"])
    world.settle()
    world.put("k", b"two")
    world.delete("k")
    # More than a page, of a key that only lies on the way; MinIO is slow with such keys.
    count = 1010 if world.source.kind == "rgw" else 50
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: world.put("long", b""), range(count)))
    world.put("more", b"behind it")
    world.repld.ctl("scan", "start", "rule")
    assert scan_ends(world) == 2
    assert_same_history(world, "k", 3)
    assert world.at_destination("more") == b"behind it"
    assert scan(world) == 0


def test_what_is_removed_by_its_id(versioned):
    world = versioned
    world.add_rule("--versions", "all", "--deletes", "propagate", "--existing")
    for body in (b"one", b"two"):
        for key in ("back", "older", "gone", "told"):
            world.put(key, body)
    world.delete("back")
    world.delete("told")
    world.announce(["back", "older", "gone", "told"])
    world.settle()
    remove_newest(world, "told")  # the delete marker: the object is back
    world.announce(["told"], "delete")
    world.settle()
    assert_same_history(world, "told", 2)
    remove_newest(world, "back")
    remove_newest(world, "older")
    for _ in range(2):
        remove_newest(world, "gone")
    assert scan(world) == 2  # and one that is missing
    assert_same_history(world, "back", 2)
    to = world.destination_client, world.to_bucket
    assert history(*to, "older") == [b"one", b"two", b"one"]
    assert history(*to, "gone") == [b"one", b"two", None]
    assert scan(world) == 0


def test_buckets_without_versions_are_refused(on_rgw):
    done = on_rgw.repld.ctl("rule", "add", "all", "--source", f"src/{on_rgw.from_bucket}",
                            "--destination", f"dst/{on_rgw.to_bucket}", "--versions", "all",
                            check=False)
    assert done.returncode == 1
    assert "keeps no versions, which versions: all relies on" in done.stderr
