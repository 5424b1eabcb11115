"""kill -9 at random moments under mixed load: nothing is missing, mixed or orphaned."""

import random
import sys
import threading
import time

import pytest

from conftest import MIB, PART, make_world
from lib import compare

KILLS = 20


class Load(threading.Thread):
    """Puts, overwrites and deletes objects of all sizes, and remembers what to announce."""

    def __init__(self, world, noise, seed):
        super().__init__(daemon=True)
        self.world, self.noise, self.random = world, noise, random.Random(seed)
        self.lock, self.todo, self.error = threading.Lock(), [], None
        self.ended = threading.Event()

    def run(self):
        try:
            while not self.ended.is_set():
                self.step()
                time.sleep(0.01)
        except Exception as error:  # shown by the test
            self.error = error

    def step(self):
        kind = "put"
        key = f"k/{self.random.randrange(120)}"
        chance = self.random.random()
        if chance < 0.1:
            self.world.delete(key)
            kind = "delete"
        elif chance < 0.2:
            self.world.put(key, self.noise(self.random.randrange(PART, 5 * PART)))
        else:
            self.world.put(key, self.noise(self.random.randrange(0, 64 << 10)))
        with self.lock:
            self.todo.append((key, kind))

    def take(self):
        with self.lock:
            taken, self.todo = self.todo, []
        return taken

    def stop(self):
        self.ended.set()
        self.join()
        assert self.error is None, self.error


def announce(world, changes):
    for kind in ("put", "delete"):
        keys = [key for key, what in changes if what == kind]
        if keys:
            world.announce(keys, kind)


def torture(world, noise, kills, seed):
    print(f"seed {seed}")
    rng = random.Random(seed)
    world.add_rule("--deletes", "propagate")
    load = Load(world, noise, seed)
    load.start()
    watermark, sent = 0.0, 0.0
    for _ in range(kills):
        announce(world, load.take())
        time.sleep(rng.uniform(0.02, 1.0))
        samples = world.repld.metrics()
        now = samples.get('repl_rule_watermark_timestamp_seconds{rule="rule"}', 0.0)
        assert now >= watermark, "the watermark never goes back"
        watermark = now
        sent += sent_bytes(samples)
        world.repld.kill9()
        world.repld.start()
    load.stop()
    announce(world, load.take())
    world.settle(300)
    return sent + sent_bytes(world.repld.metrics())


def sent_bytes(samples):
    return sum(value for name, value in samples.items()
               if name.startswith(("repl_sent_bytes_total", "repl_endpoint_sent_bytes_total",
                                   "repl_rule_sent_bytes_total")))


def delivered_bytes(world):
    return sum(what["size"] for what in
               compare.describe_all(world.destination, world.to_bucket).values())


def check(world, sent):
    world.compare()
    world.assert_no_uploads()
    shown = world.repld.ctl("uploads", json_out=True)
    uploads = shown if isinstance(shown, list) else shown.get("uploads", [])
    assert uploads == []
    delivered = delivered_bytes(world)
    print(f"bytes sent ÷ standing at the end: {sent / max(delivered, 1):.3f} "
          f"({sent / MIB:.0f} MiB, {delivered / MIB:.0f} MiB)", file=sys.__stderr__)


def test_twenty_kills_on_rgw(on_rgw, noise):
    check(on_rgw, torture(on_rgw, noise, KILLS, random.randrange(1 << 30)))


@pytest.mark.smoke
def test_three_kills_between_local_servers(local, noise):
    check(local, torture(local, noise, 3, random.randrange(1 << 30)))


def test_accepted_parts_are_not_sent_again(bucketd, bucketd2, bucket, noise):
    """A large object that the daemon dies in the middle of, five times."""
    with make_world(bucketd, bucketd2, bucket) as world:
        world.add_rule()
        world.put_all({"large": noise(100 * MIB)})
        for _ in range(5):
            time.sleep(0.15)
            world.repld.kill9()
            world.repld.start()
        world.settle()
        assert world.at_destination("large") == noise(100 * MIB)
        world.assert_no_uploads()
