"""versions: all: every version arrives once, in order, through restarts and parts."""

import pytest

from lib.world import PART, make_world


@pytest.fixture
def versioned(rgw, bucket):
    with make_world(rgw, rgw, bucket) as world:
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


def test_versions_on_rgw(versioned, noise):
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


def test_buckets_without_versions_are_refused(on_rgw):
    done = on_rgw.repld.ctl("rule", "add", "all", "--source", f"src/{on_rgw.from_bucket}",
                            "--destination", f"dst/{on_rgw.to_bucket}", "--versions", "all",
                            check=False)
    assert done.returncode == 1
    assert "keeps no versions, which versions: all relies on" in done.stderr
