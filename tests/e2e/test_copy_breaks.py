"""Promises under attack: copies. What happens rarely is made to happen."""

import contextlib
import socket
import threading

import pytest

from lib.proxy import Link
from lib.repld import Repld
from lib.world import MIB, World, make_world


@contextlib.contextmanager
def no_faults(*used):
    try:
        yield
    finally:
        for server in used:
            server.clear_faults()


def requests(server, *ops):
    """How many of these the server has had."""
    counts = server.stats()["requests"]
    return sum(counts.get(op, 0) for op in ops)


def color(world, key):
    return world.destination_client.head_object(Bucket=world.to_bucket, Key=key)["Metadata"]["color"]


# --- 3 and 4: the newest version, metadata included

@pytest.mark.parametrize("options", [(), ("--no-marker",)], ids=["marker", "no marker"])
def test_metadata_of_an_unanswered_put_is_not_assumed(bucketd, bucketd2, bucket, options):
    """The same bytes with other metadata; the PUT of the new version never reaches the server. What
    is there has the right size and ETag, and is the old version."""
    with make_world(bucketd, bucketd2, bucket) as world, no_faults(bucketd2):
        world.add_rule(*options)
        world.put("k", b"x" * 1000, Metadata={"color": "red"})
        world.announce(["k"])
        world.settle()
        world.put("k", b"x" * 1000, Metadata={"color": "blue"})
        bucketd2.fault("reset", op="PutObject", count=1)
        world.announce(["k"])
        world.settle()
        assert color(world, "k") == "blue"


def put_twice_in_a_second(world, between):
    """The same bytes with two kinds of metadata and one Last-Modified; returns the key."""
    for key in (f"k{number}" for number in range(20)):
        times = []
        for value in ("red", "blue"):
            world.put(key, b"x" * 1000, Metadata={"color": value})
            world.announce([key])
            times.append(world.source_client.head_object(Bucket=world.from_bucket,
                                                         Key=key)["LastModified"])
            if value == "red":
                between(key)
        if times[0] == times[1]:
            return key
    raise AssertionError("this machine is too slow to put twice in a second")


def test_metadata_rewritten_while_the_put_is_slow(bucketd, bucketd2, bucket):
    """Source times are whole seconds: an object that was replaced within the second in which it was
    read is not the one that was read, however long the PUT took."""
    with make_world(bucketd, bucketd2, bucket) as world, no_faults(bucketd2):
        world.add_rule()
        bucketd2.fault("slow", op="PutObject", delay_ms=3500, count=-1)
        key = put_twice_in_a_second(world, lambda key: world.repld.wait_for(
            lambda: "sending" in world.repld.ctl("explain", key, check=False).stdout, "the PUT"))
        bucketd2.clear_faults()
        world.settle()
        assert color(world, key) == "blue"


def test_metadata_rewritten_at_a_source_whose_clock_is_behind(bucketd, bucketd2, bucket):
    with make_world(bucketd, bucketd2, bucket) as world:
        world.add_rule()
        bucketd.set_clock(-60)
        try:
            key = put_twice_in_a_second(world, lambda key: world.repld.wait_for(
                lambda: key in world.destination_keys(), "the first version"))
            world.settle()
        finally:
            bucketd.set_clock(0)
        assert color(world, key) == "blue"


# --- 3: what a dead daemon sent must not come after what its successor did

def queued_bytes(port):
    """Bytes that senders to this local port have given to the kernel and nobody has read."""
    total = 0
    for row in (line.split() for line in open("/proc/net/tcp").readlines()[1:]):
        local, remote = (int(row[i].split(":")[1], 16) for i in (1, 2))
        unsent, unread = (int(number, 16) for number in row[4].split(":"))
        total += unsent if remote == port else unread if local == port else 0
    return total


class HeldLink(Link):
    """A link that stops taking bytes of one connection: they stay with the sender's kernel until
    release()."""

    def start(self):
        self.armed, self.caught, self.flows = None, threading.Event(), threading.Event()
        self.over = threading.Semaphore(0)
        super().start()

    def restore(self):
        super().restore()
        # For those that are accepted: what is held is held by the sender's kernel.
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    def hold_after(self, mark):
        """The next connection that sends `mark` stops there."""
        self.armed = mark

    def release(self):
        """Returns when the server has had all that came of it, and has answered or let go."""
        self.flows.set()
        for _ in range(2):
            assert self.over.acquire(timeout=30)

    def pump(self, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 12):
                if self.armed and self.armed in data:
                    self.armed, self.held = None, {source, target}
                    self.caught.set()
                    self.flows.wait(60)
                target.sendall(data)
        for sock, how in ((target, socket.SHUT_WR), (source, socket.SHUT_RD)):
            with contextlib.suppress(OSError):
                sock.shutdown(how)
        if self.caught.is_set() and source in self.held:
            self.over.release()
        with self.lock:
            self.open_sockets -= {source, target}


@pytest.fixture
def held(rgw):
    with HeldLink(rgw) as link:
        yield link


@pytest.mark.parametrize("kind", ["put", "delete"])
def test_bytes_of_a_dead_daemon_do_not_arrive_late(rgw, held, bucket, kind):
    """kill -9 while a PUT is in the kernel and the network. The next life brings a newer version (or
    a delete); then the old bytes would arrive."""
    with make_world(rgw, held, bucket) as world:
        world.add_rule("--deletes", "propagate")
        old, new = b"old" * 20000, b"new" * 1000
        held.hold_after(b"PUT /" + world.to_bucket.encode() + b"/k ")
        world.put("k", old)
        world.announce(["k"])
        assert held.caught.wait(20)
        world.repld.wait_for(lambda: queued_bytes(held.port) > len(old) - 4096, "bytes in the kernel")
        world.repld.kill9()
        if kind == "put":
            world.put("k", new)
        else:
            world.delete("k")
        world.repld.start()
        world.announce(["k"], kind)
        world.settle()
        held.release()
        if kind == "put":
            assert world.at_destination("k") == new
        else:
            assert world.destination_keys() == []


# --- 5: evidence is of now

@pytest.fixture
def link(bucketd2):
    with Link(bucketd2) as made:
        yield made


def test_evidence_for_a_delete_does_not_outlive_an_outage(bucketd, bucketd2, link, bucket):
    """The key is gone when the source is asked, and there again when the destination answers."""
    deletes = ("DeleteObject", "DeleteObjects")
    with make_world(bucketd, link, bucket) as world, no_faults(bucketd2):
        world.add_rule("--deletes", "propagate")
        world.put_all({"k": b"1", "other": b"2"})
        world.settle()
        before = requests(bucketd2, *deletes)
        for op in deletes:
            bucketd2.fault("hang", op=op, count=-1)
        world.announce([world.delete("k")], "delete")
        world.repld.wait_for(lambda: requests(bucketd2, *deletes) > before, "the delete")
        link.cut()
        bucketd2.clear_faults()
        world.repld.wait_for(lambda: world.repld.metric("repl_endpoint_up", endpoint="dst") == 0,
                             "the outage")
        world.put("k", b"1")
        before = requests(bucketd2, *deletes)
        link.restore()
        world.settle()
        assert requests(bucketd2, *deletes) == before, "the source has the key"
        assert world.at_destination("k") == b"1"


# --- 6: no abort beside a Complete that may be at work

def test_less_memory_does_not_abort_what_is_completing(bucketd, bucketd2, bucket, noise):
    """The parts no longer fit into the budget, but all of them are there and Complete was sent."""
    with Repld({"src": bucketd, "dst": bucketd2}, memory="128MiB", part_max="20MiB") as repld:
        world = World(bucketd, bucketd2, bucket, repld)
        with no_faults(bucketd2):
            world.add_rule()
            world.put_all({"first": noise(90 * MIB)})  # then the rate is known, and parts are large
            world.settle()
            aborts = requests(bucketd2, "AbortMultipartUpload")
            completes = requests(bucketd2, "CompleteMultipartUpload")
            bucketd2.fault("slow", op="CompleteMultipartUpload", delay_ms=6000, count=1)
            world.put("large", noise(90 * MIB))
            repld.append(world.from_bucket, ["large"], size=90 * MIB)
            repld.wait_for(lambda: requests(bucketd2, "CompleteMultipartUpload") > completes,
                           "Complete")
            repld.kill9()
            repld.write_conf(memory="64MiB", part_max="16MiB")
            repld.start()
            world.settle()
            assert requests(bucketd2, "AbortMultipartUpload") == aborts
            assert world.at_destination("large") == noise(90 * MIB)
