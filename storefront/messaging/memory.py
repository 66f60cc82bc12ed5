"""A broker in this process: for `storefront demo`, and for tests that need no wire.

It keeps the promises of `broker` that a consumer can see: one exclusive consumer per queue,
prefetch, redelivery of what was not acknowledged in its old place and marked so, an end of what is
not acknowledged at all, delays, dead letters with their reasons. Gone with the process.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count

import trio

from storefront.errors import BrokerError, QueueHeldError
from storefront.messaging import spans
from storefront.messaging.broker import DELAYS, Ack, Delivery, Outgoing, Queue
from storefront.messaging.memory_bus import MemoryBus

# Seconds, as RabbitMQ has it: what is unacknowledged for so long closes its channel.
CONSUMER_TIMEOUT = 1800.0


class MemoryBroker:
    """See `broker.Broker`. `run` brings postponed messages back."""

    def __init__(self) -> None:
        self._bus = MemoryBus()

    async def run(self) -> None:
        """Bring postponed messages back when their time has come, until cancelled."""
        while True:
            changed = self._bus.changed
            with trio.move_on_at(self._bus.next_due):
                await changed.wait()
            self._bus.bring_due()

    def cut(self) -> None:
        """Be unreachable: sessions end, nothing is taken, until `mend`."""
        self._bus.reach(False)

    def mend(self) -> None:
        """Be reachable again."""
        self._bus.reach(True)

    async def publish(self, queue: str, message: Outgoing) -> None:
        await trio.lowlevel.checkpoint()
        self._bus.check()
        with spans.publishing(queue, only_within=False):
            self._bus.put(queue, _delivery(queue, spans.carrying(message)))

    @asynccontextmanager
    async def consuming(self, queue: Queue, *, prefetch: int) -> AsyncIterator[MemorySession]:
        await trio.lowlevel.checkpoint()
        self._bus.check()
        held = self._bus.queue(queue.name)
        if held.held:
            raise QueueHeldError(queue.name)
        held.held = True
        session = MemorySession(self._bus, queue.name, prefetch)
        try:
            yield session
        finally:
            held.held = False
            session.give_back()

    async def waiting(self, queue: Queue) -> tuple[int, int]:
        """See `watched.Counting`."""
        await trio.lowlevel.checkpoint()
        self._bus.check()
        return self.depth(queue.name), len(self._bus.dead_letters)

    @property
    def dead_letters(self) -> list[Delivery]:
        """What nobody could read or place, the oldest first."""
        return self._bus.dead_letters

    @property
    def postponed(self) -> int:
        """How many messages wait for their time."""
        return self._bus.postponed

    def depth(self, queue: str) -> int:
        """How many messages wait in a queue."""
        return len(self._bus.queue(queue).waiting)


class MemorySession:
    """See `broker.Session`."""

    def __init__(self, bus: MemoryBus, queue: str, prefetch: int) -> None:
        self._bus = bus
        self._queue = queue
        self._prefetch = prefetch
        self._unsettled: dict[int, Delivery] = {}
        self._patience: dict[int, float] = {}  # of each when it will have been out for too long
        self._tags = count(1)
        self._cuts = bus.cuts
        self._ended: str | None = None

    @property
    def over(self) -> bool:
        return self._bus.cuts != self._cuts or self._ended is not None

    async def receive(self) -> Delivery:
        await trio.lowlevel.checkpoint()
        waiting = self._bus.queue(self._queue).waiting
        self._check()
        while not waiting or len(self._unsettled) >= self._prefetch:
            with trio.move_on_at(next(iter(self._patience.values()), math.inf)):
                await self._bus.changed.wait()
            self._check()
        delivery = replace(waiting.popleft(), tag=next(self._tags))
        self._unsettled[delivery.tag] = delivery
        self._patience[delivery.tag] = trio.current_time() + CONSUMER_TIMEOUT
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
                self._take(tag)
        self._bus.announce()

    async def dead_letter(self, delivery: Delivery, why: Mapping[str, str | int]) -> None:
        await trio.lowlevel.checkpoint()
        self._check()
        self._bus.bury(self._copy(delivery, why))

    async def delay(self, delivery: Delivery, seconds: int, notes: Mapping[str, str | int]) -> None:
        await trio.lowlevel.checkpoint()
        self._check()
        if seconds not in DELAYS:
            raise ValueError("no such delay")
        self._bus.postpone(self._queue, self._copy(delivery, notes), seconds)

    async def reject(self, delivery: Delivery) -> None:
        await trio.lowlevel.checkpoint()
        self._check()
        self._take(delivery.tag)
        self._bus.bury(delivery)

    def give_back(self) -> None:
        """What was not settled returns to its place, in order."""
        self._bus.bring_back(self._queue, self._unsettled.values())
        self._unsettled.clear()
        self._finish("the session was closed")

    def _copy(self, delivery: Delivery, notes: Mapping[str, str | int]) -> Delivery:
        return replace(
            delivery,
            headers={**delivery.headers, **notes},
            message_id=delivery.message_id or self._bus.name(),
            redelivered=False,
        )

    def _take(self, tag: int) -> None:
        del self._unsettled[tag], self._patience[tag]

    def _finish(self, why: str) -> None:
        self._ended = self._ended or why
        self._bus.announce()

    def _check(self) -> None:
        if self._bus.cuts != self._cuts:
            raise BrokerError("the bus was cut")
        if trio.current_time() >= next(iter(self._patience.values()), math.inf):
            self._finish("delivery acknowledgement timeout")
        if self._ended is not None:
            raise BrokerError(self._ended)


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
