"""Deletes: only with evidence, only of what is ours, and never many at once without being asked."""

import json

import pytest

from lib import servers

COUNT = 60


def names(count=COUNT):
    return [f"k/{number:03}" for number in range(count)]


def fill(world):
    world.put_all({key: key.encode() for key in names()})
    world.settle()
    assert world.destination_keys() == names()


def delete_some(world, keys):
    for key in keys:
        world.delete(key)
    world.announce(keys, "delete")


def rule_row(world):
    return world.repld.ctl("status", json_out=True)["rules"][0]


def wait_until_held(world, count):
    world.repld.wait_for(lambda: rule_row(world)["held_deletes"] == count, f"{count} held deletes")


def test_brake(world):
    """A bucket is emptied by mistake, on every server: nothing goes until somebody says so."""
    world.add_rule("--deletes", "propagate")
    fill(world)
    delete_some(world, names(40))
    wait_until_held(world, 40)
    world.put_all({"fresh": b"puts go on"})
    world.repld.wait_for(lambda: "fresh" in world.destination_keys(), "the fresh object")
    row = rule_row(world)
    assert row["blocker"] == "brake" and "confirm-deletes" in row["waits_for"]
    assert "40 deletes of 60 objects" in row["brake"]
    assert world.repld.metric("repl_rule_delete_brake", rule="rule") == 1
    world.repld.restart()
    shown = world.repld.ctl("rule", "show", "rule").stdout
    assert "40 deletes are held since" in shown
    held = world.repld.ctl("--json", "rule", "deletes", "rule").stdout.splitlines()
    assert [row["key"] for line in held for row in json.loads(line)["deletes"]] == names(40)
    assert "k/000" in world.repld.ctl("rule", "deletes", "rule").stdout
    assert set(names()) <= set(world.destination_keys())
    assert "40 deletes may go" in world.repld.ctl("rule", "confirm-deletes", "rule").stdout
    world.settle()
    world.compare()
    assert world.repld.metric("repl_rule_delete_brake", rule="rule") == 0
    assert "no deletes are held" in world.repld.ctl("rule", "deletes", "rule").stdout


@pytest.mark.smoke
def test_discard(local):
    local.add_rule("--deletes", "propagate", "--deletes-brake", "5 in 1h")
    fill(local)
    delete_some(local, names(6))
    wait_until_held(local, 6)
    assert local.repld.ctl("rule", "confirm-deletes", "rule", "--discard", check=False).returncode == 2
    # A reason without --discard is a slip that must not delete anything.
    assert local.repld.ctl("rule", "confirm-deletes", "rule", "--reason", "an accident",
                           check=False).returncode == 2
    local.repld.ctl("rule", "confirm-deletes", "rule", "--discard", "--reason", "an accident")
    local.settle()
    assert local.destination_keys() == names()
    told = local.repld.ctl("explain", "rule", names()[0]).stdout
    assert "discarded by an operator: an accident" in told


def test_many_held_deletes_come_in_pages(local):
    local.add_rule("--deletes", "propagate", "--deletes-brake", "1 in 1h")
    keys = names(1200)
    local.announce(keys, "delete")
    wait_until_held(local, len(keys))
    answers = local.repld.ctl("--json", "rule", "deletes", "rule").stdout.splitlines()
    assert len(answers) == 3
    assert [row["key"] for line in answers for row in json.loads(line)["deletes"]] == sorted(keys)


@pytest.mark.smoke
def test_no_evidence_no_delete(local):
    """A refusal, an error and a missing bucket at the source say nothing about a key."""
    local.add_rule("--deletes", "propagate", "--deletes-brake", "off")
    fill(local)
    keys = names(30)
    for key in keys:
        local.delete(key)
    local.source.fault("status", "HeadObject", status=403, code="AccessDenied", count=200)
    local.announce(keys[:10], "delete")
    local.repld.wait_for(lambda: local.source.stats()["requests"].get("HeadObject", 0) > 3, "questions")
    assert local.destination_keys() == names()
    local.source.clear_faults()
    local.source.fault("status", "HeadObject", status=503, code="SlowDown", count=50)
    local.announce(keys[10:20], "delete")
    local.settle()
    assert local.destination_keys() == names()[20:]
    servers.empty_bucket(local.source, local.from_bucket)
    local.announce(keys[20:], "delete")
    local.repld.wait_for(lambda: rule_row(local)["blocker"] in ("task", "endpoint", "failed_task")
                         and rule_row(local)["pending_objects"] > 0, "deletes that wait")
    assert local.destination_keys() == names()[20:]
    local.source_client.create_bucket(Bucket=local.from_bucket)
    local.repld.ctl("failures", "retry", "rule")
    local.settle()
    assert local.destination_keys() == names()[30:]


def test_foreign_objects_stay(world):
    world.add_rule("--deletes", "propagate")
    client = world.destination_client
    client.put_object(Bucket=world.to_bucket, Key="theirs", Body=b"not of repld")
    world.put_all({"ours": b"x"})
    world.announce(["theirs"], "delete")
    world.settle()
    assert world.destination_keys() == ["ours", "theirs"]
    world.repld.ctl("rule", "update", "rule", "--deletes-foreign")
    world.announce(["theirs"], "delete")
    world.settle()
    assert world.destination_keys() == ["ours"]


def test_marker_is_enough_without_the_journal(world):
    world.add_rule("--deletes", "propagate", "--no-replicas")
    world.put_all({"gone": b"x", "kept": b"y"})
    world.settle()
    world.announce([world.delete("gone")], "delete")
    world.settle()
    assert world.destination_keys() == ["kept"]


def test_delete_markers_on_a_versioned_bucket(on_rgw):
    place = [f"src/{on_rgw.from_bucket}/", f"dst/{on_rgw.to_bucket}/"]
    refused = on_rgw.repld.ctl("rule", "add", "rule", "--source", place[0], "--destination", place[1],
                               "--deletes", "marker", check=False)
    assert refused.returncode == 1 and "keeps no versions" in refused.stderr
    client = on_rgw.destination_client
    client.put_bucket_versioning(Bucket=on_rgw.to_bucket,
                                 VersioningConfiguration={"Status": "Enabled"})
    on_rgw.add_rule("--deletes", "marker")
    on_rgw.put_all({"gone": b"x", "kept": b"y"})
    on_rgw.settle()
    gone = on_rgw.delete("gone")
    for _ in range(3):  # duplicates make no second marker
        on_rgw.announce([gone], "delete")
        on_rgw.settle()
    assert on_rgw.destination_keys() == ["kept"]
    listed = client.list_object_versions(Bucket=on_rgw.to_bucket, Prefix="gone")
    assert len(listed["Versions"]) == 1 and len(listed["DeleteMarkers"]) == 1
    version = listed["Versions"][0]["VersionId"]
    body = client.get_object(Bucket=on_rgw.to_bucket, Key="gone", VersionId=version)["Body"].read()
    assert body == b"x"
    on_rgw.put_all({"gone": b"again"})
    on_rgw.settle()
    on_rgw.compare()
    for entry in client.list_object_versions(Bucket=on_rgw.to_bucket).get("Versions", []):
        client.delete_object(Bucket=on_rgw.to_bucket, Key=entry["Key"], VersionId=entry["VersionId"])
    for entry in client.list_object_versions(Bucket=on_rgw.to_bucket).get("DeleteMarkers", []):
        client.delete_object(Bucket=on_rgw.to_bucket, Key=entry["Key"], VersionId=entry["VersionId"])


def test_a_thousand_overwrites_cost_two_copies(local):
    """While one copy is on its way, which gets no answer, a thousand versions come and go."""
    local.add_rule("--publish", "off")
    puts = lambda: local.destination.stats()["requests"].get("PutObject", 0)
    before = puts()
    local.destination.fault("hang", "PutObject", count=1)
    local.put_all({"hot": b"first"})
    local.repld.wait_for(lambda: puts() > before, "the first copy")
    for number in range(1000):
        local.put("hot", f"version {number}".encode())
        if number % 50 == 49:
            local.announce(["hot"] * 50)
    local.destination.clear_faults()
    local.settle()
    assert local.at_destination("hot") == b"version 999"
    assert puts() - before <= 3  # the one that was cut off, and two
