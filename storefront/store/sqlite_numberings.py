"""The customers' numberings: in the file, and at hand for those who had an event lately.

Everything here runs in the writer's thread. What a customer's next event needs is kept at hand, so
a hot customer costs no SELECT; what moved is noted, and written down before the COMMIT in one call.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from storefront.domain.ids import CustomerId
from storefront.domain.positions import Position
from storefront.store.contract import HEAD_LEEWAY, HEAD_LIFE

# As many customers as a process may have streams of. At the bound the longest unused is forgotten,
# and costs its next event one SELECT.
NUMBERINGS_KEPT = 20_000

_FIND = "SELECT id, epoch, seq, touched FROM numberings WHERE customer = ?"
# REPLACE: the lapsed numbering's row goes, and the new one gets an id that no event has.
_START = "INSERT OR REPLACE INTO numberings (customer, epoch, seq, touched) VALUES (?, ?, 0, ?)"
_MOVE = "UPDATE numberings SET seq = ?, touched = ? WHERE id = ?"


def lapsed(touched: float, now: float) -> bool:
    """Whether a numbering that was last wanted then is over."""
    return now - touched > HEAD_LIFE + HEAD_LEEWAY


@dataclass(slots=True)
class Numbering:
    """One customer's, as its row has it or is about to."""

    id: int
    epoch: str
    seq: int
    touched: float

    @property
    def head(self) -> Position:
        return Position(self.epoch, self.seq)


class Numberings:
    """All of them, over the writer's connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._at_hand: OrderedDict[CustomerId, Numbering] = OrderedDict()
        self._moved: dict[CustomerId, Numbering] = {}

    def find(self, customer: CustomerId) -> Numbering | None:
        """The customer's, lapsed or not."""
        numbering = self._at_hand.get(customer)
        if numbering is None:
            row = self._connection.execute(_FIND, (customer,)).fetchone()
            if row is None:
                return None
            numbering = self._at_hand[customer] = Numbering(*row)
        return numbering

    def start(self, customer: CustomerId, now: float) -> Numbering:
        """A new one, in place of what there may have been."""
        # 64 random bits, as hexadecimal digits: a position's epoch holds no "-".
        epoch = secrets.token_hex(8)
        self._connection.execute(_START, (customer, epoch, now))
        (started,) = self._connection.execute("SELECT last_insert_rowid()").fetchone()
        numbering = self._at_hand[customer] = Numbering(started, epoch, 0, now)
        return numbering

    def touch(self, customer: CustomerId, numbering: Numbering, now: float) -> None:
        """Note that it is wanted, and where it stands."""
        numbering.touched = max(numbering.touched, now)
        self._moved[customer] = numbering
        self._at_hand.move_to_end(customer)

    def write_down(self) -> None:
        """Put what was noted into the file."""
        self._connection.executemany(
            _MOVE, ((each.seq, each.touched, each.id) for each in self._moved.values())
        )
        self._moved.clear()

    def forget(self, customers: Iterable[CustomerId]) -> None:
        """These were let go, and whoever is beyond the bound: none of them differs from its row."""
        for customer in customers:
            self._at_hand.pop(customer, None)
        while len(self._at_hand) > NUMBERINGS_KEPT:
            self._at_hand.popitem(last=False)

    def undo(self) -> None:
        """The transaction failed: what is at hand may be ahead of the file, so it goes."""
        self._at_hand.clear()
        self._moved.clear()
