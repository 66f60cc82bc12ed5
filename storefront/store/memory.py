"""The store in memory, on the caller's clock: for tests of time, and the model the other stores are
held against.

Gone with the process, so a message acknowledged here is as lost as its process. Nothing here waits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import trio

from storefront.domain.facts import Fact
from storefront.domain.ids import CustomerId, OrderId
from storefront.domain.positions import Position
from storefront.store.contract import HEAD_LIFE, OWNER_LIFE, Entry, Recording, Slice, stamped
from storefront.store.followers import Followed
from storefront.store.memory_log import Log
from storefront.store.tickets import Tickets
from storefront.telemetry.metrics import Reading


class MemoryStore(Followed):
    """See `contract.Store`. `token` makes epochs and generations: random, and never the same
    twice.
    """

    durable = False

    def __init__(self, *, window: float, kept_ids: int, token: Callable[[], str]) -> None:
        super().__init__()
        self._window = window
        self._kept_ids = kept_ids
        self._token = token
        self._logs: dict[CustomerId, Log] = {}
        self._owners: dict[OrderId, tuple[CustomerId, float]] = {}
        self._tickets = Tickets()

    async def record(self, batch: Sequence[Recording], *, now: float) -> Sequence[Entry | None]:
        await trio.lowlevel.checkpoint()
        answers = [self._record(recording, now) for recording in batch]
        self._announce([entry for entry in answers if entry is not None])
        return answers

    async def since(
        self, customer: CustomerId, cursor: Position, *, now: float, limit: int, max_bytes: int
    ) -> Slice:
        await trio.lowlevel.checkpoint()
        log = self._ask(customer, now)
        self._trim(log, now)
        return log.since(cursor, limit=limit, max_bytes=max_bytes)

    async def position(self, customer: CustomerId, *, now: float) -> Position:
        await trio.lowlevel.checkpoint()
        return self._ask(customer, now).head

    async def heads(
        self, customers: Collection[CustomerId], *, now: float
    ) -> Mapping[CustomerId, Position]:
        await trio.lowlevel.checkpoint()
        heads = {}
        for customer in customers:
            log = self._logs.get(customer)
            if log is not None and now - log.touched <= HEAD_LIFE:
                log.touched = max(log.touched, now)
                heads[customer] = log.head
        return heads

    async def place(
        self, owners: Sequence[tuple[OrderId, CustomerId]], *, now: float
    ) -> Sequence[None]:
        await trio.lowlevel.checkpoint()
        for order, customer in owners:
            if self._owner(order, now) is None:
                self._owners[order] = (customer, now)
        return [None] * len(owners)

    async def owner(self, order: OrderId, *, now: float) -> CustomerId | None:
        await trio.lowlevel.checkpoint()
        return self._owner(order, now)

    async def facts(self, customer: CustomerId, *, now: float) -> Sequence[Fact]:
        await trio.lowlevel.checkpoint()
        log = self._logs.get(customer)
        return log.newest_facts(now) if log else []

    async def generation(self, customer: CustomerId) -> str:
        await trio.lowlevel.checkpoint_if_cancelled()
        log = self._logs.get(customer)
        return log.generation if log else ""

    async def renew_generation(self, customer: CustomerId, *, now: float) -> str:
        await trio.lowlevel.checkpoint()
        log = self._open(customer, now)
        log.generation = stamped(self._token(), now)
        return log.generation

    async def issue_ticket(self, content: bytes, *, until: float, now: float) -> bytes:
        await trio.lowlevel.checkpoint()
        return self._tickets.issue(content, until=until, now=now)

    async def spend_ticket(self, ticket: bytes, *, now: float) -> bytes | None:
        await trio.lowlevel.checkpoint()
        return self._tickets.spend(ticket, now=now)

    def readings(self) -> Sequence[Reading]:
        return ()

    def _record(self, recording: Recording, now: float) -> Entry | None:
        log = self._open(recording.customer, now)
        self._trim(log, now)
        entry = log.append(recording, now)
        if entry is not None:
            log.generation = stamped(self._token(), now)
        return entry

    def _open(self, customer: CustomerId, now: float) -> Log:
        log = self._logs.get(customer)
        if log is None:
            log = self._logs[customer] = Log(epoch=self._token(), touched=now)
        elif now - log.touched > HEAD_LIFE:
            # Facts live longer than a numbering.
            log = self._logs[customer] = Log(epoch=self._token(), touched=now, facts=log.facts)
        return log

    def _ask(self, customer: CustomerId, now: float) -> Log:
        log = self._open(customer, now)
        log.touched = max(log.touched, now)
        return log

    def _trim(self, log: Log, now: float) -> None:
        log.trim(now, window=self._window, kept_ids=self._kept_ids)

    def _owner(self, order: OrderId, now: float) -> CustomerId | None:
        customer, at = self._owners.get(order, (None, now))
        return customer if now - at <= OWNER_LIFE else None
