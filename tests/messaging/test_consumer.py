"""One life of a subscription: what ends it, and what is never left claimed."""

from __future__ import annotations

from decimal import Decimal

import pytest
import trio

from storefront.domain.translate import Totals
from storefront.errors import BrokerError, DownstreamTimeoutError, StoreUnavailableError
from storefront.messaging import memory, retrying
from storefront.messaging.broker import LONGEST_IN_HAND, Outgoing
from storefront.messaging.subscription import Subscription
from tests.messaging.conftest import ALICE, BOB, IN_HAND, QUEUE, guid

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


def take_no_dead_letters(monkeypatch) -> None:
    monkeypatch.setattr(memory.MemorySession, "dead_letter", refuse)
    monkeypatch.setattr(memory.MemorySession, "reject", refuse)


async def test_what_was_settled_before_a_life_ends_is_acknowledged_first(
    office, autojump_clock, monkeypatch
):
    office.neighbours.slow[guid(2)] = 0.4
    office.neighbours.carts[guid(2)] = Totals(item_count=2, total_amount=Decimal(1))
    take_no_dead_letters(monkeypatch)
    await office.add_item(cart=2, count=None)
    await office.publish("Shopping.ItemAdded", b"{}")
    await trio.sleep(1.1)
    assert [event["itemCount"] for event in office.events()] == [2]
    assert office.unsettled == 1, "only the one that could not be got rid of is back"
    assert office.outcomes["given-back", "not-this-message"] == 2


async def test_a_life_that_is_over_gives_what_hangs_back_after_half_a_second(
    office, autojump_clock, monkeypatch
):
    office.neighbours.slow[guid(2)] = 100.0
    with monkeypatch.context() as refusing:
        take_no_dead_letters(refusing)
        await office.add_item(cart=2, count=None)
        await office.publish("Shopping.ItemAdded", b"{}")
        await trio.sleep(0.4)
        assert office.states == ["consuming"]
        await trio.sleep(0.2)
        assert office.states == ["consuming", "unreachable"]
    assert office.unsettled == 2


async def test_a_failed_postponement_is_tried_again_counted_once_it_is_taken_and_holds_nobody(
    office, autojump_clock, monkeypatch
):
    office.neighbours.fails = DownstreamTimeoutError("shopping", "away")
    office.neighbours.carts[guid(1)] = Totals(item_count=1, total_amount=Decimal(1))
    with monkeypatch.context() as short_of_memory:
        short_of_memory.setattr(memory.MemorySession, "delay", refuse)
        await office.add_item(count=None)
        for n in range(30):
            await office.add_item(BOB, count=n)
            await office.add_item(cart=2, count=n)
            await wait()
            assert len(office.events(BOB)) == len(office.events()) == n + 1
            await trio.sleep(1)
        assert office.outcomes["postponed", "unreachable"] == 0
    # 0.1, 0.2, 0.4, ... 3.2 s between the first tries, then 5 s: the next one is at 31.3 s.
    await trio.sleep(1.2)
    assert (office.broker.postponed, office.outcomes["postponed", "unreachable"]) == (0, 0)
    await trio.sleep(0.2)
    assert (office.broker.postponed, office.outcomes["postponed", "unreachable"]) == (1, 1)
    office.neighbours.fails = None
    await trio.sleep(1)
    assert len(office.events()) == 31
    assert office.states == ["consuming"]


async def test_a_postponement_that_fails_for_ten_minutes_gives_all_back_before_the_broker_does(
    office, autojump_clock, monkeypatch
):
    office.neighbours.fails = DownstreamTimeoutError("shopping", "away")
    monkeypatch.setattr(memory.MemorySession, "delay", refuse)
    await office.add_item(count=None)
    await trio.sleep(LONGEST_IN_HAND + 1)
    assert office.states == ["consuming"]
    await trio.sleep(1)
    assert office.states == ["consuming", "unreachable", "consuming"]
    assert office.outcomes == {("given-back", "unreachable"): 1}


class NoMoreRoom:
    """A dispatcher that takes one delivery, and no second one."""

    def __init__(self):
        self.taken = []

    async def wait_for_room(self):
        await trio.lowlevel.checkpoint()
        if self.taken:
            await trio.sleep_forever()

    def accept(self, delivery, _desk):
        self.taken.append(delivery)


async def test_a_postponement_ends_with_its_session_although_nobody_has_noticed_that_end_yet(
    nursery, autojump_clock
):
    """While there is no room for more, nothing is received, and so the end is not heard of."""
    broker, full = memory.MemoryBroker(), NoMoreRoom()
    for name in ("m1", "m2"):
        await broker.publish(QUEUE.name, Outgoing(body=b"{}", type="x", message_id=name))
    async with broker.consuming(QUEUE, prefetch=2) as session:
        subscription = Subscription(session)
        nursery.start_soon(subscription.receive_into, full)
        await wait()
        broker.cut()
        assert await subscription.postpone(full.taken[0], 1, {}) == "given back"
        assert trio.current_time() == 0
        nursery.cancel_scope.cancel()


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


async def test_who_is_still_at_work_for_a_session_that_is_over_postpones_nothing(
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


# --- what the store refuses ------------------------------------------------------------------------


async def test_a_key_that_stays_refused_never_costs_the_channel_and_mended_all_is_in_order(
    office, autojump_clock
):
    """Unacknowledged for half an hour, a message has the broker end the channel: for ever again."""
    office.store.refuses = {ALICE}
    for n in range(40):
        await office.add_item(count=n)
    await wait()
    assert (office.broker.postponed, reading(office, "held")) == (15, 25)
    for n in range(40, 48):
        await trio.sleep(300)
        await office.add_item(count=n)
        await office.add_item(BOB, count=n)
    await wait()
    assert office.states == ["consuming"]
    assert [event["itemCount"] for event in office.events(BOB)] == list(range(40, 48))
    # Held are those of the last ten minutes.
    assert reading(office, "held") == 2
    office.store.refuses = set()
    await trio.sleep(60)
    assert [event["itemCount"] for event in office.events()] == list(range(48))
    assert (office.unsettled, office.broker.postponed) == (0, 0)


async def test_a_key_that_stays_refused_for_too_long_makes_dead_letters(
    office, autojump_clock, monkeypatch
):
    monkeypatch.setattr(retrying, "LONGEST_WAIT", 3600)  # a day, second by second, takes a minute
    office.store.refuses = {ALICE}
    await office.add_item()
    await trio.sleep(LONGEST_IN_HAND - 1)
    assert office.broker.postponed == 0
    await trio.sleep(1.1)
    assert office.broker.postponed == 1
    await trio.sleep(3600 - 60)
    assert office.broker.dead_letters == []
    await trio.sleep(120)
    (letter,) = office.broker.dead_letters
    assert letter.headers["x-storefront-reason"] == "unreachable"
    assert office.recorder.condition() == ""


async def test_a_refused_one_that_the_delay_queue_does_not_take_is_recorded_where_it_stands(
    office, autojump_clock, monkeypatch
):
    """Its copy, taken an hour later, would be a second event: nobody knows its id any more."""
    office.store.refuses = {ALICE}
    with monkeypatch.context() as short_of_memory:
        short_of_memory.setattr(memory.MemorySession, "delay", refuse)
        for n in range(60):
            await office.add_item(count=n)
            await office.add_item(BOB, count=n)
            await trio.sleep(1)
        assert len(office.events(BOB)) == 60
        assert office.outcomes["postponed", "refused"] == 0
        office.store.refuses = set()
        await trio.sleep(60)
        assert [event["itemCount"] for event in office.events()] == list(range(60))
    await trio.sleep(60)
    assert office.outcomes["postponed", "refused"] == office.outcomes["given-back", "refused"] == 0
    assert office.outcomes["duplicate", "Shopping.ItemAdded"] == office.broker.postponed == 0
    assert office.states == ["consuming"]


@pytest.mark.parametrize("takes", [False, True], ids=["fails", "is taken"])
async def test_what_is_recorded_while_its_copy_is_on_the_way_makes_room_once(
    office, autojump_clock, monkeypatch, takes
):
    delay = memory.MemorySession.delay

    async def slowly(self, *args):
        await trio.sleep(10)
        if not takes:
            raise BrokerError("not now")
        await delay(self, *args)

    monkeypatch.setattr(memory.MemorySession, "delay", slowly)
    office.store.refuses = {ALICE}
    for n in range(30):
        await office.add_item(count=n)
    await trio.sleep(1)
    office.store.refuses = set()
    await trio.sleep(1.5)
    assert len(office.events()) == 30
    if not takes:
        office.broker.cut()
        office.broker.mend()
    await trio.sleep(60)
    assert office.outcomes["recorded", "Shopping.ItemAdded"] == 30
    assert office.outcomes["given-back", "refused"] == office.outcomes["postponed", "refused"] == 0
    assert office.dispatcher._room.value == IN_HAND


async def test_what_the_delay_queue_takes_while_it_is_being_recorded_makes_room_once(
    office, autojump_clock, monkeypatch
):
    """In the log and in the delay queue at one moment: it was settled as the one or the other."""
    record, delay = office.store.record, memory.MemorySession.delay

    async def slowly(*args, **kwargs):
        await trio.sleep(5)
        return await record(*args, **kwargs)

    async def later(self, *args):
        await trio.sleep(2)
        await delay(self, *args)

    office.store.refuses = {ALICE}
    await office.add_item()
    await trio.sleep(LONGEST_IN_HAND - 0.5)
    monkeypatch.setattr(memory.MemorySession, "delay", later)
    await trio.sleep(0.6)
    office.store.refuses = set()
    monkeypatch.setattr(office.store, "record", slowly)
    await trio.sleep(60)
    assert len(office.events()) == 1
    assert office.outcomes["postponed", "refused"] == 1
    assert office.outcomes["recorded", "Shopping.ItemAdded"] == 0
    assert office.dispatcher._room.value == IN_HAND


def reading(office, name):
    return next(
        value
        for found, _, _, value in office.recorder.readings()
        if found == f"storefront_recorder_{name}"
    )
