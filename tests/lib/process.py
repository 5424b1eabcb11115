"""Child processes of tests: they die with the test run, whatever happens to it."""

import collections
import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUILD_DIR", ROOT / "build"))
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class StartError(RuntimeError):
    """A server did not start; the text ends with the tail of its log."""


class Place:
    """Where a server of a test listens: on loopback of this machine, or at an end of a WAN."""

    address = "127.0.0.1"

    def entered(self):
        """While it is open, sockets of this thread, and processes and threads that it starts, are
        at the place. What they have made stays there."""
        return contextlib.nullcontext()


HERE = Place()


def die_with_parent():
    """For preexec_fn: the kernel kills this child when the test run ends."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


_ports = collections.deque(maxlen=256)  # sockets that hold what free_port() gave


def free_port():
    """A TCP port on loopback that the kernel gives to nobody else until 256 later ones, and that a
    server which sets SO_REUSEADDR may listen on: several test runs look for ports side by side."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    _ports.append(sock)
    return sock.getsockname()[1]


def port_answers(port, host="127.0.0.1"):
    with contextlib.closing(socket.socket()) as sock:
        sock.settimeout(1)
        return sock.connect_ex((host, port)) == 0


def tail(path, lines=30):
    try:
        with open(path, errors="replace") as log:
            return "".join(log.readlines()[-lines:])
    except OSError as error:
        return f"({error})\n"


def wait_until(condition, timeout_s, what, step_s=0.05):
    """Calls condition until it returns something true, and returns that."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_s} s")
        time.sleep(step_s)


@contextlib.contextmanager
def work_dir(prefix, parent=None):
    """A temporary folder that is gone afterwards, also after a failure."""
    path = tempfile.mkdtemp(prefix=f"repl-{prefix}-", dir=parent)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


class Process:
    """One program in a process group of its own, with its output in a log file."""

    def __init__(self, args, log_path, env=None, cwd=None):
        self.args = [str(arg) for arg in args]
        self.log_path = str(log_path)
        with open(self.log_path, "ab") as log:
            self.popen = subprocess.Popen(
                self.args, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})}, cwd=cwd, start_new_session=True,
                preexec_fn=die_with_parent)

    @property
    def pid(self):
        return self.popen.pid

    def is_running(self):
        return self.popen.poll() is None

    def wait_ready(self, is_ready, timeout_s=30):
        """Waits for is_ready(); fails at once, with the log, when the program ends before."""
        def check():
            if not self.is_running():
                raise StartError(f"{self.args[0]} ended with {self.popen.returncode}:\n"
                                 f"{tail(self.log_path)}")
            return is_ready()
        try:
            wait_until(check, timeout_s, self.args[0])
        except TimeoutError as error:
            self.kill()
            raise StartError(f"{error}:\n{tail(self.log_path)}") from None

    def signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            self.popen.send_signal(number)

    def stop(self, timeout_s=10):
        """SIGTERM, then SIGKILL to the whole group; returns the exit status."""
        if self.is_running():
            self.signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(timeout_s)
        return self.kill()

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        return self.popen.wait()
