"""Where rows are measured: a path, a source at its near end with objects made up, a destination at
its far end that throws them away; real servers in their place, which keep what they get."""

import contextlib
import dataclasses
import os
import pathlib

from lib import servers
from lib.bucketd import Bucketd
from lib.movers import Job, MIB, Replctl
from lib.process import StartError, work_dir
from lib.wan import Wan

from .course import Course

SEGMENT, PACKET = 1448, 1500
PATH = {"rate": "500mbit", "rtt": "150ms", "queue": "100ms", "congestion": "bbr"}
RTT_S, QUEUE_S = 0.150, 0.100
SOURCE = "source"
PART_LEAST = 5 * MIB
SERVERS = {"bucketd": lambda: Bucketd("--discard"), "rgw": servers.Rgw, "minio": servers.Minio}
FILL_S = 120


def check_ends(text):
    """Which servers, of SERVERS: DESTINATION or SOURCE:DESTINATION; (source, destination)."""
    source, _, destination = text.rpartition(":")
    ends = (source or "bucketd", destination)
    unknown = [name for name in ends if name not in SERVERS]
    if unknown:
        raise ValueError(f"no server {unknown[0]}: one of {', '.join(SERVERS)}")
    return ends


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
    """One job of one program over the path."""

    name: str
    load: Load
    ran: object
    course: Course
    target: str
    uploads: int = None  # parts, or small objects, that the destination began to receive; None: unknown
    received: int = None  # bytes of bodies that the destination got; None: unknown

    @property
    def done(self):
        """The share that was delivered; where the server cannot tell, reckoned from the packets
        that passed, what TCP sent twice included."""
        if self.ran.status == 0:
            return 1.0
        payload = self.course.passed_bytes * SEGMENT / PACKET
        return min(1.0, (payload if self.received is None else self.received) / self.load.bytes)

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
    """ends: as check_ends() takes them. path: settings of the Wan that differ from PATH. front:
    options of an nghttpx that is put before the destination; None for none."""

    def __init__(self, loads, ends="bucketd", front=None, **path):
        self.loads = loads if isinstance(loads, (list, tuple)) else [loads]
        self.source_kind, self.server = check_ends(ends)
        self.front, self.path = front, {**PATH, **path}
        self._targets = 0

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.dir = pathlib.Path(stack.enter_context(work_dir("score")))
            self.wan = stack.enter_context(Wan(**self.path))
            self.source = self._start_source(stack)
            self.backend = stack.enter_context(SERVERS[self.server]().at(self.wan.far))
            self.destination = self.backend
            if self.front is not None:
                self.destination = stack.enter_context(
                    servers.Nghttpx(self.backend, *self.front).at(self.wan.far))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def _start_source(self, stack):
        """A bucketd that makes the objects up; another server gets them from it first."""
        synths = [word for load in self.loads
                  for word in ("--synth", f"{SOURCE}:{load.prefix}:{load.count}:{load.size}")]
        synth = Bucketd(*synths).at(self.wan.near)
        if self.source_kind == "bucketd":
            return stack.enter_context(synth)
        source = stack.enter_context(SERVERS[self.source_kind]().at(self.wan.near))
        with self.wan.near.entered():
            servers.s3_client(source).create_bucket(Bucket=SOURCE)
        with synth:
            job = Job(self.dir, synth, SOURCE, source, SOURCE)
            filled = Replctl().run(job, self.wan.near, FILL_S)
        if filled.status is None:
            raise StartError(f"{self.source_kind} was not filled within {FILL_S} s")
        return source

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
            before = self._taken()
            with Course(self.wan, events) as course:
                ran = mover.run(job, self.wan.near, limit_s)
            taken = [now - then for now, then in zip(self._taken(), before)]
        return Run(mover.name, load, ran, course, target, *taken)

    def _taken(self):
        """What the destination was sent so far: uploads and bytes, where it can tell."""
        if self.server != "bucketd":
            return []
        stats = self.backend.stats()
        operation = "UploadPart" if self.loads[0].size > PART_LEAST else "PutObject"
        return [stats["requests"].get(operation, 0), stats["bytes_in"]]

    def files(self, load):
        """The objects as files, for programs that read only those; holes, which cost nothing."""
        folder = self.dir / "files"
        if not folder.exists() and load.size >= MIB:
            folder.mkdir()
            for number in range(load.count):
                with open(folder / f"{number:08d}", "wb") as file:
                    os.truncate(file.fileno(), load.size)
        return folder
