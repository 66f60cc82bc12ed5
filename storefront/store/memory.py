"""The store in memory, on the caller's clock: for tests of time, and the model the other stores are
held against.

Gone with the process, so a message acknowledged here is as lost as its process. Nothing here waits.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import trio

from storefront.domain.facts import Fact, merged, supersedes
from storefront.domain.ids import CustomerId, OrderId
from storefront.domain.positions import Position
from storefront.store.contract import (
    FACT_LIFE,
    FACTS_KEPT,
    HEAD_LIFE,
    OWNER_LIFE,
    Entry,
    Recording,
    Slice,
)
from storefront.store.followers import Followed


@dataclass(slots=True)
class _Log:
    """All that is kept of one customer."""

    epoch: str
    touched: float
    seq: int = 0
    entries: deque[Entry] = field(default_factory=deque)
    ids: OrderedDict[str, float] = field(default_factory=OrderedDict)
    generation: str = ""
    facts: dict[tuple[str, str], tuple[float, Fact]] = field(default_factory=dict)

    @property
    def head(self) -> Position:
        return Position(self.epoch, self.seq)


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
        self._logs: dict[CustomerId, _Log] = {}
        self._owners: dict[OrderId, tuple[CustomerId, float]] = {}

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
        first = log.seq - len(log.entries) + 1
        after = cursor.seq + 1 - first
        if cursor.epoch != log.epoch or not 0 <= after <= len(log.entries):
            return Slice(resumable=False, entries=(), head=log.head)
        entries: list[Entry] = []
        size = 0
        for index in range(after, len(log.entries)):
            size += len(log.entries[index].payload)
            if entries and (size > max_bytes or len(entries) >= limit):
                break
            entries.append(log.entries[index])
        return Slice(resumable=True, entries=tuple(entries), head=log.head)

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

    async def place(self, order: OrderId, customer: CustomerId, *, now: float) -> None:
        await trio.lowlevel.checkpoint()
        if self._owner(order, now) is None:
            self._owners[order] = (customer, now)

    async def owner(self, order: OrderId, *, now: float) -> CustomerId | None:
        await trio.lowlevel.checkpoint()
        return self._owner(order, now)

    async def facts(self, customer: CustomerId, *, now: float) -> Sequence[Fact]:
        await trio.lowlevel.checkpoint()
        log = self._logs.get(customer)
        kept = [fact for at, fact in log.facts.values() if now - at <= FACT_LIFE] if log else []
        return sorted(kept, key=lambda fact: fact.occurred_at, reverse=True)

    async def generation(self, customer: CustomerId) -> str:
        await trio.lowlevel.checkpoint()
        log = self._logs.get(customer)
        return log.generation if log else ""

    async def renew_generation(self, customer: CustomerId, *, now: float) -> str:
        await trio.lowlevel.checkpoint()
        log = self._open(customer, now)
        log.generation = self._token()
        return log.generation

    def _record(self, recording: Recording, now: float) -> Entry | None:
        log = self._open(recording.customer, now)
        self._trim(log, now)
        if recording.message_id in log.ids:
            return None
        log.seq += 1
        log.touched = max(log.touched, now)
        log.generation = self._token()
        log.ids[recording.message_id] = now
        entry = Entry(
            customer=recording.customer,
            position=log.head,
            payload=recording.payload,
            recorded_at=now,
            traceparent=recording.traceparent,
        )
        log.entries.append(entry)
        if recording.fact is not None:
            self._remember(log, recording.fact, now)
        return entry

    def _remember(self, log: _Log, fact: Fact, now: float) -> None:
        key = (fact.kind, fact.id)
        recorded_at, old = log.facts.get(key, (now, None))
        if now - recorded_at > FACT_LIFE:
            old = None
        if not supersedes(fact, old):
            return
        log.facts[key] = (now, merged(fact, old))
        if len(log.facts) > FACTS_KEPT:
            log.facts = {key: kept for key, kept in log.facts.items() if now - kept[0] <= FACT_LIFE}
        if len(log.facts) > FACTS_KEPT:
            del log.facts[min(log.facts, key=lambda each: log.facts[each][1].occurred_at)]

    def _open(self, customer: CustomerId, now: float) -> _Log:
        log = self._logs.get(customer)
        if log is None:
            log = self._logs[customer] = _Log(epoch=self._token(), touched=now)
        elif now - log.touched > HEAD_LIFE:
            # Facts live longer than a numbering.
            log = self._logs[customer] = _Log(epoch=self._token(), touched=now, facts=log.facts)
        return log

    def _ask(self, customer: CustomerId, now: float) -> _Log:
        log = self._open(customer, now)
        log.touched = max(log.touched, now)
        return log

    def _trim(self, log: _Log, now: float) -> None:
        """Let go of what is too old. Every entry is let go once, so the cost per event is
        constant.
        """
        while log.entries and now - log.entries[0].recorded_at > self._window:
            log.entries.popleft()
        while len(log.ids) > self._kept_ids:
            oldest, at = next(iter(log.ids.items()))
            if now - at <= self._window:
                break
            del log.ids[oldest]

    def _owner(self, order: OrderId, now: float) -> CustomerId | None:
        customer, at = self._owners.get(order, (None, now))
        return customer if now - at <= OWNER_LIFE else None
