"""A broker whose sessions are watched: what is in hand of each queue, for how long, and what waits.

It stands between the consumer and the real broker and changes nothing. What is in hand is counted
where it is handed over and where it is settled, so the rooms in between need not know of it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

import structlog
import trio

from storefront.errors import BrokerError
from storefront.messaging.broker import Ack, Broker, Delivery, Outgoing, Queue, Session
from storefront.telemetry.metrics import Reading
from storefront.telemetry.metrics_histogram import Histogram

log = structlog.get_logger(__name__)

# Seconds between two looks at what waits on the broker: each is a few round trips for a queue.
EVERY = 5.0
# ... until the first answers.
FIRST = 1.0

_SYSTEM = {"messaging_system": "rabbitmq"}


class Counting(Broker, Protocol):
    """A broker that knows how many messages wait."""

    async def waiting(self, queue: Queue) -> tuple[int, int]:
        """How many wait in the queue, and how many with its dead letters.

        Raises:
            BrokerError: it cannot be told for now.
        """
        ...


@dataclass(slots=True, eq=False)
class _Books:
    """Of one queue, as this process has it.

    Attributes:
        queue: which.
        consuming: whether we are who consumes it.
        taken: deliveries that came.
        durations: seconds from a delivery until it was settled.
        in_hand: since when, by tag, the oldest first; those of a life that is over are gone.
        ready: how many waited on the broker when last asked; None where that is not known.
    """

    queue: Queue
    consuming: bool = False
    taken: int = 0
    durations: Histogram = field(default_factory=Histogram)
    in_hand: OrderedDict[int, float] = field(default_factory=OrderedDict)
    ready: int | None = None

    def settle(self, tag: int, now: float) -> None:
        since = self.in_hand.pop(tag, None)
        if since is not None:
            self.durations.observe(now - since)


class WatchedBroker:
    """See `broker.Broker`; `look` asks what waits. `broker` is the real one."""

    def __init__(self, broker: Counting) -> None:
        self._broker = broker
        self._dead: int | None = None
        self._books: dict[str, _Books] = {}

    @asynccontextmanager
    async def consuming(self, queue: Queue, *, prefetch: int) -> AsyncIterator[Session]:
        books = self._books.setdefault(queue.name, _Books(queue))
        async with self._broker.consuming(queue, prefetch=prefetch) as session:
            books.consuming = True
            try:
                yield _WatchedSession(session, books)
            finally:
                books.consuming = False
                books.ready = None
                # What was not settled goes back with this life.
                books.in_hand.clear()

    async def publish(self, queue: str, message: Outgoing) -> None:
        await self._broker.publish(queue, message)

    async def waiting(self, queue: Queue) -> tuple[int, int]:
        return await self._broker.waiting(queue)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            unknown = any(each.ready is None for each in self._books.values() if each.consuming)
            await trio.sleep(FIRST if unknown or not self._books else EVERY)

    async def look(self) -> None:
        """Ask how much waits in the queues that we consume, and with the dead letters: by who
        consumes, so that of several processes one asks.
        """
        # What was known stays until more is, for whoever reads meanwhile.
        dead: int | None = None
        for books in [each for each in self._books.values() if each.consuming]:
            try:
                books.ready, dead = await self._broker.waiting(books.queue)
            except BrokerError as exc:
                books.ready = None
                log.debug("what waits is not known", queue=books.queue.name, error=str(exc))
        self._dead = dead

    def readings(self) -> Iterable[Reading]:
        """For /metrics."""
        now = trio.current_time()
        for queue, books in self._books.items():
            yield from _readings(queue, books, now)
        if self._dead is not None:
            words = "Dead letters that wait for somebody, as last asked."
            yield "storefront_dead_letters_ready", words, {}, self._dead


def _readings(queue: str, books: _Books, now: float) -> Iterable[Reading]:
    whose = {"queue": queue}
    words = "1 while this process consumes the queue."
    yield "storefront_queue_consuming", words, whose, books.consuming
    words = "Messages that this process has and has not settled."
    yield "storefront_queue_in_hand", words, whose, len(books.in_hand)
    oldest = next(iter(books.in_hand.values()), now)
    words = "Seconds since the oldest of them came."
    yield "storefront_queue_oldest_seconds", words, whose, now - oldest
    if books.ready is not None:
        words = "Messages that wait on the broker, as last asked."
        yield "storefront_queue_ready", words, whose, books.ready
    labels = _SYSTEM | {"messaging_destination_name": queue}
    name, words = "messaging_client_consumed_messages_total", "Messages that were delivered to us."
    yield name, words, labels | {"messaging_operation_name": "deliver"}, books.taken
    name, words = "messaging_process_duration_seconds", "Seconds from a delivery to its settlement."
    yield name, words, labels | {"messaging_operation_name": "process"}, books.durations


class _WatchedSession:
    """See `broker.Session`."""

    def __init__(self, session: Session, books: _Books) -> None:
        self._session = session
        self._books = books

    @property
    def over(self) -> bool:
        return self._session.over

    async def receive(self) -> Delivery:
        delivery = await self._session.receive()
        self._books.taken += 1
        self._books.in_hand[delivery.tag] = trio.current_time()
        return delivery

    async def acknowledge(self, acks: Sequence[Ack]) -> None:
        await self._session.acknowledge(acks)
        now = trio.current_time()
        for ack in acks:
            if ack.multiple:
                # Tags rise, so those below are at the front.
                while self._books.in_hand and next(iter(self._books.in_hand)) <= ack.tag:
                    self._books.settle(next(iter(self._books.in_hand)), now)
            else:
                self._books.settle(ack.tag, now)

    async def dead_letter(self, delivery: Delivery, why: Mapping[str, str | int]) -> None:
        await self._session.dead_letter(delivery, why)

    async def delay(self, delivery: Delivery, seconds: int, notes: Mapping[str, str | int]) -> None:
        await self._session.delay(delivery, seconds, notes)

    async def reject(self, delivery: Delivery) -> None:
        await self._session.reject(delivery)
        self._books.settle(delivery.tag, trio.current_time())
