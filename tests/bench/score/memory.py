"""Resident memory with a mix of objects, under the smallest budget and the usual one."""

from lib.movers import Job, MIB, Replctl

from .bed import SOURCE, Bed, Load
from .line import line

KIB = 1 << 10
LOADS = (Load(4000, 16 * KIB, "page/"), Load(400, 700 * KIB, "image/"), Load(100, 3 * MIB, "pdf/"),
         Load(24, 40 * MIB, "video/"), Load(3, 256 * MIB, "archive/"))
BUDGETS_MIB = (64, 512)


def mixed(row, options, over_mib, **path):
    """over_mib: more than the budget that it may ever be."""
    loads = [load.scaled(options.scale) for load in LOADS]
    with Bed(loads, options.server, **path) as bed:
        for budget in BUDGETS_MIB:
            with bed.target() as target:
                job = Job(bed.dir, bed.source, SOURCE, bed.destination, target)
                ran = Replctl(memory=f"{budget}MiB").run(job, bed.wan.near, options.limit)
            yield line(f"{row}/{budget}MiB", ran.rss_mib, "MiB", budget, most=1, plus=over_mib,
                       done=ran.status == 0, wall_s=round(ran.wall_s, 1))
