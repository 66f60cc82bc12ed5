"""A watched broker changes nothing, and knows what is in hand, for how long, and what waits."""

from __future__ import annotations

import trio

from storefront.messaging.broker import Ack, Outgoing, Queue
from storefront.messaging.memory import MemoryBroker
from storefront.messaging.watched import EVERY, WatchedBroker

QUEUE = Queue(name="q", arguments={}, dead_letters="dead")


async def fill(broker: WatchedBroker, amount: int) -> None:
    for number in range(amount):
        await broker.publish("q", Outgoing(body=b"{}", type="t", message_id=str(number)))


def told(broker: WatchedBroker) -> dict:
    return {name: value for name, _, _, value in broker.readings()}


async def test_what_is_in_hand_is_counted_until_it_is_settled_one_by_one_or_all_up_to_one(
    autojump_clock,
):
    broker = WatchedBroker(MemoryBroker())
    await fill(broker, 5)
    async with broker.consuming(QUEUE, prefetch=10) as session:
        first = await session.receive()
        await trio.sleep(2)
        others = [await session.receive() for _ in range(4)]
        await trio.sleep(1)
        assert told(broker)["storefront_queue_in_hand"] == 5
        assert told(broker)["storefront_queue_oldest_seconds"] == 3
        assert told(broker)["messaging_client_consumed_messages_total"] == 5
        await session.acknowledge([Ack(others[2].tag, multiple=False)])
        assert told(broker)["storefront_queue_in_hand"] == 4
        await session.acknowledge([Ack(others[0].tag, multiple=True)])
        assert told(broker)["storefront_queue_in_hand"] == 2, "the first and the second are done"
        assert told(broker)["storefront_queue_oldest_seconds"] == 1
        await session.reject(others[1])
        await session.acknowledge([Ack(others[3].tag, multiple=True)])
        assert told(broker)["storefront_queue_in_hand"] == 0
        assert told(broker)["storefront_queue_oldest_seconds"] == 0
        took = told(broker)["messaging_process_duration_seconds"]
        assert (sum(took.counts), took.sum) == (5, 3 + 4 * 1)
        assert first.tag < others[0].tag


async def test_what_was_not_settled_is_nobodys_once_the_life_is_over(autojump_clock):
    broker = WatchedBroker(MemoryBroker())
    await fill(broker, 2)
    async with broker.consuming(QUEUE, prefetch=10) as session:
        await session.receive()
        assert told(broker)["storefront_queue_consuming"] == 1
        assert not session.over
    assert told(broker)["storefront_queue_consuming"] == 0
    assert told(broker)["storefront_queue_in_hand"] == 0


async def test_who_consumes_asks_now_and_then_what_waits_and_says_nothing_while_it_cannot(
    nursery, autojump_clock
):
    real = MemoryBroker()
    broker = WatchedBroker(real)
    nursery.start_soon(broker.run)
    await fill(broker, 3)
    await trio.sleep(2 * EVERY)
    assert "storefront_queue_ready" not in told(broker), "it is for who consumes to say"
    async with broker.consuming(QUEUE, prefetch=1) as session:
        await session.reject(await session.receive())
        await trio.sleep(2 * EVERY)
        assert told(broker)["storefront_queue_ready"] == 2
        assert told(broker)["storefront_dead_letters_ready"] == 1
        real.cut()
        await trio.sleep(2 * EVERY)
        assert "storefront_queue_ready" not in told(broker)
        assert "storefront_dead_letters_ready" not in told(broker)
    real.mend()
