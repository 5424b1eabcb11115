"""Large objects over a lossy path, beside iperf3 and the peers."""

from lib.movers import MIB, Replctl

from . import ceiling
from .bed import Bed, Load
from .line import line
from .peer import beside_peers
from .reference import iperf

BULK = Load(8, 256 * MIB)
CUBIC = Load(16, 256 * MIB)  # more than the time is enough for: its end would have few lanes
CUBIC_LIMIT_S = 90
CUBIC_LANES_MAX = 256


def lossy(row, options, whole=None, middle=None, retransmitted=None, peer=None, **path):
    """whole, middle: least shares of the reference, over the whole job and between 10 and 90 % of
    its bytes; retransmitted: points more than the reference's, at most; peer: times the best. What
    is None is no promise."""
    with Bed(BULK.scaled(options.scale), options.server, **path) as bed:
        reference = iperf(bed.wan, seconds=options.iperf)
        run = bed.run(Replctl(), options.limit)
        yield line(f"{row}/whole", run.mbps, "Mbit/s", reference.mbps, least=whole, **run.figures())
        yield line(f"{row}/middle", run.middle_mbps, "Mbit/s", reference.mbps, least=middle)
        yield line(f"{row}/retransmitted", run.course.retransmitted * 100, "%",
                   reference.retransmitted * 100, most=None if retransmitted is None else 1,
                   plus=retransmitted or 0)
        yield ceiling.bulk(row, bed, run.mbps)
        if peer is not None:
            yield from beside_peers(row, bed, options, run.mbps, "Mbit/s", "mbps", peer)


def cubic(row, options, whole, peer, memory="512MiB", **path):
    """Where BBR is not allowed the number of connections is all there is, and memory, which holds a
    part for each, is what bounds it. The reference has as many flows as we had."""
    limit_s = min(CUBIC_LIMIT_S, options.limit)
    with Bed(CUBIC.scaled(options.scale), options.server, congestion="cubic", **path) as bed:
        run = bed.run(Replctl(memory=memory, congestion="cubic"), limit_s)
        flows = min(CUBIC_LANES_MAX, max(1, run.course.peak_connections))
        reference = iperf(bed.wan, flows=flows, seconds=2 * options.iperf)
        yield line(f"{row}/whole", run.mbps, "Mbit/s", reference.mbps, least=whole, flows=flows,
                   **run.figures())
        yield line(f"{row}/middle", run.middle_mbps, "Mbit/s", reference.mbps)
        yield line(f"{row}/retransmitted", run.course.retransmitted * 100, "%",
                   reference.retransmitted * 100)
        yield from beside_peers(row, bed, options, run.mbps, "Mbit/s", "mbps", peer,
                                kind="many")
