"""A TCP forwarder in front of a server, which a test can cut off: an outage that loses nothing; and
a port that is not even refused."""

import contextlib
import socket
import threading

from .servers import Server


@contextlib.contextmanager
def deaf_port():
    """A port whose queue of connections is full: no SYN is answered there any more."""
    with contextlib.ExitStack() as held:
        listener = held.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            full = held.enter_context(socket.socket())
            full.setblocking(False)
            full.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


class Link(Server):
    """The server behind it, at another port. cut() breaks all connections and refuses new ones
    until restore()."""

    def __init__(self, backend):
        super().__init__()
        self.backend = backend
        self.kind, self.region = backend.kind, backend.region
        self.access_key, self.secret_key = backend.access_key, backend.secret_key

    def start(self):
        host, port = self.backend.url.removeprefix("http://").split(":")
        self.target = (host, int(port))
        self.lock, self.open_sockets, self.listener = threading.Lock(), set(), None
        self.port = 0
        self.restore()
        self.url = f"http://127.0.0.1:{self.port}"

    def __exit__(self, *args):
        self.cut()
        super().__exit__(*args)

    def restore(self):
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def cut(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self.listener.close()
        with self.lock:
            doomed, self.open_sockets = self.open_sockets, set()
        for sock in doomed:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                self.join(client)

    def join(self, client):
        try:
            server = socket.create_connection(self.target)
        except OSError:
            client.close()
            return
        with self.lock:
            self.open_sockets |= {client, server}
        for one, other in ((client, server), (server, client)):
            threading.Thread(target=self.pump, args=(one, other), daemon=True).start()

    def pump(self, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 18):
                target.sendall(data)
        for sock in (source, target):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        with self.lock:
            self.open_sockets -= {source, target}
