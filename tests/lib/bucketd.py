"""bucketd, our own S3 server for tests, as a Server: it also takes faults and shifts its clock."""

import contextlib
import json
import urllib.request

from .process import BUILD, StartError
from .servers import Server


@contextlib.contextmanager
def no_faults(server):
    """None are left for other tests."""
    try:
        yield
    finally:
        server.clear_faults()


def program():
    path = BUILD / "tests/bucketd/bucketd"
    if not path.exists():
        raise StartError(f"{path} is not built")
    return path


class Bucketd(Server):
    """Arguments go to the program as they are. folder=True keeps objects over a restart()."""

    kind = "bucketd"

    def __init__(self, *args, folder=False, region="us-east-1"):
        super().__init__()
        self.args = args
        self.folder = folder
        self.region = region
        self._port = 0

    def start(self):
        log = self.dir / f"bucketd-{len(self._processes)}.log"
        args = [program(), f"--listen={self.place.address}:{self._port}",
                f"--region={self.region}", *self.args]
        if self.folder:
            args.append(f"--folder={self.dir / 'store'}")
        process = self.spawn(log.stem, *args, env={"BUCKETD_ACCESS_KEY": self.access_key,
                                                   "BUCKETD_SECRET_KEY": self.secret_key})
        process.wait_ready(lambda: "listening on " in log.read_text(errors="replace"))
        line = next(line for line in log.read_text().splitlines() if "listening on " in line)
        self.url = line.split("listening on ", 1)[1].strip()
        self._port = int(self.url.rsplit(":", 1)[1])

    @property
    def process(self):
        return self._processes[-1]

    def restart(self, kill=False):
        """Stops (or kills) the program and starts it on the same port. Without a folder it comes
        back empty; open uploads never come back."""
        if kill:
            self.process.kill()
        else:
            self.process.stop()
        self.launch()

    def _control(self, method, name, document=None):
        data = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(f"{self.url}/_bucketd/{name}", data=data, method=method)
        with self.place.entered(), urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read()

    def fault(self, action, op="*", **members):
        """Members: key_prefix, status, code, after_bytes, keys, delay_ms, count (1; -1 = always)
        and skip; what they mean stands in tests/bucketd/fault.h."""
        self._control("POST", "fault", {"action": action, "op": op, **members})

    def clear_faults(self):
        """Forgets all faults and ends the connections that hang."""
        self._control("DELETE", "fault")

    def set_clock(self, skew_s):
        self._control("POST", "clock", {"skew_s": skew_s})

    def stats(self):
        """requests and errors by operation, bytes_in (as they come), bytes_out, open_uploads,
        connections and connections_open."""
        return json.loads(self._control("GET", "stats"))
