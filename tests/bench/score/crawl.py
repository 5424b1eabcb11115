"""A burst as crawlers make it, and how long after its last write all of it is there."""

import time

from lib.movers import MIB

from . import minio
from .bed import SOURCE, Bed, Load
from .course import Course
from .daemon import add_rule, objects, peak_mib, repld
from .line import line
from .reference import iperf

LOADS = (Load(20000, 16 << 10, "page/"), Load(16, 128 * MIB, "archive/"))
WRITE_S = 10
LIMIT_S = 300


def _mixed(loads):
    """All objects of all loads, each load spread evenly over the whole."""
    placed = [(number / load.count, item) for load in loads
              for number, item in enumerate(objects(load))]
    return [item for _, item in sorted(placed)]


def burst(row, options, times, **path):
    """times: of what the bytes take at the rate of the reference, from the last write to the
    watermark past it."""
    loads = [load.scaled(options.scale) for load in LOADS]
    total = sum(load.bytes for load in loads)
    with Bed(loads, options.server, **path) as bed:
        reference = iperf(bed.wan, seconds=options.iperf)
        with bed.target() as target, repld(bed, target) as (daemon, outbox):
            add_rule(daemon, "crawl", target)
            items = _mixed(loads)
            with Course(bed.wan) as course:
                first = time.monotonic()
                outbox.fill(SOURCE, items, len(items) / WRITE_S, step_s=0.1)
                begin = time.monotonic()
                daemon.wait("crawl", LIMIT_S)
                seconds = time.monotonic() - begin
                whole_s = time.monotonic() - first
            rss_mib = peak_mib(daemon)
        ideal = total * 8 / 1e6 / reference.mbps
        yield line(f"{row}/watermark", seconds, "s", ideal, most=times,
                   lanes=course.peak_connections, rss_mib=rss_mib,
                   sent_per_delivered=round(course.sent_bytes / total, 4))
        if options.peers:
            yield minio.replicate(row, bed.wan, loads, whole_s)
