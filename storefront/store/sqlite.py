"""The store in one SQLite file, for one process: the default.

Trio's side of it. Nothing here waits for a disk: what is written goes through `Commits` to the
writer's thread, what is read through the reader's, and neither waits for the other. A caller whose
time is over leaves at once, however long the disk takes; the thread goes on, and until it has come
back its connection is nobody else's.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import TypeVar

import structlog
import trio

from storefront.domain.facts import Fact
from storefront.domain.ids import CustomerId, OrderId
from storefront.domain.positions import Position
from storefront.errors import SettingsError, StoreUnavailableError
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

log = structlog.get_logger(__name__)

T = TypeVar("T")

# Seconds for what is under way when the store is closed, and again for closing the file, which
# copies the WAL into it; more than BUSY_SECONDS. At the bound a thread is left alone with the file
# and the lock on it: it closes them when the disk lets it, or they go with the process. Nothing of
# it was acknowledged.
CLOSED_WITHIN = 3.0


class SqliteStore(Followed):
    """See `contract.Store`. Opened by `open_sqlite_store`, which runs `commits` beside it.

    Of a batch that raises, nothing was recorded. A transaction that failed was rolled back by
    SQLite: it is never in doubt within the process, so there is nothing to announce as lost.
    """

    durable = True

    def __init__(self, ledger: Ledger, reader: Reader, path: Path) -> None:
        super().__init__()
        self.commits = Commits(ledger, self._settle)
        self._reader = reader
        self._path = path
        self._thread = trio.CapacityLimiter(1)
        self._generations = Generations(_tokens())
        # In memory, because nobody else has this file: a commit each would buy nothing.
        self._tickets = Tickets()
        # When was asked for numberings whose row does not say so yet.
        self._asked: dict[CustomerId, float] = {}

    async def record(self, batch: Sequence[Recording], *, now: float) -> Sequence[Entry | None]:
        return await self.commits.write(partial(Ledger.record, batch=batch, now=now))

    async def since(
        self, customer: CustomerId, cursor: Position, *, now: float, limit: int, max_bytes: int
    ) -> Slice:
        head, entries = await self._read(
            partial(self._reader.since, customer, cursor, now=now, limit=limit, max_bytes=max_bytes)
        )
        if head is None or not self._alive({customer: head}, now):
            return Slice(resumable=False, entries=(), head=await self._start(customer, now))
        return Slice(resumable=entries is not None, entries=entries or (), head=head.position)

    async def position(self, customer: CustomerId, *, now: float) -> Position:
        heads = await self.heads([customer], now=now)
        return heads.get(customer) or await self._start(customer, now)

    async def heads(
        self, customers: Collection[CustomerId], *, now: float
    ) -> Mapping[CustomerId, Position]:
        found = await self._read(partial(self._reader.heads, customers))
        return self._alive(found, now)

    async def place(
        self, owners: Sequence[tuple[OrderId, CustomerId]], *, now: float
    ) -> Sequence[None]:
        return await self.commits.write(partial(Ledger.place, owners=owners, now=now))

    async def owner(self, order: OrderId, *, now: float) -> CustomerId | None:
        return await self._read(partial(self._reader.owner, order, now=now))

    async def facts(self, customer: CustomerId, *, now: float) -> Sequence[Fact]:
        return await self._read(partial(self._reader.facts, customer, now=now))

    async def generation(self, customer: CustomerId) -> str:
        await trio.lowlevel.checkpoint_if_cancelled()
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
        return self.commits.counts.readings()

    def _settle(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._generations.renew(entry.customer, entry.recorded_at)
        self._announce(entries)

    async def _read(self, question: Callable[[], T]) -> T:
        def ask() -> T:
            with self._reader.busy, sqlite_file.sqlite_errors(self._path):
                return question()

        # Abandoned, the thread keeps its place in the limiter until it is back.
        return await trio.to_thread.run_sync(ask, limiter=self._thread, abandon_on_cancel=True)

    async def _start(self, customer: CustomerId, now: float) -> Position:
        return await self.commits.write(partial(Ledger.head, customer=customer, now=now))

    def _alive(self, found: Mapping[CustomerId, Head], now: float) -> dict[CustomerId, Position]:
        """The heads that have not lapsed; and see to it that their numberings live on.

        Not with every question, which would cost a commit: only when the last time written down is
        so long ago that HEAD_LEEWAY would not make up for it, once a day and customer. Nobody waits
        for that commit. It comes before all that is written later; if it fails, the next question
        does it again.
        """
        alive: dict[CustomerId, Position] = {}
        asked: dict[CustomerId, float] = {}
        for customer, head in found.items():
            touched = max(head.touched, self._asked.get(customer, head.touched))
            if not lapsed(touched, now):
                alive[customer] = head.position
                if now - touched > HEAD_LEEWAY:
                    asked[customer] = now
        if asked:
            self._asked |= asked
            self.commits.note(partial(Ledger.keep, asked=asked), partial(self._kept, asked))
        return alive

    def _kept(self, asked: Mapping[CustomerId, float]) -> None:
        for customer, now in asked.items():
            if self._asked.get(customer) == now:
                del self._asked[customer]


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
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.commits.run)  # noqa: ASYNC113 - what is asked before it runs waits
            try:
                yield store
            finally:
                store.commits.close(within=CLOSED_WITHIN)
    finally:
        with trio.move_on_after(CLOSED_WITHIN, shield=True) as scope:
            await trio.to_thread.run_sync(resources.close, abandon_on_cancel=True)
        if scope.cancelled_caught:
            log.warning("the log's file is left to a disk that does not answer", path=str(path))


def _open(path: Path, window: float, kept_ids: int) -> tuple[ExitStack, Ledger, Reader]:
    sqlite_file.make_folder(path)
    with ExitStack() as stack:
        stack.enter_context(held_alone(path))
        try:
            writer = sqlite_file.open_writer(path)
            ledger = Ledger(writer, path, window=window, kept_ids=kept_ids)
            stack.callback(ledger.close)
            reader = Reader(sqlite_file.open_reader(path), window=window)
            stack.callback(reader.close)
        except StoreUnavailableError as exc:
            # Later it is waited for; at the start the operator is there to hear of it.
            raise SettingsError(f"STOREFRONT_DATA_DIR: {exc}") from exc
        return stack.pop_all(), ledger, reader


def _tokens() -> Callable[[], str]:
    """Makes tokens that never come twice: random for the process, counted within it."""
    process = secrets.token_hex(8)
    numbers = count(1)
    return lambda: f"{process}.{next(numbers)}"
