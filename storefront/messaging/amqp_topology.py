"""What must be on the broker before a queue can be consumed, declared as Wolverine would.

Somebody else may have declared any of it with other arguments; the broker then answers 406 and
closes the channel (contracts.md section 4.1). It is there, and that is all we need.
"""

from __future__ import annotations

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import ChannelPreconditionFailed

from storefront.messaging.amqp_connection import ANSWER_TIMEOUT, abandon_aio, open_channel_aio
from storefront.messaging.broker import Queue

log = structlog.get_logger(__name__)


async def declared_channel_aio(connection: aio_pika.Connection, queue: Queue) -> AbstractChannel:
    """A new channel, on which the queue is known to be."""
    channel = await open_channel_aio(connection)
    # Each by itself: dead letters that are declared otherwise are no reason to have no queue.
    for declare_aio in (_dead_letters_aio, _queue_aio):
        try:
            await declare_aio(channel, queue)
        except ChannelPreconditionFailed as exc:
            log.warning("declared differently", queue=queue.name, error=str(exc))
            channel = await open_channel_aio(connection)
        except BaseException:
            await abandon_aio(channel)  # noqa: ASYNC102 - asyncio's: thrown once
            raise
    try:
        for exchange in queue.exchanges:
            found = await channel.get_queue(queue.name, ensure=False)
            await found.bind(exchange, routing_key="#", timeout=ANSWER_TIMEOUT)
    except BaseException:
        await abandon_aio(channel)  # noqa: ASYNC102 - asyncio's: thrown once
        raise
    return channel


async def _dead_letters_aio(channel: AbstractChannel, queue: Queue) -> None:
    # Whoever consumes first creates these, or the broker would throw rejected messages away.
    name = queue.dead_letters
    exchange = await channel.declare_exchange(
        name, aio_pika.ExchangeType.FANOUT, durable=True, timeout=ANSWER_TIMEOUT
    )
    letters = await channel.declare_queue(name, durable=True, timeout=ANSWER_TIMEOUT)
    await letters.bind(exchange, routing_key=name, timeout=ANSWER_TIMEOUT)


async def _queue_aio(channel: AbstractChannel, queue: Queue) -> None:
    await channel.declare_queue(
        queue.name, durable=True, arguments=dict(queue.arguments), timeout=ANSWER_TIMEOUT
    )
