"""RabbitMQ, as a broker is to us.

Two connections, each made at its first use: one consumes and acknowledges, the other publishes. The
rooms behind this door:

    amqp_island     the asyncio loop, and the way there and back
    amqp_connection a connection, made again when it has gone
    amqp_topology   what is declared before a queue is consumed
    amqp_session    one life of one subscription
    amqp_aside      what is published beside it: delayed copies, dead letters
    amqp_pulse      whether a silent subscription is still alive
    amqp_message    a message on the wire, to us, and its copy
    amqp_depths     how many messages wait
    amqp_wire       properties and headers, to the byte
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import aio_pika
import structlog
import trio
from trio_asyncio import aio_as_trio

from storefront.errors import BrokerError
from storefront.messaging import spans
from storefront.messaging.amqp_aside import Aside, Parcel
from storefront.messaging.amqp_connection import CLOSE_TIMEOUT, AmqpConnection
from storefront.messaging.amqp_depths import waiting_aio
from storefront.messaging.amqp_island import crossing, open_island
from storefront.messaging.amqp_message import published
from storefront.messaging.amqp_session import AmqpSession
from storefront.messaging.broker import Outgoing, Queue

__all__ = ["AmqpBroker", "AmqpSession", "open_island", "visit_broker"]

log = structlog.get_logger(__name__)

T = TypeVar("T")


class AmqpBroker:
    """See `broker.Broker`. Each subscription has channels of its own, on these connections."""

    def __init__(self, url: str) -> None:
        self._consuming = AmqpConnection(url, "storefront consuming")
        self._publishing = AmqpConnection(url, "storefront publishing")
        self._outbox = Aside(self._publishing)

    @asynccontextmanager
    async def consuming(self, queue: Queue, *, prefetch: int) -> AsyncIterator[AmqpSession]:
        connection = await self.connected()
        session = AmqpSession(connection, queue, prefetch, Aside(self._publishing))
        try:
            await crossing(session.open_aio)
            yield session
        finally:
            await self._end(session, queue)  # noqa: ASYNC102 - shielded and bounded, step by step

    async def publish(self, queue: str, message: Outgoing) -> None:
        with spans.publishing(queue, only_within=False):
            properties = published(spans.carrying(message))
            await self._outbox.publish(
                Parcel(body=message.body, properties=properties, routing_key=queue)
            )

    async def waiting(self, queue: Queue) -> tuple[int, int]:
        """See `watched.Counting`."""
        # Where it is published, which need not be blocked for a question; the other connection has
        # deliveries to bring.
        connection = await self._publishing.connected()
        return await crossing(waiting_aio, connection, queue)

    async def aclose(self) -> None:
        """Close the connections; whatever still uses them hears a BrokerError."""
        # At the same time: a broker that has blocked one of them answers no farewell there.
        await _bounded(self._close_aio)

    async def connected(self) -> aio_pika.Connection:
        """The connection that consumes, made if there is none.

        Raises:
            BrokerError: the broker cannot be reached.
        """
        return await self._consuming.connected()

    async def _end(self, session: AmqpSession, queue: Queue) -> None:
        # No basic.cancel first: closing the channel returns what is unsettled to its old place.
        # Before the other one, whose connection may be blocked: until then the queue is held.
        in_time = await _bounded(session.close_aio)
        await _bounded(session.close_aside_aio)
        if session.hangs or not in_time:
            # It would hold the queue against our own next life, and dies with its connection only.
            # The other queues' lives end with it, and begin again.
            log.warning("a channel hangs", queue=queue.name)
            await _bounded(self._consuming.close_aio)

    async def _close_aio(self) -> None:
        await asyncio.gather(self._consuming.close_aio(), self._publishing.close_aio())


async def _bounded(close_aio: Callable[[], Awaitable[None]]) -> bool:
    """Close, cancelled or not; whether there was time enough."""
    with trio.move_on_after(CLOSE_TIMEOUT, shield=True) as scope:
        await aio_as_trio(close_aio)()
    # Not `cancelled_caught`: a library's own handling may swallow what it was cancelled with.
    return not scope.cancel_called


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
