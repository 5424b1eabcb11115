"""Small objects: round trips are all that counts."""

from lib.movers import Replctl

from . import ceiling
from .bed import RTT_S, Bed, Load
from .line import line
from .peer import beside_peers

SMALL = Load(20000, 16 << 10)
LANES_MAX = 256
FEW_LANES = 32
FEW_LIMIT_S = 30
WIDE = ("--frontend-http2-window-size=16M", "--frontend-http2-connection-window-size=2147483647")
CPU_OF_RCLONE = 0.4


def h1(row, options, share, peer, **path):
    """share: of lanes ÷ RTT, what one request a round trip on each connection would be."""
    with Bed(SMALL.scaled(options.scale), options.server, **path) as bed:
        run = bed.run(Replctl(connections=LANES_MAX), options.limit)
        lanes = min(run.course.peak_connections, LANES_MAX)
        yield line(f"{row}/lanes", run.objects_per_s, "objects/s", lanes / RTT_S, least=share,
                   **run.figures())
        yield line(f"{row}/middle", run.middle_objects_per_s, "objects/s", lanes / RTT_S)
        yield ceiling.small(row, bed, run.objects_per_s)
        yield from beside_peers(row, bed, options, run.objects_per_s, "objects/s", "objects_per_s",
                                peer, cpu=(run.cpu_ms_per_object, CPU_OF_RCLONE))


def h2(row, options, times, peer, **path):
    """times: as many objects as over the same number of HTTP/1.1 connections, which go past the
    front and need no TLS."""
    with Bed(SMALL.scaled(options.scale), options.server, front=WIDE, **path) as bed:
        run = bed.run(Replctl(connections=FEW_LANES), options.limit)
        plain = bed.run(Replctl(connections=FEW_LANES), FEW_LIMIT_S, bed.backend)
        yield line(f"{row}/h1", run.objects_per_s, "objects/s", plain.objects_per_s, least=times,
                   h1_lanes=plain.course.peak_connections, **run.figures())
        yield line(f"{row}/middle", run.middle_objects_per_s, "objects/s",
                   plain.middle_objects_per_s)
        yield ceiling.small(row, bed, run.objects_per_s)
        yield from beside_peers(row, bed, options, run.objects_per_s, "objects/s", "objects_per_s",
                                peer, cpu=(run.cpu_ms_per_object, CPU_OF_RCLONE))
