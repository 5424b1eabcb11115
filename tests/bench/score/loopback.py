"""Without a path: what a GiB costs the processor with TLS on both sides, and where it goes."""

import contextlib
import pathlib
import re
import shutil

from lib import servers
from lib.bucketd import Bucketd
from lib.movers import MIB, Job, Rclone, Replctl, is_current, rclone_paths, run
from lib.process import work_dir

from .bed import Load
from .line import line

LOAD = Load(32, 64 * MIB)
SOURCE = "source"
# The check that a run asks the server for, by the name of its line, and its bound of rclone's CPU.
CHECKS = {"checksum": "crc64nvme", "signed": "sha256"}
# Symbols that are digests wherever they stand. Debian's OpenSSL has no symbols: all of it counts as
# TLS, which it is where the check is not one of OpenSSL's own digests.
DIGESTS = re.compile(r"sha(1|256|512)|md5|crc|hash_", re.IGNORECASE)
TLS = re.compile(r"lib(ssl|crypto)")


class _Ends:
    """Two bucketds behind nghttpx each, and runs between them."""

    def __init__(self, stack, load):
        self.load = load
        self.dir = pathlib.Path(stack.enter_context(work_dir("score")))
        synth = f"{SOURCE}:{load.prefix}:{load.count}:{load.size}"
        self.source = stack.enter_context(servers.Nghttpx(stack.enter_context(
            Bucketd("--synth", synth))))
        self.backend = stack.enter_context(Bucketd("--discard"))
        self.destination = stack.enter_context(servers.Nghttpx(self.backend))
        self._count = 0

    def job(self):
        self._count += 1
        target = f"target-{self._count}"
        servers.s3_client(self.backend).create_bucket(Bucket=target)
        return Job(self.dir, self.source, SOURCE, self.destination, target)

    def cpu_s_per_gib(self, mover):
        return mover.run(self.job()).cpu_s / (self.load.bytes / (1 << 30))


def tls(row, options, checksum, signed):
    """checksum, signed: of a current rclone's CPU seconds, at most."""
    bounds = {"checksum": checksum, "signed": signed}
    with contextlib.ExitStack() as stack:
        ends = _Ends(stack, LOAD.scaled(options.scale))
        peers = {mover.name: ends.cpu_s_per_gib(mover) for mover in _rclones(options)}
        for name, check in CHECKS.items():
            ours = ends.cpu_s_per_gib(Replctl(check=check))
            for peer, cpu in peers.items() or {None: None}.items():
                most = bounds[name] if peer is not None and is_current(peer) else None
                yield line(f"{row}/{name}", ours, "s/GiB", cpu, most=most, peer=peer)
        yield from _shares(row, ends)


def _rclones(options):
    if not options.peers:
        return []
    with contextlib.suppress(servers.Missing):
        return [Rclone(path, *Rclone.bulk(4, 32)) for path in rclone_paths()]
    return []


def _shares(row, ends):
    """Where the CPU goes, by perf, in percent."""
    if shutil.which("perf") is None:
        yield line(f"{row}/share", None, "%", reason="perf is not installed")
        return
    data, report = ends.dir / "perf.data", ends.dir / "perf.txt"
    job = ends.job()
    mover = Replctl(check=CHECKS["checksum"])
    run(["perf", "record", "--event", "cpu-clock", "--freq", "997", "--output", data, "--",
         *mover.command(job)], env=mover.environment(job))
    run(["perf", "report", "--input", data, "--stdio", "--sort", "dso,symbol", "--field-separator",
         ";", "--percent-limit", "0.001"], log=report)
    shares = classify(report.read_text(errors="replace"))
    for name, share in shares.items():
        yield line(f"{row}/share-{name}", share, "%")


def classify(report):
    """Percent by kind from perf's lines `percent;object;[k] symbol`."""
    shares = dict.fromkeys(("kernel", "digests", "tls", "ours", "libraries"), 0.0)
    for text in report.splitlines():
        fields = [field.strip() for field in text.split(";")]
        if len(fields) < 3 or not re.fullmatch(r"[\d.]+%?", fields[0]):
            continue
        percent, program, symbol = float(fields[0].rstrip("%")), fields[1], fields[2]
        kind = "kernel" if symbol.startswith("[k]") else \
            "digests" if DIGESTS.search(symbol) else "tls" if TLS.search(program) else \
            "ours" if program.startswith("replctl") else "libraries"
        shares[kind] += percent
    return shares
