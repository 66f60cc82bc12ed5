"""How many frames an HTTP/2 peer may send that cost us more than them. PURE.

Opening a stream and resetting it, PING, SETTINGS, PRIORITY, empty DATA, window by the byte: each is
a few bytes for the peer and an answer, an application or a wake-up for us ("rapid reset" and its
relatives). One purse pays for all of them. What a decent client needs is covered by the first
thousand, by the refill and by what it earns: every frame of data we send pays for the window
updates that answer it. The caller says what time it is.
"""

from __future__ import annotations

FULL = 1000.0  # a burst of 100 requests, all reset at once, costs 700
REFILL = 100.0  # per second


class Allowance:
    """A purse that refills with time."""

    def __init__(self, now: float) -> None:
        self._left = FULL
        self._asked_at = now

    def spend(self, cost: float, now: float) -> bool:
        """Whether the purse still had `cost` in it; once it had not, the peer is flooding us."""
        self._left = min(FULL, self._left + (now - self._asked_at) * REFILL)
        self._asked_at = now
        self._left -= cost
        return self._left >= 0

    def earn(self, amount: float) -> None:
        self._left = min(FULL, self._left + amount)
