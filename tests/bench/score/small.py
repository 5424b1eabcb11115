"""Small objects: round trips are all that counts."""

from lib.movers import Replctl

from .bed import Bed, Load, RTT_S
from .bulk import beside_peers
from .line import line

SMALL = Load(20000, 16 << 10)
LANES_MAX = 256


def h1(row, options, loss):
    with Bed(SMALL.scaled(options.scale), options.server, loss=loss) as bed:
        run = bed.run(Replctl(), options.limit)
        lanes = min(run.course.peak_connections, LANES_MAX)
        yield line(f"{row}/lanes", run.objects_per_s, "objects/s", lanes / RTT_S, least=0.8,
                   **run.figures())
        yield line(f"{row}/256", run.objects_per_s, "objects/s", LANES_MAX / RTT_S)
        yield from beside_peers(row, bed, run.objects_per_s, "objects/s", options,
                                lambda peer: peer.objects_per_s, 1.3, large=False)
