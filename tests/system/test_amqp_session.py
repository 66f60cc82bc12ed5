"""What a session whose broker is gone says to whoever still holds a delivery of it."""

from __future__ import annotations

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
