"""Moments as .NET counts and writes them: ticks of 100 ns, up to seven digits of a second.

Python's datetime stops at six digits. The real services write seven, and a reader that only ever
met six would not be tested.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

# Ticks since 1970-01-01 UTC.
Now = Callable[[], int]

SECOND = 10_000_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def wall_clock() -> int:
    """The machine's clock, in ticks since 1970."""
    return time.time_ns() // 100


def timestamp(ticks: int) -> str:
    """A DateTimeOffset as System.Text.Json writes it: no trailing zeros, `+00:00`, never `Z`."""
    seconds, fraction = divmod(ticks, SECOND)
    # An addition, for fromtimestamp would go through a float.
    whole = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    digits = f".{fraction:07d}".rstrip("0") if fraction else ""
    return f"{whole}{digits}+00:00"
