"""What is published beside consuming: delayed copies, dead letters, messages of our own.

On a connection of its own. A broker that runs out of memory or disk stops reading from a connection
that publishes, acknowledgements included; one that only consumes goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import aio_pika
from aio_pika.abc import AbstractChannel
from aiormq import spec
from aiormq.abc import AbstractChannel as UnderlayChannel
from aiormq.exceptions import ChannelInvalidStateError

from storefront.errors import BrokerError
from storefront.messaging.amqp_connection import (
    ANSWER_TIMEOUT,
    AmqpConnection,
    open_channel_aio,
    wait_until_taken_aio,
)
from storefront.messaging.amqp_island import BROKER_ERRORS, crossing


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """What is to be published, and where.

    Attributes:
        body: the message.
        properties: what stands around it.
        exchange: the default one is "".
        routing_key: for the default exchange the queue's name.
        declare: the arguments of the queue of that name, if it is to be declared first.
    """

    body: bytes
    properties: spec.Basic.Properties
    exchange: str = ""
    routing_key: str
    declare: Mapping[str, str | int] | None = None


class Aside:
    """One publishing channel, opened when needed, and anew after an error of the broker's.

    Each subscription has one of its own: an error there ends a channel, and must not be another
    queue's.
    """

    def __init__(self, connection: AmqpConnection) -> None:
        self._connection = connection
        self._opening = asyncio.Lock()  # one channel at a time is being opened
        self._channel: AbstractChannel | None = None
        self._declared: set[str] = set()
        self._closed = False

    async def publish(self, parcel: Parcel) -> None:
        """Publish, and return once the broker has taken it.

        Raises:
            BrokerError: it was not taken, or that is not known: a broker that is short of memory
                may yet take it when it reads again. Its message id makes the double harmless.
        """
        if self._closed:
            raise BrokerError("the session was closed")
        connection = await self._connection.connected()
        await crossing(self._publish_aio, connection, parcel)

    async def close_aio(self) -> None:
        self._closed = True
        await self._close_channel_aio()

    async def _publish_aio(self, connection: aio_pika.Connection, parcel: Parcel) -> None:
        try:
            # One bound for all of it, however often the broker makes us wait.
            async with asyncio.timeout(ANSWER_TIMEOUT):
                # What is written to a blocked connection would be taken at some later time.
                await wait_until_taken_aio(connection)
                channel = await self._channel_aio(connection)
                await self._declare_aio(channel, parcel)
                await channel.basic_publish(
                    parcel.body,
                    exchange=parcel.exchange,
                    routing_key=parcel.routing_key,
                    properties=parcel.properties,
                    mandatory=True,
                )
        except TimeoutError as exc:
            raise TimeoutError("the broker takes no message") from exc

    async def _declare_aio(self, channel: UnderlayChannel, parcel: Parcel) -> None:
        if parcel.declare is not None and parcel.routing_key not in self._declared:
            await channel.queue_declare(
                parcel.routing_key, durable=True, arguments=dict(parcel.declare)
            )
            self._declared.add(parcel.routing_key)

    async def _channel_aio(self, connection: aio_pika.Connection) -> UnderlayChannel:
        async with self._opening:
            if not self._closed and (self._channel is None or self._channel.is_closed):
                self._channel = await open_channel_aio(connection)
            if self._closed or self._channel is None:
                # Somebody is still at work for this life. The connection outlives it, and a
                # channel that nobody closes would stay open as long.
                await self._close_channel_aio()
                raise ChannelInvalidStateError("the session was closed")
            return await self._channel.get_underlay_channel()

    async def _close_channel_aio(self) -> None:
        if self._channel is not None:
            with suppress(*BROKER_ERRORS):
                await self._channel.close()
