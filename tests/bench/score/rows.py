"""Every row by name: what it is, who measures it, and with what."""

import dataclasses
from typing import Callable

from . import bulk, small


@dataclasses.dataclass(frozen=True)
class Row:
    about: str
    measure: Callable  # measure(row, options, **settings) yields lines
    settings: dict = dataclasses.field(default_factory=dict)


ROWS = {
    "bulk-0%": Row("8 x 256 MiB, no loss", bulk.measure),
    "bulk-0.1%": Row("8 x 256 MiB, 0.1 % loss", bulk.measure, {"loss": "0.1%"}),
    "bulk-1%": Row("8 x 256 MiB, 1 % loss", bulk.measure, {"loss": "1%"}),
    "bulk-5%": Row("8 x 256 MiB, 5 % loss", bulk.measure,
                   {"loss": "5%", "whole": 0.78, "middle": None}),
    "small-h1": Row("20,000 x 16 KiB, 1 % loss, HTTP/1.1", small.h1, {"loss": "1%"}),
}
