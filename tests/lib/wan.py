"""A long, lossy path of the test's own: two network namespaces and tests/wan between them.

    with Wan(rate="500mbit", rtt="150ms", queue="100ms", loss="1%") as wan, \\
            Bucketd().at(wan.near) as source, Bucketd().at(wan.far) as destination, \\
            Repld({"src": source, "dst": destination}, place=wan.near) as repld:
        with wan.near.entered():      # this thread, and what it starts, is at the near end
            s3_client(destination)... # over the WAN
        wan.set("up", loss="5%")      # from near to far only
        wan.outage(30)
        wan.stats()["up"]["loss"]["packets"]

Each end is a Place (see process.py) with an address, which both ends and nobody else can reach, and
a loopback of its own. Settings are those of `tests/wan/wan --help`. Needs root; raises Missing
without. Both namespaces and all that runs in them are gone afterwards; those of a test run that was
killed go when the next Wan starts.
"""

import contextlib
import ctypes
import itertools
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading

from .process import BUILD, Place, Process, StartError, tail, wait_until, work_dir
from .servers import Missing, need, run

PREFIX = "replwan"
NETNS = pathlib.Path("/run/netns")
DEVICE = "wan0"
ADDRESSES = {"near": "10.77.0.1", "far": "10.77.0.2"}
CLONE_NEWNET = 0x40000000
# The device must hold what comes while the emulator waits for a processor.
DEVICE_QUEUE = 20000

_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count()


def _setns(fd):
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class End(Place):
    """One side of a WAN."""

    def __init__(self, side, netns):
        self.side, self.netns, self.address = side, netns, ADDRESSES[side]
        # For command lines; what is started inside entered() needs none.
        self.prefix = ["ip", "netns", "exec", netns]

    @contextlib.contextmanager
    def entered(self):
        with open("/proc/thread-self/ns/net") as before, open(NETNS / self.netns) as here:
            _setns(here.fileno())
            try:
                yield
            finally:
                _setns(before.fileno())


def _owner(pid):
    """PID and start time of a process, which nobody else will ever have; None when it is gone."""
    with contextlib.suppress(OSError):
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
        return f"{pid}-{stat.rsplit(')', 1)[1].split()[19]}"
    return None


def _remove_netns(name):
    """The namespace with all processes in it."""
    listed = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True)
    for pid in listed.stdout.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    subprocess.run(["ip", "netns", "delete", name], capture_output=True)


def remove_leftovers():
    """Namespaces of test runs that are no more."""
    for path in NETNS.glob(f"{PREFIX}-*"):
        match = re.fullmatch(rf"{PREFIX}-((\d+)-\d+)-\d+-(near|far)", path.name)
        if match and _owner(match[2]) != match[1]:
            _remove_netns(path.name)


def _times(text, factor):
    """"150ms" × 0.5 = "75ms"."""
    number, unit = re.fullmatch(r"([0-9.]+)(\D*)", str(text)).groups()
    return f"{float(number) * factor}{unit}"


def check_possible():
    """Raises Missing when this machine or user cannot have a WAN."""
    need("ip")
    if os.geteuid() != 0:
        raise Missing("a WAN needs root (network namespaces and TUN devices)", optional=True)
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        raise Missing("a WAN needs /dev/net/tun", optional=True)


class Wan:
    """rtt is delay both ways; other settings hold for both directions, too, except those that a
    path has in the direction of the data: jitter, loss, burst, policer and bucket are for near → far
    only. Use set() for anything else. A rate without queue gets a queue of 100 ms.

    congestion: None for the kernel's default; "cubic" or "bbr" for that one at both ends (metric
    congctl of the route: it also overrides what a socket has asked for before it connects, but not
    what it asks for later); "lock cubic" so that a socket cannot change it at all.
    sysctls: name → value, set in both namespaces.
    log: path of a file that gets a line for every drop. seed: of the losses and the jitter."""

    ONE_WAY = ("jitter", "loss", "burst", "policer", "bucket")

    def __init__(self, rtt="0ms", congestion=None, sysctls=None, log=None, seed=None, **settings):
        self.settings = {"delay": _times(rtt, 0.5), **settings}
        self.congestion, self.sysctls = congestion, sysctls or {}
        self.log, self.seed = log, seed
        self._lock = threading.Lock()  # one command and its answer at a time

    def __enter__(self):
        check_possible()
        remove_leftovers()
        base = f"{PREFIX}-{_owner(os.getpid())}-{next(_numbers)}"
        self.near, self.far = (End(side, f"{base}-{side}") for side in ADDRESSES)
        self.ends = (self.near, self.far)
        with contextlib.ExitStack() as stack:
            self.dir = pathlib.Path(stack.enter_context(work_dir("wan")))
            for end in self.ends:
                stack.callback(_remove_netns, end.netns)
                try:
                    run("ip", "netns", "add", end.netns)
                except StartError as error:
                    raise Missing(f"a WAN needs network namespaces: {error}", optional=True)
            self._start(stack)
            for end, other in (self.ends, self.ends[::-1]):
                self._configure(end, other)
            one_way = {key: self.settings[key] for key in self.ONE_WAY if key in self.settings}
            self.set(**{key: value for key, value in self.settings.items() if key not in one_way})
            self.set("up", **one_way)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def _start(self, stack):
        program, control = BUILD / "tests/wan/wan", self.dir / "control"
        if not program.exists():
            raise StartError(f"{program} is not built")
        options = [f"--log={self.log}"] if self.log else []
        options += [f"--seed={self.seed}"] if self.seed is not None else []
        log = self.dir / "wan.log"
        self.process = Process([program, "--near", self.near.netns, "--far", self.far.netns,
                                "--control", control, *options], log)
        stack.callback(self.process.stop)
        self.process.wait_ready(lambda: "ready" in log.read_text())
        self._socket = stack.enter_context(
            contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)))
        self._socket.settimeout(10)
        self._socket.connect(str(control))

    def _configure(self, end, other):
        ip = ["ip", "-n", end.netns]
        with end.entered():
            # Nothing on the path but what the test sends.
            for path in pathlib.Path("/proc/sys/net/ipv6/conf").glob("all/disable_ipv6"):
                path.write_text("1")
            for name, value in self.sysctls.items():
                pathlib.Path("/proc/sys", name.replace(".", "/")).write_text(str(value))
        run(*ip, "link", "set", "lo", "up")
        run(*ip, "link", "set", DEVICE, "mtu", 1500, "txqueuelen", DEVICE_QUEUE, "up")
        run(*ip, "address", "add", end.address, "peer", other.address, "dev", DEVICE)
        if self.congestion:
            run(*ip, "route", "replace", other.address, "dev", DEVICE, "src", end.address,
                "congctl", *self.congestion.split())

    def command(self, text):
        """One command of the control socket; its answer."""
        with self._lock:
            self._socket.sendall(text.encode())
            answer = json.loads(self._socket.recv(1 << 16))
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer

    def set(self, way="both", **settings):
        """Changes settings now; way is "up" (near → far), "down" or "both". rtt= is both halves."""
        if "rtt" in settings:
            settings["delay"] = _times(settings.pop("rtt"), 0.5)
        if settings:
            self.command(f"set {way} " + " ".join(f"{k}={v}" for k, v in settings.items()))

    def outage(self, seconds, way="both"):
        """Drops all that comes from now on; 0 ends it at once. Does not wait."""
        self.command(f"outage {way} {seconds}s")

    def stats(self):
        """The counters of the emulator, and by direction `device`: packets that its device dropped
        before the emulator saw them (more than a few: the machine is too slow)."""
        found = self.command("stats")
        for end, way in zip(self.ends, ("up", "down")):
            shown = run("ip", "-n", end.netns, "-j", "-s", "link", "show", DEVICE)
            found[way]["device"] = json.loads(shown)[0]["stats64"]["tx"]["dropped"]
        return found

    def iperf(self, *options, timeout=120, port=5201):
        """The last part of iperf3's report on a transfer from near to far, see iperf3(1)."""
        need("iperf3")
        log = self.dir / f"iperf3-{port}.log"
        log.unlink(missing_ok=True)
        with self.far.entered():
            server = Process(["iperf3", "--server", "--one-off", "--forceflush", "--port", port], log)
        try:
            server.wait_ready(lambda: "listening" in log.read_text())
            done = self.run_in("near", "iperf3", "--client", self.far.address, "--port", port,
                               "--json", *options, timeout=timeout)
        finally:
            server.kill()
        return json.loads(done.stdout)["end"]

    def run_in(self, end, *command, timeout=120, check=True):
        """Runs a command at an end ("near", "far" or the End) to its end: CompletedProcess."""
        end = end if isinstance(end, End) else getattr(self, end)
        done = subprocess.run([*end.prefix, *map(str, command)], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=timeout)
        if check and done.returncode != 0:
            raise StartError(f"{' '.join(map(str, command))}: exit {done.returncode}\n"
                             f"{done.stdout}{done.stderr}")
        return done
