"""Where rows are measured: a path, a source at its near end with objects made up, a destination at
its far end that throws them away."""

import contextlib
import dataclasses
import os
import pathlib

from lib import servers
from lib.bucketd import Bucketd
from lib.movers import Job, MIB
from lib.process import work_dir
from lib.wan import Wan

from .course import Course

SEGMENT, PACKET = 1448, 1500
PATH = {"rate": "500mbit", "rtt": "150ms", "queue": "100ms", "congestion": "bbr"}
RTT_S, QUEUE_S = 0.150, 0.100
SOURCE = "source"
PART_LEAST = 5 * MIB
DESTINATIONS = {"bucketd": lambda: Bucketd("--discard"), "rgw": servers.Rgw,
                "minio": servers.Minio}


@dataclasses.dataclass(frozen=True)
class Load:
    """So many objects of a size."""

    count: int
    size: int
    prefix: str = "o/"

    @property
    def bytes(self):
        return self.count * self.size

    def scaled(self, factor):
        return dataclasses.replace(self, count=max(1, round(self.count * factor)))


@dataclasses.dataclass
class Run:
    """One job of one program over the path. What was delivered when it was stopped early is
    reckoned from the packets that passed."""

    name: str
    load: Load
    ran: object
    course: Course
    target: str
    uploads: int = None  # parts, or small objects, that the destination began to receive; None: unknown

    @property
    def done(self):
        if self.ran.status == 0:
            return 1.0
        payload = self.course.passed_bytes * SEGMENT / PACKET
        return min(1.0, payload / self.load.bytes)

    @property
    def mbps(self):
        return self.done * self.load.bytes * 8 / self.ran.wall_s / 1e6

    @property
    def objects_per_s(self):
        return self.done * self.load.count / self.ran.wall_s

    @property
    def middle_objects_per_s(self):
        """Between 10 and 90 % of the bytes."""
        seconds = self.course.when(0.9) - self.course.when(0.1)
        return 0.8 * self.done * self.load.count / max(seconds, 1e-9)

    @property
    def middle_mbps(self):
        return self.middle_objects_per_s * self.load.size * 8 / 1e6

    @property
    def cpu_ms_per_object(self):
        return self.ran.cpu_s * 1000 / max(1, self.done * self.load.count)

    def figures(self):
        """What every row says of its run besides its value."""
        return {"done": round(self.done, 3), "wall_s": round(self.ran.wall_s, 1),
                "lanes": self.course.peak_connections, "uploads": self.uploads,
                "sent_per_delivered": round(
                    self.course.sent_bytes / max(1, self.done * self.load.bytes), 4),
                "rss_mib": round(self.ran.rss_mib), "cpu_s": round(self.ran.cpu_s, 2)}


class Bed:
    """path: settings of the Wan that differ from PATH. front: options of an nghttpx that is put
    before the destination; None for none."""

    def __init__(self, loads, server="bucketd", front=None, **path):
        self.loads = loads if isinstance(loads, (list, tuple)) else [loads]
        self.server, self.front, self.path = server, front, {**PATH, **path}
        self._targets = 0

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.dir = pathlib.Path(stack.enter_context(work_dir("score")))
            self.wan = stack.enter_context(Wan(**self.path))
            synths = [word for load in self.loads
                      for word in ("--synth", f"{SOURCE}:{load.prefix}:{load.count}:{load.size}")]
            self.source = stack.enter_context(Bucketd(*synths).at(self.wan.near))
            self.backend = stack.enter_context(DESTINATIONS[self.server]().at(self.wan.far))
            self.destination = self.backend
            if self.front is not None:
                self.destination = stack.enter_context(
                    servers.Nghttpx(self.backend, *self.front).at(self.wan.far))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    @contextlib.contextmanager
    def target(self):
        """A new bucket at the destination, which is emptied afterwards if the server keeps it."""
        self._targets += 1
        name = f"target-{self._targets}"
        with self.wan.far.entered():
            servers.s3_client(self.backend).create_bucket(Bucket=name)
        yield name
        if self.server != "bucketd":
            with self.wan.far.entered():
                servers.empty_bucket(self.backend, name)

    def run(self, mover, limit_s, destination=None, events=()):
        """One job of all objects, stopped after limit_s. destination: another way to the one of the
        bed. events: (seconds after the start, what is called then)."""
        (load,) = self.loads
        with self.target() as target:
            job = Job(self.dir, self.source, SOURCE, destination or self.destination, target,
                      self.files(load))
            before = self._uploads()
            with Course(self.wan, events) as course:
                ran = mover.run(job, self.wan.near, limit_s)
            uploads = None if before is None else self._uploads() - before
        return Run(mover.name, load, ran, course, target, uploads)

    def _uploads(self):
        if self.server != "bucketd":
            return None
        operation = "UploadPart" if self.loads[0].size > PART_LEAST else "PutObject"
        return self.backend.stats()["requests"].get(operation, 0)

    def files(self, load):
        """The objects as files, for programs that read only those; holes, which cost nothing."""
        folder = self.dir / "files"
        if not folder.exists() and load.size >= MIB:
            folder.mkdir()
            for number in range(load.count):
                with open(folder / f"{number:08d}", "wb") as file:
                    os.truncate(file.fileno(), load.size)
        return folder
