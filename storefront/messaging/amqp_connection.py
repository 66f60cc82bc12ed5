"""A connection to the broker: made when needed, made again when it has gone.

It is a plain connection and not aio-pika's robust one: whatever lives on it is built anew from
nothing, so there is no half-restored state to reason about.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import aio_pika
import trio
from aio_pika.abc import AbstractChannel
from aiormq.exceptions import ChannelInvalidStateError
from yarl import URL

from storefront.messaging.amqp_island import BROKER_ERRORS, crossing

# Seconds. A broker that vanished without a word is noticed after missed heartbeats.
HEARTBEAT = 10
CONNECT_TIMEOUT = 5.0
ANSWER_TIMEOUT = 10.0
CLOSE_TIMEOUT = 2.0


class AmqpConnection:
    """One at a time. `name` is what an operator sees among the broker's connections."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self._connecting = trio.Lock()  # one connection at a time is being made
        self._connection: aio_pika.Connection | None = None

    async def connected(self) -> aio_pika.Connection:
        """The connection, made if there is none.

        Raises:
            BrokerError: the broker cannot be reached.
        """
        async with self._connecting:
            if self._connection is None or self._connection.is_closed:
                return await self._connect()
            return self._connection

    async def _connect(self) -> aio_pika.Connection:
        # Cancelling aio-pika in the middle of a connect makes the loop's exit hang (hazards H19c),
        # so the attempt is shielded; it bounds itself.
        with trio.CancelScope(shield=True):
            return await crossing(self._connect_aio)
        raise AssertionError("nobody cancels this scope")

    async def _connect_aio(self) -> aio_pika.Connection:
        connection = aio_pika.Connection(
            _with_heartbeat(self._url), client_properties={"connection_name": self._name}
        )
        try:
            await connection.connect(timeout=CONNECT_TIMEOUT)
        except BaseException:
            with suppress(*BROKER_ERRORS):
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

    async def close_aio(self) -> None:
        """Close the connection; whatever still uses it hears of it."""
        # Forgotten first: who needs one from now on makes a new one, however long this takes.
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*BROKER_ERRORS):
                await connection.close()


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
    except BaseException:
        # asyncio's side: a cancellation there is thrown once and does not come again.
        await abandon_aio(channel)  # noqa: ASYNC102 - as just said
        raise
    return channel


async def abandon_aio(channel: AbstractChannel) -> None:
    """Close a channel that nobody will use: the connection lives on, and so would the channel.

    The client closes one by itself whose question was broken off, but not one that is broken off
    between two questions.
    """
    with suppress(*BROKER_ERRORS):
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await channel.close()


async def wait_until_taken_aio(connection: aio_pika.Connection) -> None:
    """Wait while the broker has blocked this connection: it reads nothing from it meanwhile."""
    transport = connection.transport
    if transport is None:
        raise ChannelInvalidStateError("the connection was closed")
    await transport.ready()


def _with_heartbeat(url: str) -> URL:
    """The URL, asking for our heartbeat where it names none.

    The URL is the only place: `aio_pika.Connection` drops a `heartbeat=` without a word, and aiormq
    then asks for 60 s.
    """
    asked = URL(url)
    return asked if "heartbeat" in asked.query else asked.update_query(heartbeat=HEARTBEAT)
