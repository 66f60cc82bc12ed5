"""The stand-in keeps RabbitMQ's rules where breaking them would hide a fault of ours."""

from __future__ import annotations

import pytest
import trio

from storefront.errors import BrokerError
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
