"""A server whose HTTP/2 windows hold large bodies up: more connections or HTTP/1.1 help."""

from lib import servers
from lib.movers import MIB, Replctl

from .bed import Bed, Load
from .line import line

LOAD = Load(8, 256 * MIB)
NARROW = ("--frontend-http2-window-size=65535", "--frontend-http2-connection-window-size=65535")
LIMIT_S = 40
HELD_LANES, HELD_S = 4, 20
WORD = "peer window"


def measure(row, options, share, cpu, **path):
    """share: of what the same server gives over HTTP/1.1; cpu: of a core, while some lanes are all
    that is allowed, HTTP/2 is all that may be spoken, and windows hold them."""
    with Bed(LOAD.scaled(options.scale), options.server, front=NARROW, **path) as bed:
        run = bed.run(Replctl(log_level="debug"), LIMIT_S)
        said = WORD in run.ran.log.read_text(errors="replace")
        with servers.Nghttpx(bed.backend, "--npn-list=http/1.1").at(bed.wan.far) as old:
            plain = bed.run(Replctl(), LIMIT_S, old)
        held = bed.run(Replctl(connections=HELD_LANES, http="2"), HELD_S)
    yield line(f"{row}/h1", run.mbps, "Mbit/s", plain.mbps, least=share,
               h1_lanes=plain.course.peak_connections, **run.figures())
    yield line(f"{row}/recognised", float(said), "said", most=None, least=0, plus=1)
    yield line(f"{row}/cpu-held", held.ran.cpu_s / held.ran.wall_s, "cores", most=0, plus=cpu,
               mbps=round(held.mbps, 2), **held.figures())
