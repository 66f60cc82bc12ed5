"""What a session whose broker is gone says to whoever still holds a delivery of it."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
import trio

from storefront.errors import BrokerError
from storefront.messaging.amqp import AmqpBroker, open_island
from storefront.messaging.broker import Ack, Queue
from tests.system import shopfloor as shop
from tests.system.shopfloor import ALICE, QUEUE

NOTIFICATIONS = Queue(
    name=QUEUE,
    arguments={"x-dead-letter-exchange": "wolverine-dead-letter-queue"},
    dead_letters="wolverine-dead-letter-queue",
)


@pytest.mark.parametrize("end", ["closed", "killed"])
async def test_everything_asked_of_a_session_that_is_over_is_a_broker_error(vhost, rabbit, end):
    async with open_island():
        broker = AmqpBroker(vhost.url)
        async with broker.consuming(NOTIFICATIONS, prefetch=10) as session:
            await trio.to_thread.run_sync(
                lambda: shop.send(vhost.tool, "Shopping.ItemAdded", shop.numbered(ALICE, 1))
            )
            delivery = await session.receive()
            if end == "closed":
                await trio.to_thread.run_sync(vhost.close_connections)
            else:
                rabbit.kill()
            with trio.fail_after(10), pytest.raises(BrokerError):
                await session.receive()
            for ask in (
                lambda: session.delay(delivery, 1, {}),
                lambda: session.dead_letter(delivery, {}),
                lambda: session.reject(delivery),
                lambda: session.acknowledge([Ack(delivery.tag, multiple=True)]),
                lambda: session.delay(delivery, 1, {}),
            ):
                with trio.fail_after(15), pytest.raises(BrokerError):
                    await ask()
        await broker.aclose()


async def test_a_subscription_cancelled_at_any_moment_of_its_opening_leaves_nothing_open(
    vhost, rabbit
):
    """Neither a channel on the connection that lives on, nor a connection that nobody knows of."""

    async def open_there(what):
        listed = await trio.to_thread.run_sync(
            rabbit.evaluate,
            "[integer_to_list(rabbit_misc:pget(channels, C)) ++ [44] || "
            "C <- rabbit_networking:connection_info_all([vhost, channels]), "
            f'rabbit_misc:pget(vhost, C) == <<"{vhost.name}">>].',
        )
        channels = [int(each) for each in re.findall(r"\d+", listed)]
        return len(channels) if what == "connections" else sum(channels)

    async with open_island():
        broker = AmqpBroker(vhost.url)
        opened = 0
        for milliseconds in range(40):
            # The broker may end a connection on which a channel is broken off as it opens: then the
            # next one is made anew, and that is no leak.
            with suppress(BrokerError), trio.move_on_after(milliseconds / 1000):
                async with broker.consuming(NOTIFICATIONS, prefetch=10):
                    opened += 1
                    await trio.sleep_forever()
        assert opened < 40, "some were cancelled before they were open"
        async with broker.consuming(NOTIFICATIONS, prefetch=10):
            await shop.until_async(lambda: open_there("channels"), 1)
        await shop.until_async(lambda: open_there("channels"), 0)
        assert await open_there("connections") == 1
        await broker.aclose()
        await shop.until_async(lambda: open_there("connections"), 0)
