"""Programs that bring the objects of a bucket to another server, each with settings: ours, and the
peers that it is measured beside.

    job = Job(work, source, "source", destination, "target")
    for mover in (Replctl(), *peers("bulk")):
        ran = mover.run(job, place=wan.near, limit_s=120)

A setting of a peer is one that has been its best somewhere; which is best here is measured.
"""

import dataclasses
import os
import pathlib
import subprocess
import time

import yaml

from . import servers
from .process import BUILD, HERE, StartError, die_with_parent, tail
from .repld import endpoint_conf, write_credentials

MIB = 1 << 20


@dataclasses.dataclass
class Job:
    """From all of one bucket to another. work is a folder for configuration and journals; folder
    holds the same objects as files, for a program that cannot read from another server."""

    work: pathlib.Path
    source: servers.Server
    bucket: str
    destination: servers.Server
    target: str
    folder: pathlib.Path = None


@dataclasses.dataclass
class Ran:
    """One run of a program. rss_mib is the most memory it held; status is None when its time was
    up and it was killed; log is the path of what it wrote."""

    wall_s: float
    cpu_s: float
    rss_mib: float
    status: int
    log: pathlib.Path


def _peak_mib(pid):
    """The most memory that a running program held, 0 when it is gone. The kernel's own figure at
    the end (ru_maxrss) also holds what this process had when it forked."""
    try:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0


def _wait(popen, limit_s):
    """(status or None, rusage, MiB)"""
    deadline, peak = time.monotonic() + limit_s, 0
    status = None
    while True:
        peak = max(peak, _peak_mib(popen.pid))
        pid, raw, usage = os.wait4(popen.pid, os.WNOHANG if status is None else 0)
        if pid != 0:
            popen.returncode = os.waitstatus_to_exitcode(raw)
            return (popen.returncode if status is None else None), usage, peak
        if time.monotonic() > deadline:
            status = "killed"
            popen.kill()
        else:
            time.sleep(0.02)


def run(command, place=HERE, limit_s=600, env=None, log="/dev/null"):
    """Runs a command at a place, for limit_s at most: Ran."""
    with place.entered(), open(log, "wb") as out:
        start = time.monotonic()
        popen = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=out,
                                 stderr=subprocess.STDOUT, env=env,
                                 preexec_fn=die_with_parent)
    status, usage, peak = _wait(popen, limit_s)
    return Ran(time.monotonic() - start, usage.ru_utime + usage.ru_stime, peak, status, log)


class Mover:
    """program is its name with version, name has the setting, too; command() and environment() are
    for a Job."""

    program = name = ""

    def command(self, job):
        raise NotImplementedError

    def environment(self, job):
        return servers.rclone_environment()

    def run(self, job, place=HERE, limit_s=600):
        """Raises StartError when the program fails."""
        ran = run(self.command(job), place, limit_s, self.environment(job),
                  job.work / f"{job.target}.log")
        if ran.status not in (0, None):
            raise StartError(f"{self.name}: exit {ran.status}\n{tail(ran.log)}")
        return ran


class Replctl(Mover):
    """`replctl migrate`; memory is its budget, options are of the destination's endpoint."""

    program = name = "replctl"

    def __init__(self, log_level="warning", memory="512MiB", **options):
        self.log_level, self.memory, self.options = log_level, memory, options

    def command(self, job):
        ends = {"near": job.source, "far": job.destination}
        credentials = write_credentials(job.work / "credentials", ends)
        endpoints = {name: endpoint_conf(name, server, credentials)
                     for name, server in ends.items()}
        endpoints["far"].update(self.options)
        conf = job.work / f"{job.target}.yaml"
        conf.write_text(yaml.safe_dump({"endpoints": endpoints}))
        return [BUILD / "cli/replctl", "migrate", f"near/{job.bucket}/", f"far/{job.target}/",
                "--config", conf, "--journal", job.work / f"{job.target}.db", "--json",
                "--memory", self.memory, "--log-level", self.log_level]


class Rclone(Mover):
    def __init__(self, path, *options):
        self.path, self.options = path, options
        self.program = servers.run(path, "--version").split("\n")[0].replace(" v", " ")
        self.name = " ".join((self.program, *options))

    def command(self, job):
        conf = job.work / f"{job.target}.conf"
        conf.write_text("".join(
            f"[{name}]\ntype = s3\nprovider = Other\nendpoint = {server.url}\n"
            f"access_key_id = {server.access_key}\nsecret_access_key = {server.secret_key}\n"
            f"region = {server.region}\n"
            for name, server in (("src", job.source), ("dst", job.destination))))
        # 1.60 takes one file.
        authorities = [pathlib.Path(server.ca_file).read_text()
                       for server in (job.source, job.destination) if server.ca_file]
        bundle = job.work / f"{job.target}.pem"
        bundle.write_text("".join(authorities))
        trusted = ["--ca-cert", bundle] if authorities else []
        return [self.path, "--config", conf, "copy", *self.options, *trusted, "--no-traverse",
                "--no-update-modtime", "--s3-no-check-bucket", f"src:{job.bucket}",
                f"dst:{job.target}"]

    @staticmethod
    def bulk(transfers, streams, part="16M"):
        """Options for large objects: so many at once, in so many parts each at once."""
        return ("--transfers", str(transfers), "--s3-upload-concurrency", str(streams),
                "--s3-chunk-size", part, "--s3-upload-cutoff", part, "--multi-thread-streams", "0")

    @staticmethod
    def small(transfers):
        return ("--transfers", str(transfers), "--checkers", "32")


class S5cmd(Mover):
    """Reads files: it does not copy between servers."""

    def __init__(self, path, workers, *options):
        self.path, self.workers, self.options = path, workers, options
        self.program = "s5cmd " + servers.run(path, "version").split("-")[0].strip()
        self.name = " ".join((self.program, "--numworkers", str(workers), *options))

    def command(self, job):
        credentials = write_credentials(job.work / "s5cmd", {"default": job.destination})
        return [self.path, "--credentials-file", credentials, "--endpoint-url",
                job.destination.url, "--numworkers", self.workers, "cp", *self.options,
                f"{job.folder}/", f"s3://{job.target}/"]

    def environment(self, job):
        trusted = {"AWS_CA_BUNDLE": job.destination.ca_file} if job.destination.ca_file else {}
        return {**super().environment(job), "AWS_REGION": job.destination.region, **trusted}


def rclone_paths():
    """Debian's rclone and a current one where there is one; raises Missing without any."""
    return list(dict.fromkeys((servers.need("rclone"), servers.rclone_program())))


RCLONE = {
    "bulk": [Rclone.bulk(4, 32), Rclone.bulk(8, 16), Rclone.bulk(8, 4)],
    # Where each connection is slow, only more of them are faster.
    "many": [Rclone.bulk(8, 16), Rclone.bulk(8, 32, "8M")],
    "small": [Rclone.small(128), Rclone.small(256), Rclone.small(512)],
}


def peers(kind):
    """Every peer that is here, once with each of its settings for a kind of job, of RCLONE."""
    settings, large = RCLONE[kind], kind != "small"
    found = []
    try:
        found += [Rclone(path, *setting) for path in rclone_paths() for setting in settings]
    except servers.Missing:
        pass
    try:
        s5cmd = servers.s5cmd_program()
        found += [S5cmd(s5cmd, 4, "--concurrency", "32", "--part-size", "16"),
                  S5cmd(s5cmd, 8, "--concurrency", "16", "--part-size", "16")] if large else \
            [S5cmd(s5cmd, 256), S5cmd(s5cmd, 512)]
    except servers.Missing:
        pass
    return found


def versions():
    """One line for each peer, and for iperf3: its version, or why it is left out."""
    for name, find, ask in (("rclone", servers.rclone_program, "--version"),
                            ("Debian's rclone", lambda: servers.need("rclone"), "--version"),
                            ("s5cmd", servers.s5cmd_program, "version"),
                            ("minio", servers.minio_program, "--version"),
                            ("iperf3", lambda: servers.need("iperf3"), "--version")):
        try:
            yield f"{name}: {servers.run(find(), ask).splitlines()[0]}"
        except servers.Missing as reason:
            yield f"{name}: {reason}"


def is_current(name):
    """Whether a mover by this name or program is one that peers are judged by: Debian 12's rclone
    is of 2022."""
    return not name.startswith("rclone 1.60")
