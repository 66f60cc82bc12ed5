"""The furthest positions this process has seen, against a Redis that comes back with less.

A Redis that lost its last writes (no durable file, a replica that took over) would give the lost
numbers to other events, and a browser that has the old ones would skip the new: lost, and nobody
told. Numbers of one epoch only grow, so a head lower than one ever seen here can mean nothing else,
and the scripts then start the numbering anew under another epoch, in the same step: cursors of the
old one are answered with `reset`.

Every process hears every announcement, so each knows what all have delivered. What none of them
saw, because all were started after it, is only as safe as Redis's own file.
"""

from __future__ import annotations

from collections import OrderedDict

from storefront.domain.ids import CustomerId
from storefront.domain.positions import Position

# Twice as many customers as a process may have streams of, at about 300 bytes. At the bound the one
# longest unheard of is forgotten: a loss of its last events would then pass unnoticed here.
HEADS_KEPT = 40_000
_NONE = Position("", 0)


class Heads:
    """The furthest position of each customer, and of whom there was news lately."""

    def __init__(self, *, kept: int = HEADS_KEPT) -> None:
        self._kept = kept
        self._furthest: OrderedDict[CustomerId, Position] = OrderedDict()

    def of(self, customer: CustomerId) -> Position:
        """The furthest position seen; one of no epoch where there is none."""
        return self._furthest.get(customer, _NONE)

    def note(self, customer: CustomerId, position: Position) -> None:
        """The store said that this event, or this start of a log, is there."""
        known = self._furthest.get(customer)
        if known is None or known.epoch != position.epoch or known.seq < position.seq:
            self._furthest[customer] = position
            if len(self._furthest) > self._kept:
                self._furthest.popitem(last=False)
        self._furthest.move_to_end(customer)


def behind(position: Position, known: Position) -> bool:
    """Whether a head is lower than one that was seen before it was asked for."""
    return position.epoch == known.epoch and position.seq < known.seq
