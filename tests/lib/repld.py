"""repld and replctl for tests: one daemon with a work folder of its own.

    with Repld({"src": source, "dst": destination}) as repld:
        repld.add_rule("pages", "src/bucket/in/", "dst/bucket/out/")
        repld.append("bucket", ["in/1", "in/2"])
        repld.wait("pages")

The work folder, with configuration, credentials, journal and log, goes away with the daemon. A test
fails when the daemon does not end with 0, or when a sanitizer or valgrind wrote a report.
"""

import contextlib
import json
import os
import pathlib
import re
import shlex
import signal
import socket
import subprocess
import urllib.request

import yaml

from .process import BUILD, HERE, Process, free_port, tail, wait_until, work_dir

WRAP = shlex.split(os.environ.get("REPL_WRAP", ""))
FOLDER = os.environ.get("REPL_FOLDER") or None  # of journals and logs; None: as Python chooses
# Sanitizers and valgrind are slow; limits of tests are for a plain build.
SLOW = 6 if WRAP else 3 if re.search(r"-(asan|tsan)$", str(BUILD)) else 1
REPORT = re.compile(r"(ERROR: (Address|Leak|Memory)Sanitizer|WARNING: ThreadSanitizer"
                    r"|runtime error:|^==\d+== .*(Invalid|uninitiali|definitely lost))", re.MULTILINE)
MARKER = "repl-source"


def program(name):
    return BUILD / ("daemon" if name == "repld" else "cli") / name


def check_report(text, what):
    """Fails with the report when a sanitizer or valgrind wrote one."""
    found = REPORT.search(text)
    assert not found, f"{what}:\n{text[max(0, found.start() - 200):found.start() + 6000]}"


def command(name, *args, input=None, env=None, timeout=120, cwd=None):
    """Runs one of the programs to its end: CompletedProcess with text."""
    done = subprocess.run([*WRAP, program(name), *map(str, args)], input=input or "",
                          capture_output=True, text=True, errors="replace", cwd=cwd,
                          timeout=timeout * SLOW, env={**os.environ, **(env or {})})
    check_report(done.stderr, f"{name} {' '.join(map(str, args))}")
    return done


def write_credentials(path, endpoints):
    """An AWS credentials file with one profile for each endpoint."""
    path.write_text("".join(
        f"[{name}]\naws_access_key_id = {server.access_key}\n"
        f"aws_secret_access_key = {server.secret_key}\n\n" for name, server in endpoints.items()))
    path.chmod(0o600)
    return path


def endpoint_conf(name, server, credentials):
    conf = {"kind": "s3", "url": server.url, "region": server.region,
            "credentials": {"file": str(credentials), "profile": name}}
    if server.ca_file:
        conf["ca_file"] = server.ca_file
    return conf


class Repld:
    """endpoints: name → server. place: where it runs; its control socket is reached from anywhere.
    Further arguments are top-level keys of the configuration."""

    def __init__(self, endpoints, endpoint_options=None, place=HERE, **conf):
        self.place = place
        self.endpoints = endpoints
        self.endpoint_options = endpoint_options or {}
        self.conf = {"instance": "test", "memory": "128MiB", "shutdown": "5s",
                     "log": {"level": "info", "format": "text"}, **conf}
        self.process = None
        self.reports_checked = 0

    def __enter__(self):
        self._stack = contextlib.ExitStack()
        self.dir = pathlib.Path(self._stack.enter_context(work_dir("repld", FOLDER)))
        self.socket = self.dir / "control.sock"
        self.journal_path = self.dir / "journal.db"
        self.log_path = self.dir / "repld.log"
        self.metrics_port = free_port()
        self.credentials = write_credentials(self.dir / "credentials", self.endpoints)
        try:
            self.write_conf()
            self.start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, kind, *_):
        try:
            if self.process is not None:
                status = self.process.stop(timeout_s=20 * SLOW)
                if kind is None:
                    assert status == 0, f"repld ended with {status}:\n{tail(self.log_path, 60)}"
            if kind is not None:
                print(f"--- the log of repld\n{tail(self.log_path, 80)}---")
            check_report(self.logs(), "repld")
        finally:
            if self.process is not None:
                self.process.kill()
            self._stack.close()

    def write_conf(self, **changes):
        """Writes the configuration; changes replace top-level keys from now on."""
        self.conf.update(changes)
        endpoints = {
            name: {**endpoint_conf(name, server, self.credentials),
                   **self.endpoint_options.get(name, {})}
            for name, server in self.endpoints.items()}
        whole = {"journal": {"path": str(self.journal_path)},
                 "admin": {"socket": str(self.socket)},
                 "metrics": {"listen": f"127.0.0.1:{self.metrics_port}"},
                 "endpoints": endpoints, **self.conf}
        self.conf_path = self.dir / "repld.yaml"
        self.conf_path.write_text(yaml.safe_dump(whole, sort_keys=False))

    def start(self):
        with self.place.entered():
            self.process = Process([*WRAP, program("repld"), "--config", self.conf_path],
                                   self.log_path, cwd=self.dir)
        self.process.wait_ready(self.answers, timeout_s=30 * SLOW)

    def answers(self):
        """Whether the control socket speaks HTTP."""
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as sock:
            sock.settimeout(5)
            try:
                sock.connect(str(self.socket))
                sock.sendall(b"GET / HTTP/1.1\r\nHost: repld\r\nConnection: close\r\n\r\n")
                return sock.recv(16).startswith(b"HTTP/1.1")
            except OSError:
                return False

    def stop(self):
        status = self.process.stop(timeout_s=20 * SLOW)
        assert status == 0, f"repld ended with {status}:\n{tail(self.log_path, 60)}"

    def kill9(self):
        self.process.signal(signal.SIGKILL)
        self.process.popen.wait()

    def restart(self):
        self.stop()
        self.start()

    def logs(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    # --- replctl ---

    def ctl(self, *args, check=True, input=None, json_out=False, timeout=120):
        """replctl with this daemon's socket; what it printed as JSON with json_out."""
        flags = ["--json"] if json_out else []
        done = command("replctl", "--socket", self.socket, *flags, *args, input=input,
                       timeout=timeout)
        if check or json_out:
            assert done.returncode == 0, (f"replctl {' '.join(map(str, args))}: exit "
                                          f"{done.returncode}\n{done.stdout}{done.stderr}")
        return json.loads(done.stdout) if json_out else done

    def add_rule(self, name, source, destination, *options):
        return self.ctl("rule", "add", name, "--source", source, "--destination", destination,
                        *options)

    def append(self, bucket, keys, kind="put", **fields):
        """One durable append of many changes."""
        lines = [json.dumps({"bucket": bucket, "key": key, "kind": kind, **fields}) + "\n"
                 for key in keys]
        return self.ctl("journal", "append", input="".join(lines))

    def wait(self, rule, timeout_s=120, until="now"):
        """Until the watermark has passed now."""
        timeout_s *= SLOW
        done = self.ctl("wait", rule, "--until", until, "--timeout", timeout_s, check=False,
                        timeout=timeout_s + 30)
        assert done.returncode == 0, (
            f"{done.stdout}{done.stderr}{self.ctl('status', check=False).stdout}"
            f"{self.ctl('failures', 'list', check=False).stdout}")

    def wait_for(self, condition, what, timeout_s=60):
        return wait_until(condition, timeout_s * SLOW, what)

    # --- metrics ---

    def metrics_text(self):
        url = f"http://127.0.0.1:{self.metrics_port}/metrics"
        with self.place.entered(), urllib.request.urlopen(url, timeout=10 * SLOW) as answer:
            return answer.read().decode()

    def metrics(self):
        """Sample name with its labels, as written → value."""
        samples = {}
        for line in self.metrics_text().splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                samples[name] = float(value)
        return samples

    def metric(self, name, **labels):
        """The sum of all samples of a name that carry the labels."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(value for sample, value in self.metrics().items()
                   if sample.split("{")[0] == name and all(label in sample for label in wanted))
