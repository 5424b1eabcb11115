"""Two daemons with one rule between the same buckets."""

import contextlib
import json

import pytest

from lib import compare
from lib.repld import Repld
from lib.world import World


@contextlib.contextmanager
def two_hosts(source, destination, make_bucket):
    """Worlds of the same buckets, each with a daemon of its own."""
    names = make_bucket(source), make_bucket(destination)
    with Repld({"src": source, "dst": destination}, part_max="5MiB", instance="host-a") as a, \
            Repld({"src": source, "dst": destination}, part_max="5MiB", instance="host-b") as b:
        yield [World(source, destination, make_bucket, repld, names) for repld in (a, b)]


@pytest.fixture
def hosts(pair, bucket):
    with two_hosts(*pair, bucket) as worlds:
        yield worlds


@pytest.fixture
def rgw_hosts(rgw, bucket):
    with two_hosts(rgw, rgw, bucket) as worlds:
        yield worlds


def rule(world):
    return world.repld.ctl("lag", "rule", json_out=True)["rules"][0]


def owner_of(worlds):
    """The one that looks at the whole bucket, and the other; None while there is none."""
    owners = [world for world in worlds if rule(world)["owns"]]
    assert len(owners) <= 1
    return owners and (owners[0], next(w for w in worlds if w is not owners[0]))


def published(world, instance):
    body = world.destination_client.get_object(
        Bucket=world.to_bucket, Key=f"_repl/watermark/rule/{instance}.json")["Body"]
    return json.load(body)


def add_rules(worlds, *options):
    for world in worlds:
        world.add_rule("--shared", "--takeover", "4s", "--publish", "1s", *options)


def test_whole_bucket_is_listed_by_one_and_a_killed_one_is_replaced(hosts):
    a, b = hosts
    objects = {f"old/{number:03d}": b"%d" % number for number in range(120)}
    for key, body in objects.items():
        a.put(key, body)
    add_rules(hosts, "--existing")
    first, second = a.repld.wait_for(lambda: owner_of(hosts), "an owner")
    first.repld.ctl("wait", "rule", "--existing", "--timeout", "60")
    a.compare()
    assert rule(first)["listed_objects"] == len(objects)
    assert rule(second)["listed_objects"] == 0, "nobody else listed"
    assert rule(second)["done_objects"] == 0
    a.repld.wait_for(lambda: rule(second)["owner"] == rule(first)["owner"] != "", "its name")

    first.repld.kill9()
    second.repld.wait_for(lambda: rule(second)["owns"], "a new owner")
    second.repld.ctl("wait", "rule", "--existing", "--timeout", "60")
    assert rule(second)["listed_objects"] == len(objects)
    assert rule(second)["done_objects"] == 0, "all of it was there already"
    first.repld.start()
    first.repld.wait_for(lambda: rule(first)["owner"] == rule(second)["owner"], "who it is now")
    assert not rule(first)["owns"]


def test_each_copies_what_it_is_told_and_the_least_watermark_is_true(hosts):
    a, b = hosts
    add_rules(hosts, "--deletes", "propagate")
    for round in range(4):
        for number in range(12):
            body = b"round %d of %d" % (round, number)
            world = hosts[(round + number) % 2]
            world.put(f"k/{number}", body)
            world.announce([f"k/{number}"])
            hosts[(round + number + 1) % 2].announce([f"k/{number}"] if number % 3 == 0 else [])
    b.repld.ctl("rule", "pause", "rule")
    a.put("late", b"told to b only")
    b.announce(["late"])
    a.settle()
    a.repld.wait_for(lambda: published(a, "host-a")["watermark_ms"] > 0, "host-a's word")
    held = published(a, "host-b")["watermark_ms"]
    assert "late" not in a.destination_keys()
    assert held <= rule(b)["watermark_ms"], "what is not there is not said to be"
    for key in ("k/1", "k/2"):
        a.announce([a.delete(key)], kind="delete")
        b.announce([key], kind="delete")
    b.repld.ctl("rule", "resume", "rule")
    for world in hosts:
        world.settle()
    a.compare()
    deleted = sum(rule(world)["deleted_objects"] for world in hosts)
    assert deleted <= 4
    assert rule(a)["failed_objects"] == rule(b)["failed_objects"] == 0


def test_owner_s_object_is_no_object_of_the_rule(rgw_hosts, bucket):
    a, _ = rgw_hosts
    third = bucket(a.source)
    add_rules(rgw_hosts)
    a.repld.wait_for(lambda: owner_of(rgw_hosts), "an owner")
    listed = a.destination_client.list_objects_v2(Bucket=a.to_bucket, Prefix="_repl/")
    assert "_repl/owner/rule" in [item["Key"] for item in listed["Contents"]]
    assert compare.keys_of(a.destination, a.to_bucket) == []
    for world in rgw_hosts:  # a rule that goes on from there takes none of it
        world.repld.add_rule("on", f"dst/{a.to_bucket}", f"src/{third}", "--existing",
                             "--publish", "off")
    a.repld.ctl("wait", "on", "--existing", "--timeout", "60")
    assert compare.keys_of(a.source, third) == []
