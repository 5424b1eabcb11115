"""What a server of the bed takes on its own loopback, from a client that does next to nothing: the
same signed PUT again and again on some connections. bucketd's must be well above what a row
reaches, or the server was what the row measured; a real server's says how much of a row is its
doing."""

import hashlib
import selectors
import socket
import time
import urllib.parse

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from lib.movers import MIB

from .line import line

SECONDS = 3
TIMES_THE_ROW = 2


def _signed_put(server, bucket, body):
    request = AWSRequest("PUT", f"{server.url}/{bucket}/ceiling", data=body, headers={
        "x-amz-content-sha256": hashlib.sha256(body).hexdigest()})
    S3SigV4Auth(Credentials(server.access_key, server.secret_key), "s3",
                server.region).add_auth(request)
    where = urllib.parse.urlsplit(request.url)
    lines = [f"PUT {where.path} HTTP/1.1", f"Host: {where.netloc}",
             *(f"{name}: {value}" for name, value in request.headers.items()),
             f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class _Client:
    """One connection that sends a request, waits for the answer, and again."""

    def __init__(self, address, request):
        self.sock = socket.create_connection(address)
        self.sock.setblocking(False)
        self.request = memoryview(request)
        self.left, self.answers = self.request, 0

    def turn(self, can_read, goes_on):
        """The event it waits for; None when it has its last answer."""
        if can_read:
            answer = self.sock.recv(65536)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"the server does not take it: {answer[:400]!r}")
            self.answers += 1
            if not goes_on:
                return None
            self.left = self.request
        if len(self.left) > 0:
            try:
                self.left = self.left[self.sock.send(self.left[:MIB]):]
            except BlockingIOError:
                pass
        return selectors.EVENT_WRITE if len(self.left) > 0 else selectors.EVENT_READ


def _puts_per_s(server, bucket, size, connections):
    host, port = server.url.removeprefix("http://").split(":")
    request = _signed_put(server, bucket, bytes(size))
    clients = [_Client((host, int(port)), request) for _ in range(connections)]
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client.sock, client.turn(False, True), client)
        start = time.monotonic()
        while time.monotonic() < start + SECONDS:
            _turn(selector, goes_on=True)
        rate = sum(client.answers for client in clients) / (time.monotonic() - start)
        # A server goes on with what it has begun, in a bucket that is to be emptied.
        while selector.get_map():
            _turn(selector, goes_on=False)
    for client in clients:
        client.sock.close()
    return rate


def _turn(selector, goes_on):
    for key, events in selector.select(1):
        wanted = key.data.turn(events == selectors.EVENT_READ, goes_on)
        if wanted is None:
            selector.unregister(key.fileobj)
        elif wanted != key.events:
            selector.modify(key.fileobj, wanted, key.data)


def _line(row, bed, size, connections, value, unit, factor):
    with bed.target() as bucket, bed.wan.far.entered():
        rate = _puts_per_s(bed.backend, bucket, size, connections) * factor
    return line(f"{row}/ceiling", rate, unit, value, server=bed.server,
                least=TIMES_THE_ROW if bed.server == "bucketd" else None)


def bulk(row, bed, mbps):
    """Parts of 16 MiB."""
    return _line(row, bed, 16 * MIB, 8, mbps, "Mbit/s", 16 * MIB * 8 / 1e6)


def small(row, bed, objects_per_s):
    return _line(row, bed, bed.loads[0].size, 64, objects_per_s, "objects/s", 1)
