"""Large objects over a lossy path, beside iperf3 and the peers."""

from lib.movers import MIB, Replctl, peers

from .bed import Bed, Load
from .line import line
from .reference import iperf

BULK = Load(8, 256 * MIB)
# Share of the reference over the whole job and between 10 and 90 % of its bytes.
WHOLE, MIDDLE = 0.88, 0.93
BEST_PEER = 1.5
MORE_RETRANSMITTED = 3  # points


def best(bed, candidates, limit_s, figure):
    """The run with the highest figure by program, and those runs of all; each is bounded."""
    runs = {}
    for mover in candidates:
        run = bed.run(mover, limit_s)
        if mover.program not in runs or figure(run) > figure(runs[mover.program]):
            runs[mover.program] = run
    return sorted(runs.values(), key=figure, reverse=True)


def beside_peers(row, bed, value, unit, options, figure, least, large):
    """Lines of the value beside each peer at its best; only the best of them is a bound."""
    if not options.peers:
        return
    runs = best(bed, peers(large), options.peer_limit, figure)
    if not runs:
        yield line(f"{row}/peer", None, unit, least=least, reason="no peer is installed")
    for place, run in enumerate(runs):
        bound = {"least": least} if place == 0 else {}
        yield line(f"{row}/peer" if place == 0 else f"{row}/peer-{place + 1}", value, unit,
                   figure(run), **bound, peer=run.name, **run.figures())


def measure(row, options, whole=WHOLE, middle=MIDDLE, retransmitted=MORE_RETRANSMITTED, **path):
    with Bed(BULK.scaled(options.scale), options.server, **path) as bed:
        reference = iperf(bed.wan, seconds=options.iperf)
        run = bed.run(Replctl(), options.limit)
        yield line(f"{row}/whole", run.mbps, "Mbit/s", reference.mbps, least=whole, **run.figures())
        if middle is not None:
            yield line(f"{row}/middle", run.middle_mbps, "Mbit/s", reference.mbps, least=middle)
        if retransmitted is not None:
            yield line(f"{row}/retransmitted", run.course.retransmitted * 100, "%",
                       reference.retransmitted * 100, most=1, plus=retransmitted)
        yield from beside_peers(row, bed, run.mbps, "Mbit/s", options, lambda peer: peer.mbps,
                                BEST_PEER, large=True)
