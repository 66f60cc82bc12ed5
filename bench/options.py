"""How much of everything: what was asked for on the command line, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Attributes:
    quick: small counts; shows that everything works, and judges no timing.
    peers: with them, and only what they can do.
    rounds: times that each scenario is run.
    streams: in place of a scenario's own number; None to leave it.
    tell: in lines on standard error, what is being done.
    """

    quick: bool = False
    peers: bool = False
    rounds: int = 2
    streams: int | None = None
    tell: bool = False

    def pick(self, usual: T, quick: T) -> T:
        """One of two sizes."""
        return quick if self.quick else usual

    def crowd(self, usual: int, quick: int) -> int:
        """How many streams."""
        return self.streams or self.pick(usual, quick)
