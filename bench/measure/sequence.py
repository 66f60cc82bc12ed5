"""What one stream was due, and what it got: PURE.

Events of a stream are numbered from 1 by whoever publishes them, in the payload, which no server
between touches. A number that is skipped is missing; it may still come, late, and is then out of
order; one that came before is a double. What is missing at the end is lost.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Faults:
    """Counted over streams."""

    lost: int = 0
    doubled: int = 0
    disordered: int = 0

    def __add__(self, other: Faults) -> Faults:
        return Faults(
            self.lost + other.lost,
            self.doubled + other.doubled,
            self.disordered + other.disordered,
        )

    @property
    def any(self) -> bool:
        return bool(self.lost or self.doubled or self.disordered)


class Sequence:
    """The numbers of one stream."""

    __slots__ = ("disordered", "doubled", "last", "missing")

    def __init__(self, last: int = 0) -> None:
        """`last` is what it had before: a stream that comes back goes on from there."""
        self.last = last
        self.missing: set[int] | None = None  # most streams never miss anything
        self.doubled = 0
        self.disordered = 0

    def take(self, number: int) -> None:
        """The stream got this number."""
        expected = self.last + 1
        if number == expected:
            self.last = number
        elif number > expected:
            self.missing = (self.missing or set()).union(range(expected, number))
            self.last = number
        elif self.missing and number in self.missing:
            self.missing.discard(number)
            self.disordered += 1
        else:
            self.doubled += 1

    def faults(self, due: int) -> Faults:
        """What was wrong, if everything up to `due` should be here by now."""
        missing = len(self.missing or ())
        return Faults(missing + max(0, due - self.last), self.doubled, self.disordered)
