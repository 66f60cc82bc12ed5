"""One life of a subscription: what ends it, and what is never left claimed."""

from __future__ import annotations

from decimal import Decimal

import trio

from storefront.domain.translate import Totals
from storefront.errors import BrokerError, DownstreamTimeoutError, StoreUnavailableError
from storefront.messaging import memory
from tests.messaging.conftest import ALICE, BOB, guid

wait = trio.testing.wait_all_tasks_blocked


async def refuse(*_args) -> None:
    raise BrokerError("not now")


async def test_a_poison_message_that_cannot_be_dead_lettered_is_rejected_once_and_never_acknowledged(
    office, autojump_clock, monkeypatch
):
    """To acknowledge a rejected tag closes the channel, in RabbitMQ and in its stand-in."""
    monkeypatch.setattr(memory.MemorySession, "dead_letter", refuse)
    await office.publish("Shopping.ItemAdded", b"{}")
    await office.add_item(count=1)
    await trio.sleep(1)
    await office.add_item(count=2)
    await trio.sleep(1)
    assert [letter.body for letter in office.broker.dead_letters] == [b"{}"]
    assert [event["itemCount"] for event in office.events()] == [1, 2]
    assert office.states == ["consuming"]


async def test_a_poison_message_that_cannot_even_be_rejected_comes_again(
    office, autojump_clock, monkeypatch
):
    with monkeypatch.context() as away:
        away.setattr(memory.MemorySession, "dead_letter", refuse)
        away.setattr(memory.MemorySession, "reject", refuse)
        await office.publish("Shopping.ItemAdded", b"{}")
        await wait()
    await trio.sleep(1)
    (letter,) = office.broker.dead_letters
    assert letter.headers["x-storefront-reason"] == "not-this-message"


async def test_messages_that_could_not_be_postponed_do_not_keep_their_places_among_the_prefetched(
    office, autojump_clock, monkeypatch
):
    office.neighbours.fails = DownstreamTimeoutError("shopping", "away")
    office.neighbours.carts[guid(1)] = Totals(item_count=1, total_amount=Decimal(1))
    with monkeypatch.context() as away:
        away.setattr(memory.MemorySession, "delay", refuse)
        for _ in range(100):
            await office.add_item(count=None)
        await trio.sleep(60)
    office.neighbours.fails = None
    await office.add_item(BOB)
    await trio.sleep(16)
    assert len(office.events(BOB)) == 1
    assert len(office.events(ALICE)) == 100
    assert office.unsettled == 0


async def test_what_was_settled_before_a_failed_postponement_is_acknowledged_before_the_life_ends(
    office, autojump_clock, monkeypatch
):
    office.neighbours.slow[guid(2)] = 0.4
    office.neighbours.carts[guid(2)] = Totals(item_count=2, total_amount=Decimal(1))
    monkeypatch.setattr(office.neighbours, "customer", _away)
    monkeypatch.setattr(memory.MemorySession, "delay", refuse)
    await office.add_item(cart=2, count=None)
    await office.authorize(9)
    await trio.sleep(1.1)
    assert [event["itemCount"] for event in office.events()] == [2]
    assert office.unsettled == 1, "only the one that could not be postponed is back"


async def test_a_life_that_is_over_gives_what_hangs_back_after_half_a_second(
    office, autojump_clock, monkeypatch
):
    office.neighbours.slow[guid(2)] = 100.0
    with monkeypatch.context() as refusing:
        refusing.setattr(office.neighbours, "customer", _away)
        refusing.setattr(memory.MemorySession, "delay", refuse)
        await office.add_item(cart=2, count=None)
        await office.authorize(9)
        await trio.sleep(0.4)
        assert office.states == ["consuming"]
        await trio.sleep(0.2)
        assert office.states == ["consuming", "unreachable"]
    assert office.unsettled == 2


async def _away(_order: str) -> None:
    raise DownstreamTimeoutError("orders", "away")


async def test_an_acknowledgement_that_fails_ends_the_life_even_if_the_session_says_nothing(
    office, autojump_clock, monkeypatch
):
    with monkeypatch.context() as away:
        away.setattr(memory.MemorySession, "acknowledge", refuse)
        await office.add_item(count=1)
        await wait()
    for n in range(2, 150):
        await office.add_item(count=n)
    await trio.sleep(1)
    assert office.states == ["consuming", "unreachable", "consuming"]
    assert [event["itemCount"] for event in office.events()] == list(range(1, 150))
    assert office.unsettled == 0


async def test_a_broker_that_goes_while_everything_is_in_hand_is_noticed(
    office, autojump_clock, monkeypatch
):
    async def away(*_args, **_kwargs):
        raise StoreUnavailableError("away")

    with monkeypatch.context() as without_store:
        without_store.setattr(office.store, "record", away)
        for n in range(120):
            await office.add_item(count=n)
        await trio.sleep(1)
        office.broker.cut()
    await trio.sleep(10)
    office.broker.mend()
    await trio.sleep(16)
    assert [event["itemCount"] for event in office.events()] == list(range(120))
    assert office.unsettled == 0


async def test_asked_to_stop_it_leaves_although_something_in_hand_can_be_told_to_nobody(
    office, autojump_clock, monkeypatch
):
    office.neighbours.slow[guid(1)] = 0.4
    office.neighbours.fails = DownstreamTimeoutError("shopping", "away")
    monkeypatch.setattr(memory.MemorySession, "delay", refuse)
    await office.add_item(count=None)
    await wait()
    office.stopping.set()
    await office.left.wait()
    assert trio.current_time() == 0.4
    assert office.unsettled == 1
    assert office.states[-1] == "stopped"


async def test_a_lane_still_at_work_for_a_session_that_is_over_postpones_nothing(
    office, autojump_clock
):
    """The message is back in the queue already; a copy would go round beside it."""
    office.neighbours.slow[guid(1)] = 5.0
    office.neighbours.fails = DownstreamTimeoutError("shopping", "away")
    await office.add_item(count=None)
    await wait()
    office.broker.cut()
    await trio.sleep(1)
    office.broker.mend()
    await trio.sleep(4.5)
    assert office.broker.postponed == 0
    assert office.unsettled == 0, "it is in hand again, behind its own first copy"
