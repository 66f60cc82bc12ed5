"""The writing side of the log's file. Everything here runs in the writer's thread.

A transaction is a list of things to do and one COMMIT: what the disk costs is paid once for all who
came together.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from storefront.domain.ids import CustomerId, OrderId
from storefront.domain.positions import Position
from storefront.store import sqlite_facts
from storefront.store.contract import OWNER_LIFE, Entry, Recording
from storefront.store.sqlite_file import sqlite_errors
from storefront.store.sqlite_numberings import Numbering, Numberings, lapsed
from storefront.store.sqlite_sweep import Sweep

_KNOW = "INSERT INTO messages VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
_APPEND = (
    "INSERT INTO events (numbering, seq, recorded_at, payload, traceparent) VALUES (?, ?, ?, ?, ?)"
)
_PLACE = """
    INSERT INTO owners VALUES (?, ?, ?) ON CONFLICT (order_id) DO UPDATE
    SET customer = excluded.customer, placed_at = excluded.placed_at
    WHERE excluded.placed_at - placed_at > ?
"""


@dataclass(slots=True)
class _Transaction:
    """What was noted so far, and is written down before the COMMIT."""

    recorded: list[tuple[int, Entry]] = field(default_factory=list)
    added: int = 0
    now: float = 0.0

    def mark(self, now: float, *, added: int = 0) -> None:
        """Note what time it is, and how many rows are added."""
        self.added += added
        self.now = max(self.now, now)


class Ledger:
    """What can be written, and the transaction around it. `window`, `kept_ids`: the contract's."""

    def __init__(
        self, connection: sqlite3.Connection, path: Path, *, window: float, kept_ids: int
    ) -> None:
        # Held by the thread that is in here, which its caller may not have waited for.
        self._busy = threading.Lock()
        self._connection = connection
        self._path = path
        self._sweep = Sweep(window=window, kept_ids=kept_ids)
        self._numberings = Numberings(connection)
        self._under_way = _Transaction()

    def transact(
        self, work: Sequence[Callable[[Ledger], Any]]
    ) -> tuple[Sequence[Any], Sequence[Entry]]:
        """Do it all, or nothing; answers what each answered, and what was recorded.

        Raises:
            StoreUnavailableError: nothing of it was done.
            StoreCorruptError: likewise, nor will it ever be.
        """
        self._under_way = _Transaction()
        with self._busy, sqlite_errors(self._path):
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                answers = [each(self) for each in work]
                self._write_down()
                self._connection.execute("COMMIT")
            except BaseException:
                self._undo()
                raise
        return answers, [entry for _, entry in self._under_way.recorded]

    def close(self) -> None:
        """Close the connection, once nobody is in here."""
        with self._busy:
            self._connection.close()

    def record(self, batch: Sequence[Recording], now: float) -> Sequence[Entry | None]:
        """See `contract.Store.record`; the whole batch at once."""
        return [self._record(recording, now) for recording in batch]

    def head(self, customer: CustomerId, now: float) -> Position:
        """The customer's head, of a numbering that starts here if there is none."""
        numbering = self._open(customer, now)
        self._touch(customer, numbering, now)
        return numbering.head

    def keep(self, asked: Mapping[CustomerId, float]) -> None:
        """Let numberings live on that were asked for."""
        for customer, now in asked.items():
            numbering = self._numberings.find(customer)
            if numbering is not None and not lapsed(numbering.touched, now):
                self._touch(customer, numbering, now)

    def place(self, owners: Sequence[tuple[OrderId, CustomerId]], now: float) -> Sequence[None]:
        """See `contract.Store.place`; all of them at once."""
        self._under_way.mark(now, added=len(owners))
        self._connection.executemany(
            _PLACE, [(order, customer, now, OWNER_LIFE) for order, customer in owners]
        )
        return [None] * len(owners)

    def _record(self, recording: Recording, now: float) -> Entry | None:
        customer = recording.customer
        numbering = self._open(customer, now)
        seq = numbering.seq + 1
        # Whatever a publisher calls its messages, and however long, the key has one small size.
        digest = hashlib.blake2b(
            recording.message_id.encode("utf-8", "surrogatepass"), digest_size=16
        ).digest()
        if not self._connection.execute(_KNOW, (numbering.id, digest, seq, now)).rowcount:
            return None
        numbering.seq = seq
        self._touch(customer, numbering, now)
        for fact in filter(None, (recording.fact, recording.also)):
            sqlite_facts.remember(self._connection, customer, fact, now)
        entry = Entry(
            customer=customer,
            position=numbering.head,
            payload=recording.payload,
            recorded_at=now,
            traceparent=recording.traceparent,
        )
        self._under_way.mark(now, added=1)
        self._under_way.recorded.append((numbering.id, entry))
        return entry

    def _open(self, customer: CustomerId, now: float) -> Numbering:
        numbering = self._numberings.find(customer)
        if numbering is None or lapsed(numbering.touched, now):
            self._under_way.mark(now, added=1)
            numbering = self._numberings.start(customer, now)
        return numbering

    def _touch(self, customer: CustomerId, numbering: Numbering, now: float) -> None:
        self._under_way.mark(now)
        self._numberings.touch(customer, numbering, now)

    def _write_down(self) -> None:
        """What was only noted so far goes into the file, in few calls; then the clean-up."""
        noted = self._under_way
        self._connection.executemany(_APPEND, map(_row, noted.recorded))
        self._numberings.write_down()
        gone: Sequence[CustomerId] = ()
        if noted.now:
            gone = self._sweep.step(self._connection, added=noted.added, now=noted.now)
        self._numberings.forget(gone)

    def _undo(self) -> None:
        # The rollback may fail for the reason the transaction did, or have been made by SQLite.
        self._numberings.undo()
        with suppress(sqlite3.Error):
            self._connection.rollback()


def _row(recorded: tuple[int, Entry]) -> tuple[int, int, float, bytes, str | None]:
    numbering, entry = recorded
    return (
        numbering,
        entry.position.seq,
        entry.recorded_at,
        entry.payload,
        entry.traceparent,
    )
