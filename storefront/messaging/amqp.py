"""RabbitMQ, and the asyncio island it lives on.

aio-pika is asyncio; everything else here is Trio. In this module each function says which it is:
those whose names end in `_aio` run on the one trio-asyncio loop and are crossed into with
`aio_as_trio` only. asyncio's callbacks run in the same thread as Trio, so a callback may use
`send_nowait` on a Trio channel, and must never raise: an exception in a callback would crash the
loop.

The connection is a plain one and not aio-pika's robust one: a session is one life of one
subscription and is built anew from nothing (supervised, with backoff), so there is no half-restored
state to reason about.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar, TypeVarTuple

import aio_pika
import aiormq
import structlog
import trio
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError, ChannelPreconditionFailed
from aiormq.exceptions import ChannelAccessRefused, ChannelInvalidStateError
from trio_asyncio import aio_as_trio, open_loop
from yarl import URL

from storefront.errors import BrokerError, QueueHeldError
from storefront.messaging.broker import DELAYS, Ack, Delivery, Outgoing, Queue

log = structlog.get_logger(__name__)

# Seconds. A broker that vanished without a word is noticed after two missed heartbeats.
HEARTBEAT = 10
CONNECT_TIMEOUT = 5.0
ANSWER_TIMEOUT = 10.0
CLOSE_TIMEOUT = 2.0

# What aio-pika, aiormq and the socket below them raise when the broker is gone or refuses.
_BROKER_ERRORS = (
    AMQPError,
    ChannelInvalidStateError,
    OSError,
    TimeoutError,
    # aiormq ends what waits on a channel that closes by cancelling it. A cancellation of ours
    # arrives as trio.Cancelled and is not among these.
    asyncio.CancelledError,
)

T = TypeVar("T")
Args = TypeVarTuple("Args")


@asynccontextmanager
async def open_island() -> AsyncIterator[None]:
    """The one asyncio loop of this process, for everything inside. A crash of it ends the block.

    trio-asyncio cancels its tasks when left, and waits for them.
    """
    async with open_loop() as loop:
        # Without a handler of our own, an exception in any callback of any library would end the
        # process.
        loop.set_exception_handler(_note)
        yield


def _note(_loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    log.warning("asyncio", message=context.get("message"), error=repr(context.get("exception")))


class AmqpBroker:
    """See `broker.Broker`. One connection, made when needed; each subscription has a channel of its
    own.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._connecting = trio.Lock()  # one connection at a time is being made
        self._connection: aio_pika.Connection | None = None
        self._opening = asyncio.Lock()  # one publishing channel at a time is being opened
        self._publishing: AbstractChannel | None = None

    @asynccontextmanager
    async def consuming(self, queue: Queue, *, prefetch: int) -> AsyncIterator[AmqpSession]:
        connection = await self.connected()
        session = AmqpSession(connection, queue, prefetch)
        try:
            await crossing(session.open_aio)
            yield session
        finally:
            # No basic.cancel first: closing the channel returns what is unsettled to its old place.
            with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
                await aio_as_trio(session.close_aio)()

    async def publish(self, queue: str, message: Outgoing) -> None:
        connection = await self.connected()
        await crossing(self._publish_aio, connection, queue, message)

    async def aclose(self) -> None:
        """Close the connection; whatever still uses it hears a BrokerError."""
        with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
            await aio_as_trio(self._close_aio)()

    async def connected(self) -> aio_pika.Connection:
        """The connection, made if there is none.

        Raises:
            BrokerError: the broker cannot be reached.
        """
        async with self._connecting:
            if self._connection is None or self._connection.is_closed:
                self._publishing = None
                return await self._connect()
            return self._connection

    async def _connect(self) -> aio_pika.Connection:
        # Cancelling aio-pika in the middle of a connect makes the loop's exit hang (hazards H19c),
        # so the attempt is shielded; it bounds itself.
        with trio.CancelScope(shield=True):
            return await crossing(self._connect_aio)
        raise AssertionError("nobody cancels this scope")

    async def _connect_aio(self) -> aio_pika.Connection:
        connection = aio_pika.Connection(URL(self._url), heartbeat=HEARTBEAT)
        try:
            await connection.connect(timeout=CONNECT_TIMEOUT)
        except BaseException:
            with suppress(*_BROKER_ERRORS):
                # asyncio's side: a cancellation there is thrown once and does not come again.
                await connection.close()  # noqa: ASYNC102 - as just said
            raise
        # The transport tells when it is gone; the connection object itself does not become `closed`
        # by that.
        connection.close_callbacks.add(self._forget)
        transport = connection.transport
        if transport is None or transport.connection.is_closed:
            raise ConnectionResetError("the connection was closed as soon as it was open")
        # Here and not on the other shore: one that went on the way there would never be forgotten.
        self._connection = connection
        return connection

    def _forget(self, connection: object, _error: BaseException | None) -> None:
        if connection is self._connection:
            self._connection = None

    async def _publish_aio(
        self, connection: aio_pika.Connection, queue: str, message: Outgoing
    ) -> None:
        async with self._opening:
            if self._publishing is None or self._publishing.is_closed:
                self._publishing = await open_channel_aio(connection)
            channel = self._publishing
        await channel.default_exchange.publish(
            aio_pika.Message(
                message.body,
                headers=dict(message.headers),
                content_type=message.content_type,
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                correlation_id=message.correlation_id or None,
                message_id=message.message_id,
                type=message.type,
            ),
            routing_key=queue,
            mandatory=True,
            timeout=ANSWER_TIMEOUT,
        )

    async def _close_aio(self) -> None:
        if self._connection is not None:
            with suppress(*_BROKER_ERRORS):
                await self._connection.close()


class AmqpSession:
    """See `broker.Session`. Built, opened and closed by AmqpBroker."""

    def __init__(self, connection: aio_pika.Connection, queue: Queue, prefetch: int) -> None:
        self._connection = connection
        self._queue = queue
        self._prefetch = prefetch
        self._over: BrokerError | None = None
        # The broker never has more than `prefetch` out, so this never fills; twice that, to be told
        # if it does.
        self._send, self._receive = trio.open_memory_channel[Delivery](2 * prefetch)
        self._channel: AbstractChannel
        self._opening = asyncio.Lock()  # one side channel at a time is being opened
        self._aside: AbstractChannel | None = None
        self._delays: set[int] = set()
        self._closed = False

    async def receive(self) -> Delivery:
        try:
            return await self._receive.receive()
        except trio.EndOfChannel:
            raise self._over or BrokerError("the subscription is over") from None

    async def acknowledge(self, acks: Sequence[Ack]) -> None:
        await crossing(self._acknowledge_aio, acks)

    async def dead_letter(self, delivery: Delivery, why: Mapping[str, str | int]) -> None:
        await crossing(self._dead_letter_aio, delivery, why)

    async def delay(self, delivery: Delivery, seconds: int, notes: Mapping[str, str | int]) -> None:
        await crossing(self._delay_aio, delivery, seconds, notes)

    async def reject(self, delivery: Delivery) -> None:
        await crossing(self._reject_aio, delivery)

    async def open_aio(self) -> None:
        self._channel = await self._declared_channel_aio()
        await self._channel.set_qos(prefetch_count=self._prefetch, timeout=ANSWER_TIMEOUT)
        self._channel.close_callbacks.add(self._channel_closed)
        underlay = await self._channel.get_underlay_channel()
        # A queue that was deleted, or a consumer that was too slow to acknowledge: the broker
        # cancels the consumer and leaves the channel open, and nothing would ever come again
        # (hazards H16).
        underlay.on_consumer_cancel_callbacks.add(self._consumer_cancelled)
        queue = await self._channel.get_queue(self._queue.name, ensure=False)
        try:
            await queue.consume(self._delivered_aio, exclusive=True, timeout=ANSWER_TIMEOUT)
        except ChannelAccessRefused as exc:
            if "exclusive" in str(exc):
                raise QueueHeldError(self._queue.name) from exc
            raise

    async def close_aio(self) -> None:
        self._closed = True
        await self._close_channels_aio()

    async def _close_channels_aio(self) -> None:
        for channel in (self._aside, getattr(self, "_channel", None)):
            if channel is not None:
                with suppress(*_BROKER_ERRORS):
                    await channel.close()

    async def _declared_channel_aio(self) -> AbstractChannel:
        """A channel on which the queue is known to be; declared as Wolverine would (contracts.md
        4.1).
        """
        channel = await open_channel_aio(self._connection)
        try:
            await self._declare_dead_letters_aio(channel)
            await channel.declare_queue(
                self._queue.name,
                durable=True,
                arguments=dict(self._queue.arguments),
                timeout=ANSWER_TIMEOUT,
            )
        except ChannelPreconditionFailed as exc:
            # Somebody declared it with other arguments, and the broker closed the channel. It is
            # there, and that is all we need.
            log.warning("declared differently", queue=self._queue.name, error=str(exc))
            channel = await open_channel_aio(self._connection)
            await channel.declare_queue(self._queue.name, passive=True, timeout=ANSWER_TIMEOUT)
        for exchange in self._queue.exchanges:
            queue = await channel.get_queue(self._queue.name, ensure=False)
            await queue.bind(exchange, routing_key="#", timeout=ANSWER_TIMEOUT)
        return channel

    async def _declare_dead_letters_aio(self, channel: AbstractChannel) -> None:
        # Whoever consumes first creates these, or the broker would throw rejected messages away.
        name = self._queue.dead_letters
        exchange = await channel.declare_exchange(
            name, aio_pika.ExchangeType.FANOUT, durable=True, timeout=ANSWER_TIMEOUT
        )
        queue = await channel.declare_queue(name, durable=True, timeout=ANSWER_TIMEOUT)
        await queue.bind(exchange, routing_key=name, timeout=ANSWER_TIMEOUT)

    async def _delivered_aio(self, message: AbstractIncomingMessage) -> None:
        try:
            self._send.send_nowait(_delivery(self._queue.name, message))
        except trio.WouldBlock:
            self._finish(BrokerError("the broker sent more than was asked for"))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # this life is over; the message comes again in the next

    def _channel_closed(self, _channel: object, error: BaseException | None) -> None:
        self._finish(BrokerError(f"the channel was closed: {error}"))

    def _consumer_cancelled(self, _frame: aiormq.spec.Basic.Cancel) -> None:
        self._finish(BrokerError("the broker cancelled the consumer"))

    def _finish(self, error: BrokerError) -> None:
        self._over = self._over or error
        self._send.close()

    async def _acknowledge_aio(self, acks: Sequence[Ack]) -> None:
        underlay = await self._channel.get_underlay_channel()
        for ack in acks:
            last = ack is acks[-1]
            await underlay.basic_ack(ack.tag, multiple=ack.multiple, wait=last)

    async def _reject_aio(self, delivery: Delivery) -> None:
        underlay = await self._channel.get_underlay_channel()
        await underlay.basic_reject(delivery.tag, requeue=False)

    async def _dead_letter_aio(self, delivery: Delivery, why: Mapping[str, str | int]) -> None:
        aside = await self._aside_aio()
        exchange = await aside.get_exchange(self._queue.dead_letters, ensure=False)
        await exchange.publish(
            _copy(delivery, why),
            routing_key=self._queue.dead_letters,
            mandatory=True,
            timeout=ANSWER_TIMEOUT,
        )

    async def _delay_aio(
        self, delivery: Delivery, seconds: int, notes: Mapping[str, str | int]
    ) -> None:
        aside = await self._aside_aio()
        name = f"{self._queue.name}.delay.{seconds}s"
        if seconds not in self._delays:
            await aside.declare_queue(
                name,
                durable=True,
                arguments=_delay_arguments(self._queue.name, seconds),
                timeout=ANSWER_TIMEOUT,
            )
            self._delays.add(seconds)
        await aside.default_exchange.publish(
            _copy(delivery, notes), routing_key=name, mandatory=True, timeout=ANSWER_TIMEOUT
        )

    async def _aside_aio(self) -> AbstractChannel:
        """A second channel for what is published on the side: an error there must not end the
        consumer.
        """
        async with self._opening:
            if not self._closed and (self._aside is None or self._aside.is_closed):
                self._aside = await open_channel_aio(self._connection)
            if self._closed or self._aside is None:
                # A lane that is still at work for this life. The connection outlives it, and a
                # channel that nobody closes would stay open as long.
                await self._close_channels_aio()
                raise ChannelInvalidStateError("the session was closed")
            return self._aside


async def open_channel_aio(connection: aio_pika.Connection) -> AbstractChannel:
    """A channel with confirms, on which what cannot be routed is an error and not silence."""
    try:
        channel = connection.channel(publisher_confirms=True, on_return_raises=True)
        # aio-pika passes over the timeout of `initialize`, and a broker that is short of memory
        # answers no connection that publishes.
        async with asyncio.timeout(ANSWER_TIMEOUT):
            await channel.initialize()
    except RuntimeError as exc:
        # Their word for a connection that is closed.
        raise ChannelInvalidStateError(str(exc)) from exc
    return channel


async def visit_broker(url: str, use: Callable[[AmqpBroker], Awaitable[T]]) -> T:
    """For a command: the island and the broker, for as long as `use` takes.

    Raises:
        BrokerError: whatever went wrong; alone, and not in the groups of the island's nurseries.
    """
    outcome: list[T] = []
    failure: BrokerError | None = None
    async with open_island():
        broker = AmqpBroker(url)
        try:
            outcome.append(await use(broker))
        except BrokerError as exc:
            failure = exc
        finally:
            await broker.aclose()
    if failure is not None:
        raise failure
    return outcome[0]


def _delay_arguments(queue: str, seconds: int) -> dict[str, Any]:
    # One time to live per delay queue, never per message: RabbitMQ expires at the head only.
    if seconds not in DELAYS:
        raise ValueError("no such delay")
    return {
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": queue,
        "x-message-ttl": seconds * 1000,
    }


def _delivery(queue: str, message: AbstractIncomingMessage) -> Delivery:
    return Delivery(
        tag=message.delivery_tag or 0,
        queue=queue,
        body=message.body,
        type=message.type or "",
        message_id=message.message_id or "",
        correlation_id=message.correlation_id or "",
        content_type=message.content_type or "",
        headers={
            key: text
            for key, value in message.headers.items()
            if (text := header(value)) is not None
        },
        redelivered=bool(message.redelivered),
    )


def header(value: object) -> str | int | None:
    """A header as text or number. Clients may hand text over as bytes; tables and times mean
    nothing to us.
    """
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8", "replace")
    return value if isinstance(value, str | int) else None


def _copy(delivery: Delivery, notes: Mapping[str, str | int]) -> aio_pika.Message:
    return aio_pika.Message(
        delivery.body,
        headers={**delivery.headers, **notes},
        content_type=delivery.content_type or None,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        correlation_id=delivery.correlation_id or None,
        message_id=delivery.message_id or None,
        type=delivery.type or None,
    )


async def crossing(function: Callable[[*Args], Awaitable[T]], *args: *Args) -> T:
    """Cross to the island and back; what goes wrong there is a BrokerError here."""
    try:
        answer: T = await aio_as_trio(function)(*args)
    except _BROKER_ERRORS as exc:
        raise BrokerError(str(exc) or type(exc).__name__) from exc
    except Exception as exc:
        # What waits on a channel that we close ourselves ends with a bare Exception (aiormq's
        # FutureStore.reject_all); any other is a bug.
        if type(exc) is not Exception:
            raise
        raise BrokerError("the channel was closed") from exc
    return answer
