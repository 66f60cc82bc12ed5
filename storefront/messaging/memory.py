"""A broker in this process: for `storefront demo`, and for tests that need no wire.

It keeps the promises of `broker` that a consumer can see: one exclusive consumer per queue,
prefetch, redelivery of what was not acknowledged in its old place and marked so, delays, dead
letters with their reasons. Gone with the process.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from itertools import count

import trio

from storefront.errors import BrokerError, QueueHeldError
from storefront.messaging.broker import Ack, Delivery, Outgoing, Queue

# Messages a queue holds; at the bound `publish` is refused, as a broker out of room refuses.
ROOM = 100_000


@dataclass(slots=True)
class _Queue:
    waiting: deque[Delivery] = field(default_factory=deque)
    held: bool = False


class MemoryBroker:
    """See `broker.Broker`. `run` brings postponed messages back."""

    def __init__(self) -> None:
        self._queues: dict[str, _Queue] = {}
        self._postponed: list[tuple[float, int, str, Delivery]] = []
        self._serial = count()
        self._changed = trio.Event()
        self._reachable = True
        self.cuts = 0  # a session ends with the next one
        self.dead_letters: list[Delivery] = []

    async def run(self) -> None:
        """Bring postponed messages back when their time has come, until cancelled."""
        while True:
            changed = self._changed
            due = self._postponed[0][0] if self._postponed else float("inf")
            with trio.move_on_at(due):
                await changed.wait()
            while self._postponed and self._postponed[0][0] <= trio.current_time():
                _, _, name, delivery = heappop(self._postponed)
                self._queue(name).waiting.append(delivery)
                self._announce()

    def cut(self) -> None:
        """Be unreachable: sessions end, nothing is taken, until `mend`."""
        self._reachable = False
        self.cuts += 1
        self._announce()

    def mend(self) -> None:
        """Be reachable again."""
        self._reachable = True
        self._announce()

    async def publish(self, queue: str, message: Outgoing) -> None:
        await trio.lowlevel.checkpoint()
        self._check()
        if len(self._queue(queue).waiting) >= ROOM:
            raise BrokerError("the queue is full")
        self._queue(queue).waiting.append(_delivery(queue, message))
        self._announce()

    @asynccontextmanager
    async def consuming(self, queue: Queue, *, prefetch: int) -> AsyncIterator[MemorySession]:
        await trio.lowlevel.checkpoint()
        self._check()
        held = self._queue(queue.name)
        if held.held:
            raise QueueHeldError(queue.name)
        held.held = True
        session = MemorySession(self, queue.name, prefetch)
        try:
            yield session
        finally:
            held.held = False
            session.give_back()

    @property
    def postponed(self) -> int:
        """How many messages wait for their time."""
        return len(self._postponed)

    def depth(self, queue: str) -> int:
        """How many messages wait in a queue."""
        return len(self._queue(queue).waiting)

    def _queue(self, name: str) -> _Queue:
        return self._queues.setdefault(name, _Queue())

    def _check(self) -> None:
        if not self._reachable:
            raise BrokerError("the bus is cut")

    def _announce(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _bring_back(self, queue: str, deliveries: Sequence[Delivery]) -> None:
        again = [replace(delivery, redelivered=True) for delivery in reversed(deliveries)]
        self._queue(queue).waiting.extendleft(again)
        self._announce()

    def _postpone(self, queue: str, delivery: Delivery, seconds: float) -> None:
        due = trio.current_time() + seconds
        heappush(self._postponed, (due, next(self._serial), queue, delivery))
        self._announce()


class MemorySession:
    """See `broker.Session`."""

    def __init__(self, broker: MemoryBroker, queue: str, prefetch: int) -> None:
        self._broker = broker
        self._queue = queue
        self._prefetch = prefetch
        self._unsettled: dict[int, Delivery] = {}
        self._tags = count(1)
        self._cuts = broker.cuts
        self._over: str | None = None

    async def receive(self) -> Delivery:
        await trio.lowlevel.checkpoint()
        waiting = self._broker._queue(self._queue).waiting  # noqa: SLF001 - two halves of one thing
        self._check()
        while not waiting or len(self._unsettled) >= self._prefetch:
            await self._broker._changed.wait()  # noqa: SLF001 - as above
            self._check()
        delivery = replace(waiting.popleft(), tag=next(self._tags))
        self._unsettled[delivery.tag] = delivery
        return delivery

    async def acknowledge(self, acks: Sequence[Ack]) -> None:
        await trio.lowlevel.checkpoint()
        self._check()
        for ack in acks:
            if ack.tag not in self._unsettled:
                # As RabbitMQ: 406, and the channel is closed.
                self._finish("unknown delivery tag")
                self._check()
            settled = (
                [tag for tag in self._unsettled if tag <= ack.tag] if ack.multiple else [ack.tag]
            )
            for tag in settled:
                del self._unsettled[tag]
        self._broker._announce()  # noqa: SLF001 - as above

    async def dead_letter(self, delivery: Delivery, why: Mapping[str, str | int]) -> None:
        await trio.lowlevel.checkpoint()
        self._check()
        self._broker.dead_letters.append(self._copy(delivery, why))

    async def delay(self, delivery: Delivery, seconds: int, notes: Mapping[str, str | int]) -> None:
        await trio.lowlevel.checkpoint()
        self._check()
        self._broker._postpone(self._queue, self._copy(delivery, notes), seconds)  # noqa: SLF001 - as above

    async def reject(self, delivery: Delivery) -> None:
        await trio.lowlevel.checkpoint()
        self._check()
        del self._unsettled[delivery.tag]
        self._broker.dead_letters.append(delivery)
        self._broker._announce()  # noqa: SLF001 - as above

    def give_back(self) -> None:
        """What was not settled returns to its place, in order."""
        self._broker._bring_back(self._queue, list(self._unsettled.values()))  # noqa: SLF001 - as above
        self._unsettled.clear()
        self._finish("the session was closed")

    def _copy(self, delivery: Delivery, notes: Mapping[str, str | int]) -> Delivery:
        # aiormq gives one without an id an id of its own, never the same twice.
        own = f"copy-{next(self._broker._serial)}"  # noqa: SLF001 - as above
        return replace(
            delivery,
            headers={**delivery.headers, **notes},
            message_id=delivery.message_id or own,
            redelivered=False,
        )

    def _finish(self, why: str) -> None:
        self._over = self._over or why
        self._broker._announce()  # noqa: SLF001 - as above

    def _check(self) -> None:
        if self._broker.cuts != self._cuts:
            raise BrokerError("the bus was cut")
        if self._over is not None:
            raise BrokerError(self._over)


def _delivery(queue: str, message: Outgoing) -> Delivery:
    return Delivery(
        tag=0,
        queue=queue,
        body=message.body,
        type=message.type,
        message_id=message.message_id,
        correlation_id=message.correlation_id,
        content_type=message.content_type,
        headers=dict(message.headers),
    )
