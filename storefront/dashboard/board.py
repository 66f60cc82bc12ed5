"""Where processes tell each other how they are. One that is alone tells nobody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import trio


@dataclass(frozen=True, slots=True)
class Heard:
    """What a look at the board brings.

    Attributes:
        others: what the other processes told, each in its own words; the asker's is not among them.
        watched: whether somebody watches, wherever.
        away: whether the board did not answer; then there are no others, whoever there is.
    """

    others: Sequence[bytes] = ()
    watched: bool = False
    away: bool = False


class Board(Protocol):
    """One process's end of it."""

    async def exchange(self, told: bytes, *, now: float, life: float, watching: bool) -> Heard:
        """Tell, and hear what the others told.

        It never raises for trouble of its own, and answers in a second at most.

        Args:
            told: the report of this process.
            now: seconds since 1970.
            life: seconds for which others may take it for true.
            watching: whether somebody watches here; the others hear of it for a few seconds.
        """
        ...


class Alone:
    """The board of the one process there is."""

    async def exchange(self, told: bytes, *, now: float, life: float, watching: bool) -> Heard:
        del told, now, life
        await trio.lowlevel.checkpoint()
        return Heard(watched=watching)
