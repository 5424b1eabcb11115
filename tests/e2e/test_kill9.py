"""kill -9 at random moments under mixed load: nothing is missing, mixed or orphaned."""

import random
import sys
import threading
import time

import pytest

from lib.world import MIB, PART, make_world

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
    world.add_rule("--deletes", "propagate", "--deletes-brake", "off")
    load = Load(world, noise, seed)
    load.start()
    watermark = 0
    for _ in range(kills):
        announce(world, load.take())
        time.sleep(rng.uniform(0.02, 1.0))
        now = counts(world)["watermark_ms"]
        assert now >= watermark, "the watermark never goes back"
        watermark = now
        world.repld.kill9()
        world.repld.start()
    load.stop()
    announce(world, load.take())
    world.settle(300)


def counts(world):
    """The rule's counters, which survive every kill."""
    return world.repld.ctl("lag", "rule", json_out=True)["rules"][0]


def check(world):
    world.compare()
    # An abort is asked for until the server says that the upload is gone: later than the watermark.
    world.repld.wait_for(lambda: world.repld.ctl("uploads", json_out=True)["uploads"] == [],
                         "every upload has ended")
    world.assert_no_uploads()
    seen = counts(world)
    print(f"bytes sent ÷ delivered: {seen['sent_bytes'] / max(seen['done_bytes'], 1):.3f} "
          f"({seen['sent_bytes'] / MIB:.0f} MiB, {seen['done_bytes'] / MIB:.0f} MiB)",
          file=sys.__stderr__)
    assert seen["sent_bytes"] >= seen["done_bytes"], "every byte was sent, in whatever life"


def test_twenty_kills_on_rgw(on_rgw, noise):
    torture(on_rgw, noise, KILLS, random.randrange(1 << 30))
    check(on_rgw)


@pytest.mark.smoke
def test_three_kills_between_local_servers(local, noise):
    torture(local, noise, 3, random.randrange(1 << 30))
    check(local)


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
        assert 100 * MIB <= counts(world)["sent_bytes"] < 180 * MIB
