"""The stand-in keeps RabbitMQ's rules where breaking them would hide a fault of ours."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio

from storefront.errors import BrokerError, QueueHeldError
from storefront.messaging import memory_bus
from storefront.messaging.broker import Ack
from storefront.messaging.envelope import wolverine
from storefront.messaging.memory import MemoryBroker
from tests.messaging.conftest import QUEUE


async def filled(count: int) -> MemoryBroker:
    broker = MemoryBroker()
    for number in range(count):
        await broker.publish(
            QUEUE.name, wolverine("x", {}, message_id=str(number), sent_at=0, source="Test")
        )
    return broker


@pytest.mark.parametrize("ack", [Ack(1, multiple=False), Ack(2, multiple=True)])
async def test_an_ack_of_an_unknown_tag_ends_the_session_and_settles_nothing_more(ack):
    broker = await filled(2)
    async with broker.consuming(QUEUE, prefetch=10) as session:
        await session.reject(await session.receive())
        if ack.tag == 2:
            await session.reject(await session.receive())
        with pytest.raises(BrokerError, match="unknown delivery tag"):
            await session.acknowledge([ack])
        with pytest.raises(BrokerError):
            await session.receive()


async def test_a_session_that_was_cut_is_over_although_the_bus_is_mended_in_the_same_moment(
    autojump_clock,
):
    broker = await filled(1)
    async with broker.consuming(QUEUE, prefetch=10) as session:
        delivery = await session.receive()
        broker.cut()
        broker.mend()
        with trio.fail_after(1), pytest.raises(BrokerError):
            await session.receive()
        with pytest.raises(BrokerError):
            await session.acknowledge([Ack(delivery.tag, multiple=False)])
    assert broker.depth(QUEUE.name) == 1


async def test_a_session_that_was_left_takes_nothing_more():
    broker = await filled(1)
    async with broker.consuming(QUEUE, prefetch=10) as session:
        delivery = await session.receive()
    with pytest.raises(BrokerError):
        await session.delay(delivery, 1, {})
    with pytest.raises(BrokerError):
        await session.dead_letter(delivery, {})
    assert broker.depth(QUEUE.name) == 1
    assert broker.dead_letters == []


async def test_three_queues_are_three_and_only_the_one_that_is_held_is_refused(autojump_clock):
    broker = MemoryBroker()
    queues = [replace(QUEUE, name=name) for name in ("one", "two", "three")]
    for queue in queues:
        await broker.publish(
            queue.name, wolverine("x", {}, message_id=queue.name, sent_at=0, source="Test")
        )
    async with broker.consuming(queues[0], prefetch=1) as one:
        with pytest.raises(QueueHeldError):
            async with broker.consuming(queues[0], prefetch=1):
                pass
        async with broker.consuming(queues[1], prefetch=1) as two:
            assert (await one.receive()).message_id == "one"
            assert (await two.receive()).message_id == "two"
        # What the second had in hand is back in the second, and nowhere else.
        assert [broker.depth(queue.name) for queue in queues] == [0, 1, 1]


async def test_a_delay_that_rabbitmq_has_no_queue_for_is_refused_here_too():
    broker = await filled(1)
    async with broker.consuming(QUEUE, prefetch=1) as session:
        with pytest.raises(ValueError, match="no such delay"):
            await session.delay(await session.receive(), 7, {})


async def test_a_process_that_runs_for_long_does_not_grow_by_its_dead_letters(monkeypatch):
    monkeypatch.setattr(memory_bus, "MOST_DEAD_LETTERS", 2)
    broker = await filled(3)
    async with broker.consuming(QUEUE, prefetch=3) as session:
        for _ in range(3):
            await session.dead_letter(await session.receive(), {})
    assert [letter.message_id for letter in broker.dead_letters] == ["1", "2"]
