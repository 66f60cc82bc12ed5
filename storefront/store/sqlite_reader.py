"""The reading side of the log's file. Everything here runs in the reader's thread.

One statement each, so that each sees one commit: a log and its head that do not belong together
would be a gap or a double.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from storefront.domain.facts import Fact
from storefront.domain.ids import CustomerId, OrderId
from storefront.domain.positions import Position
from storefront.store import sqlite_facts
from storefront.store.contract import OWNER_LIFE, Entry

_SINCE = """
    SELECT n.epoch, n.seq, n.touched, e.seq, e.recorded_at, e.payload, e.traceparent
    FROM numberings AS n
    LEFT JOIN events AS e ON e.numbering = n.id AND e.seq > :seq AND n.epoch = :epoch
    WHERE n.customer = :customer ORDER BY e.seq LIMIT :limit
"""
_HEADS = """
    SELECT customer, epoch, seq, touched FROM numberings
    WHERE customer IN (SELECT value FROM json_each(?))
"""
_OWNER = "SELECT customer FROM owners WHERE order_id = ? AND ? - placed_at <= ?"


@dataclass(frozen=True, slots=True)
class Head:
    """Where a customer's log ends, and when it was last known to be wanted."""

    position: Position
    touched: float


class Reader:
    """What can be asked of the file, by who holds `busy`. `window` is the contract's."""

    def __init__(self, connection: sqlite3.Connection, *, window: float) -> None:
        self.busy = threading.Lock()
        self._connection = connection
        self._window = window

    def close(self) -> None:
        """Close the connection, once no thread is in here that was not waited for."""
        with self.busy:
            self._connection.close()

    def heads(self, customers: Collection[CustomerId]) -> Mapping[CustomerId, Head]:
        """The heads of those who have one, lapsed or not."""
        rows = self._connection.execute(_HEADS, (json.dumps(list(customers)),))
        return {
            customer: Head(Position(epoch, seq), touched) for customer, epoch, seq, touched in rows
        }

    def since(
        self, customer: CustomerId, cursor: Position, *, now: float, limit: int, max_bytes: int
    ) -> tuple[Head | None, Sequence[Entry] | None]:
        """The head, and what follows the cursor; None for what there is not, or not any more."""
        asked = {
            "customer": customer,
            "epoch": cursor.epoch,
            "seq": cursor.seq,
            "limit": max(limit, 1),
        }
        # Closed, because a statement left half read would hold its snapshot, and with it the WAL.
        with closing(self._connection.execute(_SINCE, asked)) as rows:
            row = rows.fetchone()
            if row is None:
                return None, None
            head = Head(Position(row[0], row[1]), row[2])
            if cursor == head.position:
                return head, ()
            # Nothing of this epoch after the cursor, a hole after it, or too old to be read.
            if row[3] != cursor.seq + 1 or now - row[4] > self._window:
                return head, None
            return head, _entries(rows, row, customer, max_bytes)

    def owner(self, order: OrderId, *, now: float) -> CustomerId | None:
        """Whose order it is."""
        row = self._connection.execute(_OWNER, (order, now, OWNER_LIFE)).fetchone()
        return CustomerId(row[0]) if row else None

    def facts(self, customer: CustomerId, *, now: float) -> Sequence[Fact]:
        """See `contract.Store.facts`."""
        return sqlite_facts.newest(self._connection, customer, now)


def _entries(
    rows: sqlite3.Cursor,
    row: tuple[str, int, float, int, float, bytes, str | None] | None,
    customer: CustomerId,
    max_bytes: int,
) -> Sequence[Entry]:
    entries: list[Entry] = []
    size = 0
    while row is not None:
        epoch, _, _, seq, recorded_at, payload, traceparent = row
        size += len(payload)
        if entries and size > max_bytes:
            break
        entries.append(
            Entry(
                customer=customer,
                position=Position(epoch, seq),
                payload=payload,
                recorded_at=recorded_at,
                traceparent=traceparent,
            )
        )
        row = rows.fetchone()
    return tuple(entries)
