"""Promises under attack: copies. What happens rarely is made to happen."""

import contextlib
import socket
import threading

import pytest

from lib.proxy import Link
from lib.world import make_world


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
