"""What the path itself carries: iperf3 over it, in the same run as the row beside it."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

from .course import Course

FLOWS_MAX = 128  # of one iperf3
FIRST_PORT = 5201


@dataclasses.dataclass
class Reference:
    mbps: float
    retransmitted: float
    flows: int


def iperf(wan, flows=8, seconds=15, omit=4):
    """Both figures are of the `seconds` after the first `omit`: what the start of BBR loses counts in
    a job, but not in what it is beside. Connections are made one after another, each in one to three
    round trips, which the time limit allows for."""
    parts = [FLOWS_MAX] * (flows // FLOWS_MAX) + [flows % FLOWS_MAX] * (flows % FLOWS_MAX > 0)

    def one(number):
        return wan.iperf("--parallel", parts[number], "--time", seconds, "--omit", omit,
                         timeout=seconds + omit + flows + 60, port=FIRST_PORT + number)

    with Course(wan) as course, ThreadPoolExecutor(len(parts)) as pool:
        reports = list(pool.map(one, range(len(parts))))
    mbps = sum(report["sum_received"]["bits_per_second"] for report in reports) / 1e6
    return Reference(mbps, course.retransmitted_at_last(seconds), flows)
