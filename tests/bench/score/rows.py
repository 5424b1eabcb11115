"""Every row by name: what it is, who measures it, and what is promised."""

import dataclasses
from typing import Callable

from . import bulk, crawl, fault, fresh, loopback, memory, small, window


@dataclasses.dataclass(frozen=True)
class Row:
    about: str
    measure: Callable  # measure(row, options, **settings) yields lines
    settings: dict


FULL = {"whole": 0.88, "middle": 0.93, "retransmitted": 3, "peer": 1.5}
ROWS = {
    "bulk-0%": Row("8 x 256 MiB, no loss", bulk.lossy, FULL),
    "bulk-0.1%": Row("8 x 256 MiB, 0.1 % loss", bulk.lossy, {**FULL, "loss": "0.1%"}),
    "bulk-1%": Row("8 x 256 MiB, 1 % loss", bulk.lossy, {**FULL, "loss": "1%"}),
    "bulk-5%": Row("8 x 256 MiB, 5 % loss", bulk.lossy,
                   {"whole": 0.78, "retransmitted": 3, "loss": "5%"}),
    "cubic-1%": Row("16 x 256 MiB, no BBR, 90 s, beside as many flows of iperf3 as our lanes",
                    bulk.cubic, {"whole": 0.9, "peer": 1.5, "loss": "1%"}),
    "cubic-1%-2GiB": Row("the same with a budget of 2 GiB, which the peers take", bulk.cubic,
                         {"whole": 0.9, "peer": 1.5, "loss": "1%", "memory": "2GiB"}),
    "bursts": Row("8 x 256 MiB, 1 % loss in bursts of 20, 50 ms jitter", bulk.lossy,
                  {"whole": 0.8, "loss": "1%", "burst": 20, "jitter": "50ms"}),
    "policer": Row("8 x 256 MiB, a policer instead of the queue", bulk.lossy,
                   {"retransmitted": 5, "rate": "0", "policer": "500mbit"}),
    "rate-drop": Row("the rate falls to 10 % for 60 s and comes back", fault.rate_drop,
                     {"seconds": 60, "share": 0.1}),
    "outage": Row("nothing passes for 30 s", fault.outage, {"seconds": 30}),
    "small-h1": Row("20,000 x 16 KiB, 1 % loss, HTTP/1.1, 256 connections", small.h1,
                    {"share": 0.8, "peer": 1.3, "loss": "1%"}),
    "small-h2": Row("the same, HTTP/2, 32 connections, beside 32 of HTTP/1.1", small.h2,
                    {"times": 8, "peer": 1.5, "loss": "1%"}),
    "crawler": Row("20,000 x 16 KiB and 16 x 128 MiB appear within 10 s", crawl.burst,
                   {"times": 1.5, "loss": "1%"}),
    "memory": Row("4,527 objects of 16 KiB to 256 MiB, 1 % loss, budgets of 64 and 512 MiB",
                  memory.mixed, {"over_mib": 64, "loss": "1%"}),
    "window-64k": Row("an HTTP/2 server with windows of 64 KiB", window.measure,
                      {"share": 0.8, "cpu": 0.1}),
    "fresh": Row("five small objects a second for 120 s while bulk saturates the path",
                 fresh.under_bulk, {"p50_ms": 50}),
    "loopback-tls": Row("CPU of a GiB, TLS on both sides, without a path", loopback.tls,
                        {"checksum": 0.5, "signed": 0.6}),
}
