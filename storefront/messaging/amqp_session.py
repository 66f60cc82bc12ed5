"""One life of one subscription: a channel of its own, on the connection that only consumes.

A session is built anew from nothing when it has ended (supervised, with backoff), so a tag never
meets a channel it does not come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

import aio_pika
import aiormq
import trio
from aio_pika.abc import AbstractChannel
from aiormq.abc import DeliveredMessage
from aiormq.exceptions import ChannelAccessRefused

from storefront.errors import BrokerError, QueueHeldError
from storefront.messaging import spans
from storefront.messaging.amqp_aside import Aside, Parcel
from storefront.messaging.amqp_connection import ANSWER_TIMEOUT
from storefront.messaging.amqp_island import BROKER_ERRORS, crossing
from storefront.messaging.amqp_message import dead, delayed, delivery_of
from storefront.messaging.amqp_pulse import Pulse
from storefront.messaging.amqp_topology import declared_channel_aio
from storefront.messaging.broker import DELAYS, Ack, Delivery, Queue

# Seconds without a delivery before the queue is asked how it stands. With the time for the answer,
# a channel that hangs is noticed within half a minute; an idle queue costs a question in this time.
SILENCE = 15.0


class AmqpSession:
    """See `broker.Session`. Built, opened and closed by AmqpBroker.

    Attributes:
        hangs: its channel does not answer, and may hold the queue for as long as its connection is.
    """

    def __init__(
        self, connection: aio_pika.Connection, queue: Queue, prefetch: int, aside: Aside
    ) -> None:
        self.hangs = False
        self._connection = connection
        self._queue = queue
        self._prefetch = prefetch
        self._aside = aside
        self._pulse = Pulse(prefetch)
        self._ended: BrokerError | None = None
        # The broker never has more than `prefetch` out, so this never fills; twice that, to be told
        # if it does.
        self._send, self._receive = trio.open_memory_channel[Delivery](2 * prefetch)
        self._channel: AbstractChannel

    @property
    def over(self) -> bool:
        return self._ended is not None

    async def receive(self) -> Delivery:
        while True:
            with trio.move_on_after(SILENCE):
                return await self._next()
            await self._look()

    async def acknowledge(self, acks: Sequence[Ack]) -> None:
        await crossing(self._acknowledge_aio, acks)
        self._pulse.settled(acks)

    async def dead_letter(self, delivery: Delivery, why: Mapping[str, str | int]) -> None:
        self._check()
        name = self._queue.dead_letters
        dead_letter = Parcel(
            body=delivery.body, properties=dead(delivery, why), exchange=name, routing_key=name
        )
        with spans.publishing(name):
            await self._aside.publish(dead_letter)

    async def delay(self, delivery: Delivery, seconds: int, notes: Mapping[str, str | int]) -> None:
        self._check()
        name = f"{self._queue.name}.delay.{seconds}s"
        copy = Parcel(
            body=delivery.body,
            properties=delayed(delivery, notes),
            routing_key=name,
            declare=_delay_arguments(self._queue.name, seconds),
        )
        with spans.publishing(name):
            await self._aside.publish(copy)

    async def reject(self, delivery: Delivery) -> None:
        await crossing(self._reject_aio, delivery)
        self._pulse.settled([Ack(delivery.tag, multiple=False)])

    async def open_aio(self) -> None:
        self._channel = await declared_channel_aio(self._connection, self._queue)
        self._channel.close_callbacks.add(self._channel_closed)
        underlay = await self._channel.get_underlay_channel()
        # A queue that was deleted, or a consumer that was too slow to acknowledge: the broker
        # cancels the consumer and leaves the channel open, and nothing would ever come again
        # (hazards H16).
        underlay.on_consumer_cancel_callbacks.add(self._consumer_cancelled)
        await underlay.basic_qos(prefetch_count=self._prefetch, timeout=ANSWER_TIMEOUT)
        try:
            await underlay.basic_consume(
                self._queue.name, self._delivered_aio, exclusive=True, timeout=ANSWER_TIMEOUT
            )
        except ChannelAccessRefused as exc:
            if "exclusive" in str(exc):
                raise QueueHeldError(self._queue.name) from exc
            raise

    async def close_aio(self) -> None:
        if hasattr(self, "_channel"):
            with suppress(*BROKER_ERRORS):
                await self._channel.close()

    async def close_aside_aio(self) -> None:
        await self._aside.close_aio()

    async def _next(self) -> Delivery:
        try:
            delivery = await self._receive.receive()
        except trio.EndOfChannel:
            raise self._ended or BrokerError("the subscription is over") from None
        self._pulse.took(delivery.tag)
        return delivery

    async def _look(self) -> None:
        """Nothing has come for a while: ask the queue why.

        What comes meanwhile waits for the answer. Both come from the queue, in this order, so that
        is no longer than the queue is slow.
        """
        try:
            found = await crossing(self._look_aio)
        except BrokerError as exc:
            self.hangs = isinstance(exc.__cause__, TimeoutError)
            self._finish(BrokerError("the channel does not answer") if self.hangs else exc)
            raise self._ended or exc from exc
        fault = self._pulse.fault(
            ready=found.message_count or 0, consumers=found.consumer_count or 0
        )
        if fault is not None:
            self._finish(BrokerError(fault))
            self._check()

    async def _look_aio(self) -> aiormq.spec.Queue.DeclareOk:
        underlay = await self._channel.get_underlay_channel()
        return await underlay.queue_declare(self._queue.name, passive=True, timeout=ANSWER_TIMEOUT)

    async def _delivered_aio(self, message: DeliveredMessage) -> None:
        try:
            self._send.send_nowait(delivery_of(self._queue.name, message))
        except trio.WouldBlock:
            self._finish(BrokerError("the broker sent more than was asked for"))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # this life is over; the message comes again in the next

    def _channel_closed(self, _channel: object, error: BaseException | None) -> None:
        self._finish(BrokerError(f"the channel was closed: {error}"))

    def _consumer_cancelled(self, _frame: aiormq.spec.Basic.Cancel) -> None:
        self._finish(BrokerError("the broker cancelled the consumer"))

    def _check(self) -> None:
        # The message of a life that is over comes again by itself; a copy would be a second one.
        if self._ended is not None:
            raise self._ended

    def _finish(self, error: BrokerError) -> None:
        self._ended = self._ended or error
        self._send.close()

    async def _acknowledge_aio(self, acks: Sequence[Ack]) -> None:
        underlay = await self._channel.get_underlay_channel()
        for ack in acks:
            last = ack is acks[-1]
            await underlay.basic_ack(ack.tag, multiple=ack.multiple, wait=last)

    async def _reject_aio(self, delivery: Delivery) -> None:
        underlay = await self._channel.get_underlay_channel()
        await underlay.basic_reject(delivery.tag, requeue=False)


def _delay_arguments(queue: str, seconds: int) -> dict[str, str | int]:
    # One time to live per delay queue, never per message: RabbitMQ expires at the head only.
    if seconds not in DELAYS:
        raise ValueError("no such delay")
    return {
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": queue,
        "x-message-ttl": seconds * 1000,
    }
