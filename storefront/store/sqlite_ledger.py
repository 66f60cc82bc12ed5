"""The writing side of the log's file. Everything here runs in the writer's thread.

A transaction is a list of things to do and one COMMIT: what the disk costs is paid once for all who
came together. What a customer's next event needs is kept at hand, so a hot customer costs no
SELECT; it is forgotten with any transaction that fails, and then read from the file again.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from storefront.domain.ids import CustomerId, OrderId
from storefront.domain.positions import Position
from storefront.store import sqlite_facts
from storefront.store.contract import HEAD_LEEWAY, HEAD_LIFE, OWNER_LIFE, Entry, Recording
from storefront.store.sqlite_file import sqlite_errors
from storefront.store.sqlite_sweep import Sweep

# As many customers as a process may have streams of. At the bound the longest unused is forgotten,
# and costs its next event one SELECT.
NUMBERINGS_KEPT = 20_000

_FIND = "SELECT id, epoch, seq, touched FROM numberings WHERE customer = ?"
# REPLACE: the lapsed numbering's row goes, and the new one gets an id that no event has.
_START = "INSERT OR REPLACE INTO numberings (customer, epoch, seq, touched) VALUES (?, ?, 0, ?)"
_MOVE = "UPDATE numberings SET seq = ?, touched = ? WHERE id = ?"
_KNOW = "INSERT INTO messages VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
_APPEND = (
    "INSERT INTO events (numbering, seq, recorded_at, payload, traceparent) VALUES (?, ?, ?, ?, ?)"
)
_PLACE = """
    INSERT INTO owners VALUES (?, ?, ?) ON CONFLICT (order_id) DO UPDATE
    SET customer = excluded.customer, placed_at = excluded.placed_at
    WHERE excluded.placed_at - placed_at > ?
"""


def lapsed(touched: float, now: float) -> bool:
    """Whether a numbering that was last wanted then is over."""
    return now - touched > HEAD_LIFE + HEAD_LEEWAY


@dataclass(slots=True)
class _Numbering:
    id: int
    epoch: str
    seq: int
    touched: float

    @property
    def head(self) -> Position:
        return Position(self.epoch, self.seq)


@dataclass(slots=True)
class _Transaction:
    """What was noted so far, and is written down before the COMMIT."""

    recorded: list[tuple[int, Entry]] = field(default_factory=list)
    moved: dict[CustomerId, _Numbering] = field(default_factory=dict)
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
        self._connection = connection
        self._path = path
        self._sweep = Sweep(window=window, kept_ids=kept_ids)
        self._numberings: OrderedDict[CustomerId, _Numbering] = OrderedDict()
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
        with sqlite_errors(self._path):
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                answers = [each(self) for each in work]
                self._write_down()
                self._connection.execute("COMMIT")
            except BaseException:
                self._undo()
                raise
        return answers, [entry for _, entry in self._under_way.recorded]

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
            numbering = self._find(customer)
            if numbering is not None and not lapsed(numbering.touched, now):
                self._touch(customer, numbering, now)

    def place(self, order: OrderId, customer: CustomerId, now: float) -> None:
        """See `contract.Store.place`."""
        self._under_way.mark(now, added=1)
        self._connection.execute(_PLACE, (order, customer, now, OWNER_LIFE))

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
        if recording.fact is not None:
            sqlite_facts.remember(self._connection, customer, recording.fact, now)
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

    def _find(self, customer: CustomerId) -> _Numbering | None:
        numbering = self._numberings.get(customer)
        if numbering is None:
            row = self._connection.execute(_FIND, (customer,)).fetchone()
            if row is None:
                return None
            numbering = self._numberings[customer] = _Numbering(*row)
        return numbering

    def _open(self, customer: CustomerId, now: float) -> _Numbering:
        numbering = self._find(customer)
        if numbering is None or lapsed(numbering.touched, now):
            self._under_way.mark(now, added=1)
            # 64 random bits, as hexadecimal digits: a position's epoch holds no "-".
            epoch = secrets.token_hex(8)
            self._connection.execute(_START, (customer, epoch, now))
            (started,) = self._connection.execute("SELECT last_insert_rowid()").fetchone()
            numbering = self._numberings[customer] = _Numbering(started, epoch, 0, now)
        return numbering

    def _touch(self, customer: CustomerId, numbering: _Numbering, now: float) -> None:
        self._under_way.mark(now)
        numbering.touched = max(numbering.touched, now)
        self._under_way.moved[customer] = numbering
        self._numberings.move_to_end(customer)

    def _write_down(self) -> None:
        """What was only noted so far goes into the file, in few calls; then the clean-up."""
        noted = self._under_way
        self._connection.executemany(_APPEND, map(_row, noted.recorded))
        self._connection.executemany(
            _MOVE, ((each.seq, each.touched, each.id) for each in noted.moved.values())
        )
        if noted.now:
            self._forget(self._sweep.step(self._connection, added=noted.added, now=noted.now))
        # Only now, when none of them differs from its row.
        while len(self._numberings) > NUMBERINGS_KEPT:
            self._numberings.popitem(last=False)

    def _forget(self, customers: Iterable[CustomerId]) -> None:
        for customer in customers:
            self._numberings.pop(customer, None)

    def _undo(self) -> None:
        # The rollback may fail for the reason the transaction did, or have been made by SQLite.
        # What is at hand may be ahead of the file now, so it goes.
        self._numberings.clear()
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
