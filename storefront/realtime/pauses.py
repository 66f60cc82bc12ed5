"""How long a browser is told to wait before it comes back, each its own time.

A thousand browsers that were cut at once must not come back at once. Chance is an argument, so that
a test can say what it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

# What a browser waits after an ordinary cut; browsers' own default is about the same.
USUAL = 3.0
# There was no room, or the log did not answer: that takes a while to pass.
BUSY = 10.0
# A customer with that many streams keeps 20 of them; the others ask at most once a minute.
SUPERSEDED = 60.0


@dataclass(frozen=True, slots=True)
class Pauses:
    """Jittered pauses in seconds; `uniform(low, high)` is the chance in them."""

    uniform: Callable[[float, float], float]

    def usual(self) -> float:
        return self._around(USUAL, 0.2)

    def busy(self) -> float:
        return self._around(BUSY, 0.5)

    def superseded(self) -> float:
        return self._around(SUPERSEDED, 0.2)

    def _around(self, middle: float, share: float) -> float:
        return self.uniform(middle * (1 - share), middle * (1 + share))
