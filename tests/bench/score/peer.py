"""Peers over the path of a row, each at the best of its settings."""

import sys

from lib.movers import MIB, is_current, peers

from .line import line


def best(bed, limit_s, figure, kind):
    """The run with the highest figure of each program, the best program first; what did not end
    within limit_s counts with what it had delivered. Each run is told of on standard error."""
    runs = {}
    for mover in peers(kind):
        run = bed.run(mover, limit_s, bed.backend)
        print(f"{mover.name}: {figure}={getattr(run, figure):.0f} done={run.done:.2f}",
              file=sys.stderr, flush=True)
        if mover.program not in runs or getattr(run, figure) > getattr(runs[mover.program], figure):
            runs[mover.program] = run
    return sorted(runs.values(), key=lambda run: getattr(run, figure), reverse=True)


def beside_peers(row, bed, options, value, unit, figure, least, cpu=None, kind=None):
    """Lines of a value beside each peer's. The bound is for the best of the current ones: Debian's
    old ones are only shown. cpu: (our ms an object, times that of a current rclone at most). kind:
    of settings; None for what the size of the objects says."""
    if not options.peers:
        return
    kind = kind or ("bulk" if bed.loads[0].size >= MIB else "small")
    runs = best(bed, options.peer_limit, figure, kind)
    current = [run for run in runs if is_current(run.name)]
    old = [run for run in runs if not is_current(run.name)]
    if not current:
        yield line(f"{row}/peer", value, unit, reason="no current peer is installed")
    for place, run in enumerate(current + old):
        yield line(f"{row}/peer{place + 1}", value, unit, getattr(run, figure),
                   least=least if place == 0 and current else None, peer=run.name, **run.figures())
    for place, run in enumerate(current + old):
        if cpu and run.name.startswith("rclone"):
            yield line(f"{row}/cpu{place + 1}", cpu[0], "ms/object", run.cpu_ms_per_object,
                       most=cpu[1] if run in current else None, peer=run.name)
