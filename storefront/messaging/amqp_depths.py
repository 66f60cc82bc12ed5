"""How many messages wait, by a passive declare, which changes nothing.

On a channel of its own: a queue that is gone costs the channel it was asked on, and an answer on
one that aio-pika restores may be an old one (hazards H19e).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import aio_pika

from storefront.messaging.amqp_island import BROKER_ERRORS
from storefront.messaging.broker import Queue

# Seconds for all of it. It is asked again in a moment; and at its end nothing is left half done.
ANSWERED_WITHIN = 2.0


async def waiting_aio(connection: aio_pika.Connection, queue: Queue) -> tuple[int, int]:
    """How many wait in the queue, and with its dead letters."""
    async with asyncio.timeout(ANSWERED_WITHIN):
        channel = connection.channel(publisher_confirms=False)
        await channel.initialize()
        try:
            underlay = await channel.get_underlay_channel()
            found = [
                await underlay.queue_declare(name, passive=True)
                for name in (queue.name, queue.dead_letters)
            ]
        finally:
            with suppress(*BROKER_ERRORS):
                # asyncio's side: a cancellation there is thrown once and does not come again.
                await channel.close()  # noqa: ASYNC102 - as just said
    ready, dead = (answer.message_count or 0 for answer in found)
    return ready, dead
