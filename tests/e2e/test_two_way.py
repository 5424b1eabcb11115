"""Two rules in opposite directions keep two buckets equal, on one daemon and on two."""

import contextlib

import pytest

from lib import compare
from lib.repld import Repld
from lib.servers import s3_client
from lib.world import MIB

PART = 5 * MIB


class Mirror:
    """Buckets a and b with a rule each way. Events of both sides are told by announce(), which also
    tells of what repld has written there, as notifications would."""

    def __init__(self, server, make_bucket, there, back):
        self.server, self.there, self.back = server, there, back
        self.a, self.b = make_bucket(server), make_bucket(server)
        self.client = s3_client(server)
        places = f"near/{self.a}/", f"far/{self.b}/"
        options = "--deletes", "propagate", "--two-way"
        there.add_rule("there", *places, *options)
        back.add_rule("back", *reversed(places), *options)

    def put(self, bucket, key, body):
        self.client.put_object(Bucket=bucket, Key=key, Body=body)
        self.announce(bucket, [key])

    def delete(self, bucket, key):
        self.client.delete_object(Bucket=bucket, Key=key)
        self.announce(bucket, [key], "delete")

    def announce(self, bucket, keys, kind="put"):
        (self.there if bucket == self.a else self.back).append(bucket, keys, kind)

    def settle(self):
        """Tells both sides of everything until nothing more is written."""
        for _ in range(3):
            for bucket in (self.a, self.b):
                self.announce(bucket, set(self.keys(self.a)) | set(self.keys(self.b)))
            self.there.wait("there")
            self.back.wait("back")

    def keys(self, bucket):
        return compare.keys_of(self.server, bucket)

    def body(self, bucket, key):
        return self.client.get_object(Bucket=bucket, Key=key)["Body"].read()

    def written(self):
        return sum(repld.metric("repl_rule_replicated_objects_total")
                   for repld in {self.there, self.back})

    def assert_equal(self, expected):
        for bucket in (self.a, self.b):
            assert self.keys(bucket) == sorted(expected)
            for key, body in expected.items():
                assert self.body(bucket, key) == body, (bucket == self.a, key)


@pytest.fixture(params=["one daemon", "two daemons"])
def mirror(request, rgw, bucket):
    ends = {"near": rgw, "far": rgw}
    conf = {"part_max": "5MiB"}
    with contextlib.ExitStack() as stack:
        there = stack.enter_context(Repld(ends, **conf))
        back = there
        if request.param == "two daemons":
            back = stack.enter_context(Repld(ends, **{**conf, "instance": "other"}))
        yield Mirror(rgw, bucket, there, back)


def test_no_loop(mirror, noise):
    bodies = {"from-a": b"a", "from-b": b"b", "large-a": noise(2 * PART + 7),
              "large-b": noise(PART + 9)[::-1]}
    for key, body in bodies.items():
        mirror.put(mirror.a if key.endswith("-a") else mirror.b, key, body)
    mirror.settle()
    mirror.assert_equal(bodies)
    assert mirror.written() == len(bodies)  # each went over once


def test_deletes_both_ways_and_a_key_that_comes_back(mirror):
    for key in ("one", "two", "three"):
        mirror.put(mirror.a, key, key.encode())
        mirror.put(mirror.b, f"b-{key}", key.encode())
    mirror.settle()
    mirror.delete(mirror.a, "one")  # where it was written
    mirror.delete(mirror.b, "two")  # where it was brought
    mirror.delete(mirror.a, "b-one")
    mirror.delete(mirror.b, "b-two")
    mirror.there.wait("there")
    mirror.back.wait("back")
    for bucket in (mirror.a, mirror.b):
        for key in ("one", "two", "b-one", "b-two"):
            mirror.announce(bucket, [key], "delete")  # the deletes at the other side, and again
    mirror.settle()
    mirror.assert_equal({"three": b"three", "b-three": b"three"})
    mirror.put(mirror.b, "one", b"back again")
    mirror.put(mirror.a, "b-one", b"back again")
    mirror.settle()
    mirror.assert_equal({"three": b"three", "b-three": b"three", "one": b"back again",
                         "b-one": b"back again"})


def test_the_newer_write_stays(mirror):
    mirror.there.ctl("rule", "pause", "there")
    mirror.back.ctl("rule", "pause", "back")
    for key, first, second in (("k1", mirror.a, mirror.b), ("k2", mirror.b, mirror.a)):
        mirror.put(first, key, b"older")
    at = {key: mirror.client.head_object(Bucket=bucket, Key=key)["LastModified"]
          for key, bucket in (("k1", mirror.a), ("k2", mirror.b))}

    def is_later(key, bucket):
        mirror.put(bucket, key, b"newer")
        return mirror.client.head_object(Bucket=bucket, Key=key)["LastModified"] > at[key]

    mirror.there.wait_for(lambda: is_later("k1", mirror.b), "a later second")
    mirror.there.wait_for(lambda: is_later("k2", mirror.a), "a later second")
    mirror.there.ctl("rule", "resume", "there")
    mirror.back.ctl("rule", "resume", "back")
    mirror.settle()
    mirror.assert_equal({"k1": b"newer", "k2": b"newer"})
    conflicts = sum(repld.metric("repl_rule_conflicts_total")
                    for repld in {mirror.there, mirror.back})
    assert conflicts == 2  # each once, though both rules have met it


def test_both_must_say_it(local):
    local.add_rule()
    back = [f"dst/{local.to_bucket}/", "--destination", f"src/{local.from_bucket}/"]
    refused = local.repld.ctl("rule", "add", "back", "--source", *back, "--two-way", check=False)
    assert refused.returncode == 1 and "both must say two_way" in refused.stderr
    local.repld.ctl("rule", "update", "rule", "--two-way")
    local.repld.ctl("rule", "add", "back", "--source", *back, "--two-way")
    partly = local.repld.ctl("rule", "add", "partly", "--source", f"dst/{local.to_bucket}/x/",
                             "--destination", f"src/{local.from_bucket}/x/", "--two-way", check=False)
    assert partly.returncode == 1
