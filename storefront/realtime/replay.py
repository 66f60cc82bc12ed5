"""Reading the log for those who came back or fell behind.

What this process has heard of lately is answered from memory (`recent`). The rest is read, at most
READS at a time, and one of a customer: after a restart every browser comes at once, the memory is
empty, and the store has other work too. The others wait their turn; those who wait for the same
piece of the same log share one read. A read that has begun is not shared: it may be older than the
newcomer's place in the hub, and what was recorded between the two would be in neither.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from storefront.domain.ids import CustomerId
from storefront.domain.positions import Position
from storefront.errors import StoreUnavailableError
from storefront.realtime.recent import Recent
from storefront.store.contract import Refused, Slice, Store

READS = 8
# One slice is one write to the browser, and its send deadline is for a write: at 20 KiB/s, 64 KiB
# take 3.2 s.
SLICE_ENTRIES = 500
SLICE_BYTES = 64 * 1024


@dataclass(slots=True, eq=False)
class _Read:
    """One read, for all who asked before it began. No outcome: its reader was cancelled."""

    done: trio.Event = field(default_factory=trio.Event)
    found: Slice | None = None
    failed: StoreUnavailableError | None = None


@dataclass(slots=True, eq=False)
class _Turn:
    """Whose read of one customer's log it is; there while anybody wants it."""

    lock: trio.Lock = field(default_factory=trio.Lock)
    wanted: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LogStatistics:
    """Questions about what follows a cursor since the process began, by who answered."""

    remembered: int
    read: int
    kept: int  # bytes in memory now


class LogReader:
    """The log on a clock: from memory where it can be, else from the store behind a limiter.

    Args:
        store: the log.
        clock: seconds since 1970.
        recent: what this process has heard lately.
    """

    def __init__(self, store: Store, *, clock: Callable[[], float], recent: Recent) -> None:
        self._store = store
        self._clock = clock
        self._recent = recent
        self._remembered = 0
        self._reads = 0
        self._limiter = trio.CapacityLimiter(READS)
        self._waiting: dict[tuple[CustomerId, Position], _Read] = {}
        self._turns: dict[CustomerId, _Turn] = {}

    async def head(self, customer: CustomerId) -> Position:
        """The last position of a customer's log.

        Raises:
            StoreUnavailableError: the log does not answer.
        """
        async with self._limiter:
            head = await self._store.position(customer, now=self._clock())
        self._recent.heed(customer, head)
        return head

    async def known_head(self, customer: CustomerId) -> Position | None:
        """The same, of a customer who has a numbering; unlike `head` it begins none.

        Raises:
            StoreUnavailableError: the log does not answer, or not for this customer.
        """
        async with self._limiter:
            head = (await self._store.heads({customer}, now=self._clock())).get(customer)
        if isinstance(head, Refused):
            raise StoreUnavailableError(head.detail)
        return head

    def remembered(self, customer: CustomerId, cursor: Position) -> Slice | None:
        """What follows a cursor, one write's worth, without asking the store; None if that cannot
        be.

        Whoever opens a stream with it has the head looked at as well: see `recent`.
        """
        found = self._recent.since(
            customer, cursor, now=self._clock(), limit=SLICE_ENTRIES, max_bytes=SLICE_BYTES
        )
        self._remembered += found is not None
        return found

    def statistics(self) -> LogStatistics:
        kept = self._recent.statistics().size
        return LogStatistics(remembered=self._remembered, read=self._reads, kept=kept)

    async def since(self, customer: CustomerId, cursor: Position) -> Slice:
        """What follows a cursor, one write's worth, from the store.

        Raises:
            StoreUnavailableError: the log does not answer.
        """
        while (read := self._waiting.get((customer, cursor))) is not None:
            await read.done.wait()
            if read.failed is not None:
                raise StoreUnavailableError(str(read.failed)) from read.failed
            if read.found is not None:
                return read.found
        return await self._read(customer, cursor)

    async def _read(self, customer: CustomerId, cursor: Position) -> Slice:
        read = self._waiting[customer, cursor] = _Read()
        try:
            # The turn first: whoever waits for it must not hold one of the places meanwhile.
            async with self._turn(customer), self._limiter:
                self._waiting.pop((customer, cursor))
                self._reads += 1
                read.found = await self._store.since(
                    customer,
                    cursor,
                    now=self._clock(),
                    limit=SLICE_ENTRIES,
                    max_bytes=SLICE_BYTES,
                )
        except StoreUnavailableError as exc:
            read.failed = exc
            raise
        finally:
            if self._waiting.get((customer, cursor)) is read:
                del self._waiting[customer, cursor]
            read.done.set()
        self._recent.heed(customer, read.found.head)
        return read.found

    @asynccontextmanager
    async def _turn(self, customer: CustomerId) -> AsyncIterator[None]:
        turn = self._turns.setdefault(customer, _Turn())
        turn.wanted += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.wanted -= 1
            if not turn.wanted:
                del self._turns[customer]
