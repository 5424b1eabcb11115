"""repld at the near end of a bed, fed by an outbox."""

import contextlib

from lib.outbox import Outbox
from lib.repld import Repld

from .bed import SOURCE


def objects(load):
    """(key, size) of every object of a load."""
    return [(f"{load.prefix}{number:08d}", load.size) for number in range(load.count)]


@contextlib.contextmanager
def repld(bed, target, **conf):
    """(daemon, outbox)"""
    outbox = Outbox(bed.dir / "outbox.db")
    outboxes = {"crawler": {"path": str(outbox.path), "endpoint": "src"}}
    with contextlib.closing(outbox), \
            Repld({"src": bed.source, "dst": bed.destination}, place=bed.wan.near, memory="512MiB",
                  outboxes=outboxes, **conf) as daemon:
        yield daemon, outbox


def add_rule(daemon, name, target, prefix="", *options):
    daemon.add_rule(name, f"src/{SOURCE}/{prefix}", f"dst/{target}/{prefix}", "--no-preflight",
                    *options)


def peak_mib(daemon):
    with open(f"/proc/{daemon.process.pid}/status") as status:
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM:"))
