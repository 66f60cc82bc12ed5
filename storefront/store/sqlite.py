"""The store in one SQLite file, for one process: the default.

Trio's side of it. Nothing here waits for a disk: what is written goes through `Commits` to the
writer's thread, what is read through the reader's, and neither waits for the other.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, closing, suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import TypeVar

import trio

from storefront.domain.facts import Fact
from storefront.domain.ids import CustomerId, OrderId
from storefront.domain.positions import Position
from storefront.errors import SettingsError, StoreError, StoreUnavailableError
from storefront.store import sqlite_file
from storefront.store.contract import HEAD_LEEWAY, Entry, Recording, Slice
from storefront.store.followers import Followed
from storefront.store.generations import Generations
from storefront.store.sqlite_commits import Commits
from storefront.store.sqlite_ledger import Ledger
from storefront.store.sqlite_lock import held_alone
from storefront.store.sqlite_numberings import lapsed
from storefront.store.sqlite_reader import Head, Reader
from storefront.store.tickets import Tickets
from storefront.telemetry.metrics import Reading

T = TypeVar("T")


class SqliteStore(Followed):
    """See `contract.Store`. Opened by `open_sqlite_store`.

    Of a batch that raises, nothing was recorded. A transaction that failed was rolled back by
    SQLite: it is never in doubt within the process, so there is nothing to announce as lost.
    """

    durable = True

    def __init__(self, ledger: Ledger, reader: Reader, path: Path) -> None:
        super().__init__()
        self._commits = Commits(ledger, self._settle)
        self._reader = reader
        self._path = path
        self._thread = trio.CapacityLimiter(1)
        self._generations = Generations(_tokens())
        # In memory, because nobody else has this file: a commit each would buy nothing.
        self._tickets = Tickets()
        self._asked: dict[CustomerId, float] = {}
        self._keeping = False

    async def record(self, batch: Sequence[Recording], *, now: float) -> Sequence[Entry | None]:
        return await self._commits.write(partial(Ledger.record, batch=batch, now=now))

    async def since(
        self, customer: CustomerId, cursor: Position, *, now: float, limit: int, max_bytes: int
    ) -> Slice:
        head, entries = await self._read(
            partial(self._reader.since, customer, cursor, now=now, limit=limit, max_bytes=max_bytes)
        )
        if head is None or lapsed(head.touched, now):
            return Slice(resumable=False, entries=(), head=await self._start(customer, now))
        await self._keep({customer: head}, now)
        return Slice(resumable=entries is not None, entries=entries or (), head=head.position)

    async def position(self, customer: CustomerId, *, now: float) -> Position:
        heads = await self.heads([customer], now=now)
        return heads.get(customer) or await self._start(customer, now)

    async def heads(
        self, customers: Collection[CustomerId], *, now: float
    ) -> Mapping[CustomerId, Position]:
        found = await self._read(partial(self._reader.heads, customers))
        alive = {
            customer: head for customer, head in found.items() if not lapsed(head.touched, now)
        }
        await self._keep(alive, now)
        return {customer: head.position for customer, head in alive.items()}

    async def place(
        self, owners: Sequence[tuple[OrderId, CustomerId]], *, now: float
    ) -> Sequence[None]:
        return await self._commits.write(partial(Ledger.place, owners=owners, now=now))

    async def owner(self, order: OrderId, *, now: float) -> CustomerId | None:
        return await self._read(partial(self._reader.owner, order, now=now))

    async def facts(self, customer: CustomerId, *, now: float) -> Sequence[Fact]:
        return await self._read(partial(self._reader.facts, customer, now=now))

    async def generation(self, customer: CustomerId) -> str:
        await trio.lowlevel.checkpoint()
        return self._generations.of(customer)

    async def renew_generation(self, customer: CustomerId, *, now: float) -> str:
        await trio.lowlevel.checkpoint()
        return self._generations.renew(customer, now)

    async def issue_ticket(self, content: bytes, *, until: float, now: float) -> bytes:
        await trio.lowlevel.checkpoint()
        return self._tickets.issue(content, until=until, now=now)

    async def spend_ticket(self, ticket: bytes, *, now: float) -> bytes | None:
        await trio.lowlevel.checkpoint()
        return self._tickets.spend(ticket, now=now)

    def readings(self) -> Iterable[Reading]:
        return self._commits.counts.readings()

    def _settle(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._generations.renew(entry.customer, entry.recorded_at)
        self._announce(entries)

    async def _read(self, question: Callable[[], T]) -> T:
        def ask() -> T:
            with sqlite_file.sqlite_errors(self._path):
                return question()

        return await trio.to_thread.run_sync(ask, limiter=self._thread)

    async def _start(self, customer: CustomerId, now: float) -> Position:
        return await self._commits.write(partial(Ledger.head, customer=customer, now=now))

    async def _keep(self, heads: Mapping[CustomerId, Head], now: float) -> None:
        """See to it that a numbering which is asked for lives on.

        Not with every question, which would cost a commit: only when the last time written down is
        so long ago that HEAD_LEEWAY would not make up for it, once a day and customer. In the
        morning all of them come at once: one of those who ask writes for all that asked so far, and
        only that one waits. What is asked meanwhile is written with the next question of anybody.
        """
        for customer, head in heads.items():
            if now - head.touched > HEAD_LEEWAY:
                self._asked[customer] = now
        if self._keeping:
            return
        self._keeping = True
        try:
            await self.write_down_questions()
        finally:
            self._keeping = False

    async def write_down_questions(self) -> None:
        """Write down for which numberings was asked; see `_keep`. Never fails the question."""
        asked, self._asked = self._asked, {}
        if asked:
            # Shielded, because they are the others' questions as well.
            with trio.CancelScope(shield=True), suppress(StoreError):
                await self._commits.write(partial(Ledger.keep, asked=asked))


@asynccontextmanager
async def open_sqlite_store(
    path: Path, *, window: float, kept_ids: int
) -> AsyncIterator[SqliteStore]:
    """The store in this file, made if there is none, held by this process until the block ends.

    Args:
        path: the database; its folder is made too, and holds the WAL and the lock beside it.
        window: how long an event can be read, in seconds.
        kept_ids: how many of a customer's newest message ids are known however old they are.

    Raises:
        SettingsError: another process has the file, or the folder or the file cannot be used: its
            disk is full, it is read-only, somebody else has it locked.
        StoreCorruptError: the file is damaged, not ours or of a newer version; it was not changed.
    """
    resources, ledger, reader = await trio.to_thread.run_sync(_open, path, window, kept_ids)
    store = SqliteStore(ledger, reader, path)
    try:
        yield store
    finally:
        # Bounded by one commit and one copy of the WAL into the file.
        with trio.CancelScope(shield=True):
            await store.write_down_questions()
            await trio.to_thread.run_sync(resources.close)


def _open(path: Path, window: float, kept_ids: int) -> tuple[ExitStack, Ledger, Reader]:
    sqlite_file.make_folder(path)
    with ExitStack() as stack:
        stack.enter_context(held_alone(path))
        try:
            writer = stack.enter_context(closing(sqlite_file.open_writer(path)))
            reader = stack.enter_context(closing(sqlite_file.open_reader(path)))
        except StoreUnavailableError as exc:
            # Later it is waited for; at the start the operator is there to hear of it.
            raise SettingsError(f"STOREFRONT_DATA_DIR: {exc}") from exc
        ledger = Ledger(writer, path, window=window, kept_ids=kept_ids)
        return stack.pop_all(), ledger, Reader(reader, window=window)


def _tokens() -> Callable[[], str]:
    """Makes tokens that never come twice: random for the process, counted within it."""
    process = secrets.token_hex(8)
    numbers = count(1)
    return lambda: f"{process}.{next(numbers)}"
