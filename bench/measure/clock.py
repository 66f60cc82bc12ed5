"""One clock for all processes: CLOCK_MONOTONIC, which a machine has one of.

The kernel stamps what a socket receives with CLOCK_REALTIME. The distance between the two is read
each time anew, so that a clock that is set or slewed meanwhile moves nothing.
"""

from __future__ import annotations

import struct
import time

# asm-generic/socket.h; Python does not name it. The answer is a struct timespec.
SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("qq")


def real_minus_monotonic() -> int:
    """Nanoseconds between the two clocks now, to within the time of three calls."""
    before = time.monotonic_ns()
    real = time.time_ns()
    after = time.monotonic_ns()
    return real - (before + after) // 2


def stamp(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    """When the kernel received what `recvmsg` returned, in CLOCK_REALTIME nanoseconds; None where
    it does not say.
    """
    for _level, kind, data in ancillary:
        if kind == SO_TIMESTAMPNS and len(data) == _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack(data)
            return int(seconds * 1_000_000_000 + nanoseconds)
    return None


def now() -> int:
    """Nanoseconds on the clock of all processes."""
    return time.monotonic_ns()
