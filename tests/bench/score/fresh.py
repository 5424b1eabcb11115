"""Small fresh objects while bulk saturates the path."""

from lib.movers import MIB
from lib.outbox import latencies, percentile
from lib.process import wait_until

from .bed import QUEUE_S, RTT_S, SOURCE, Bed, Load
from .course import Course
from .daemon import add_rule, objects, peak_mib, repld
from .line import line
from .reference import iperf

RATE = 5  # objects a second
ALONE_S, BESIDE_S = 60, 120
BULK_MBPS_MAX = 500
SETTLE_S = 60
SATURATED = 0.7


def _fill(daemon, outbox, prefix, seconds):
    """Latencies of fresh objects at RATE for so long."""
    load = Load(RATE * seconds, 16 << 10, prefix)
    outbox.fill(SOURCE, objects(load), RATE)
    wait_until(lambda: len(latencies(daemon.journal_path, prefix)) >= load.count, 60,
               f"all objects of {prefix}", step_s=0.5)
    return latencies(daemon.journal_path, prefix)


def _saturated(course, mbps):
    now = course.seconds
    return now > SETTLE_S or course.mbps(now - 3, now) > SATURATED * mbps


def under_bulk(row, options, p50_ms, **path):
    """p50_ms: what the median may be later besides the queue."""
    alone_s, beside_s = (max(2, round(s * options.scale)) for s in (ALONE_S, BESIDE_S))
    bulk_bytes = BULK_MBPS_MAX / 8 * 1e6 * (beside_s + SETTLE_S)
    bulk = Load(max(2, int(bulk_bytes / (256 * MIB)) + 1), 256 * MIB, "bulk/")
    fresh = [Load(RATE * seconds, 16 << 10, prefix)
             for seconds, prefix in ((alone_s, "alone/"), (beside_s, "beside/"))]
    with Bed([bulk, *fresh], options.server, **path) as bed:
        reference = iperf(bed.wan, seconds=options.iperf)
        with bed.target() as target, repld(bed, target, shutdown="1s") as (daemon, outbox):
            for load in fresh:
                add_rule(daemon, load.prefix.strip("/"), target, load.prefix)
            alone = _fill(daemon, outbox, "alone/", alone_s)
            add_rule(daemon, "bulk", target, bulk.prefix, "--existing")
            with Course(bed.wan) as course:
                wait_until(lambda: _saturated(course, reference.mbps), SETTLE_S + 10, "bulk")
                begin = course.seconds
                beside = _fill(daemon, outbox, "beside/", beside_s)
                end = course.seconds
            rss_mib = peak_mib(daemon)
    for percent, plus in ((50, QUEUE_S * 1000 + p50_ms), (99, 2000 * (RTT_S + QUEUE_S))):
        yield line(f"{row}/p{percent}", percentile(beside, percent), "ms",
                   percentile(alone, percent), most=1, plus=plus, objects=len(beside))
    yield line(f"{row}/bulk", course.mbps(begin, end), "Mbit/s", reference.mbps,
               lanes=course.peak_connections, rss_mib=rss_mib)
