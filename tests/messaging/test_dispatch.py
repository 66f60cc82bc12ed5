"""A delivery's way: order, questions, retries, dead letters; at exact times."""

from __future__ import annotations

from decimal import Decimal

import pytest
import trio

from storefront.domain.ids import NOBODY
from storefront.domain.translate import Totals
from storefront.errors import DownstreamTimeoutError, StoreUnavailableError
from tests.messaging.conftest import ALICE, BOB, EPOCH, QUEUE, guid

wait = trio.testing.wait_all_tasks_blocked


@pytest.mark.parametrize("count", [1, None], ids=["at once", "after a question"])
async def test_a_message_is_recorded_and_only_then_acknowledged(
    office, autojump_clock, monkeypatch, count
):
    order = []
    record = office.store.record

    async def slowly(*args, **kwargs):
        await trio.sleep(1)
        order.append("recorded")
        return await record(*args, **kwargs)

    monkeypatch.setattr(office.store, "record", slowly)
    from storefront.messaging import memory

    told = memory.MemorySession.acknowledge

    async def acknowledged(self, acks):
        order.append("acknowledged")
        await told(self, acks)

    monkeypatch.setattr(memory.MemorySession, "acknowledge", acknowledged)
    office.neighbours.carts[guid(1)] = Totals(item_count=1, total_amount=Decimal(1))
    await office.add_item(count=count)
    await trio.sleep(2)
    assert order == ["recorded", "acknowledged"]


async def test_totals_that_the_message_lacks_are_asked_of_shopping_once(office, autojump_clock):
    office.neighbours.carts[guid(1)] = Totals(item_count=2, total_amount=Decimal("149.95"))
    await office.add_item(count=None)
    await wait()
    assert office.events()[0]["itemCount"] == 2
    assert office.events()[0]["totalAmount"] == 149.95
    assert office.neighbours.asked == {guid(1): 1}
    assert office.neighbours.asked_for == {(guid(1), ALICE)}
    await office.add_item(count=3)
    await wait()
    assert office.neighbours.asked == {guid(1): 1}


async def test_a_cart_that_is_gone_emits_nothing_and_is_settled(office, autojump_clock):
    await office.add_item(count=None)
    await wait()
    assert office.recorded == []
    assert office.outcomes == {("cart-gone", ""): 1}


async def test_a_slow_answer_holds_its_own_customer_only_and_keeps_that_customers_order(
    office, autojump_clock
):
    office.neighbours.carts[guid(1)] = Totals(item_count=1, total_amount=Decimal(1))
    office.neighbours.slow[guid(1)] = 1.5
    await office.add_item(ALICE, cart=1, count=None)
    await office.add_item(ALICE, cart=2, count=2)
    await office.add_item(BOB, cart=3, count=3)
    await wait()
    assert [event["itemCount"] for event in office.events(BOB)] == [3]
    assert office.events(ALICE) == []
    await trio.sleep(1.6)
    assert [event["itemCount"] for event in office.events(ALICE)] == [1, 2]


async def test_an_order_is_placed_by_what_order_placed_said_and_orders_is_asked_nothing(
    office, autojump_clock
):
    await office.place_order(5)
    await office.authorize(5)
    await wait()
    assert [event["newStatus"] for event in office.events()] == ["Placed", "PaymentAuthorized"]
    assert office.neighbours.asked == {}
    assert await office.store.owner(guid(5), now=EPOCH) == ALICE


async def test_an_order_that_two_are_said_to_have_placed_stays_with_the_first(
    office, autojump_clock
):
    await office.place_order(5, ALICE)
    await office.place_order(5, BOB)
    await office.authorize(5)
    await wait()
    assert [event["newStatus"] for event in office.events(ALICE)] == ["Placed", "PaymentAuthorized"]
    assert await office.store.owner(guid(5), now=EPOCH) == ALICE


async def test_an_order_placed_elsewhere_is_asked_of_orders_once_and_remembered(
    office, autojump_clock
):
    office.neighbours.orders[guid(6)] = BOB
    office.neighbours.slow[guid(6)] = 0.5
    for _ in range(3):
        await office.authorize(6)
    await trio.sleep(1)
    assert [event["customerId"] for event in office.events(BOB)] == [BOB] * 3
    assert office.neighbours.asked == {guid(6): 1}


async def test_what_comes_while_its_order_is_being_placed_stays_behind_what_came_before(
    office, autojump_clock
):
    """OrderPlaced, in between, says whose it is; the third message must not pass the first."""
    office.neighbours.orders[guid(6)] = ALICE
    office.neighbours.slow[guid(6)] = 0.5
    await office.authorize(6)
    await office.place_order(6)
    await office.publish(
        "Payments.PaymentCaptured",
        {
            "paymentId": guid(7),
            "orderId": guid(6),
            "capturedAt": "2026-02-17T22:00:02+00:00",
        },
    )
    await trio.sleep(1)
    assert [event["newStatus"] for event in office.events()] == [
        "Placed",
        "PaymentAuthorized",
        "PaymentCaptured",
    ]


async def test_an_order_of_nobody_is_remembered_and_none_of_its_messages_is_sent_or_asked_about(
    office, autojump_clock
):
    await office.place_order(5, NOBODY)
    await office.authorize(5)
    await wait()
    assert office.recorded == []
    assert office.neighbours.asked == {}
    assert await office.store.owner(guid(5), now=EPOCH) == NOBODY
    assert office.unsettled == 0


async def test_an_order_in_the_store_is_not_asked_of_orders(office, autojump_clock):
    await office.store.place([(guid(8), BOB)], now=EPOCH)
    await office.authorize(8)
    await wait()
    assert len(office.events(BOB)) == 1
    assert office.neighbours.asked == {}


async def test_an_unknown_order_is_tried_ten_times_in_ten_minutes_and_then_dead_lettered_with_the_reason(
    office, autojump_clock
):
    await office.authorize(9)
    await trio.sleep(551)
    assert office.broker.dead_letters == []
    await trio.sleep(2)
    (letter,) = office.broker.dead_letters
    assert letter.headers["x-storefront-reason"] == "unplaceable"
    assert letter.headers["exception-type"] == "unplaceable"
    assert letter.headers["original-destination"] == QUEUE.name
    assert letter.headers["failed-at"] == pytest.approx((EPOCH + 552) * 1000, abs=1000)
    assert office.neighbours.asked == {guid(9): 11}
    assert office.recorded == []


async def test_an_order_that_becomes_known_meanwhile_is_sent(office, autojump_clock):
    await office.authorize(9)
    await trio.sleep(3)
    await office.place_order(9)
    await trio.sleep(10)
    assert [event["newStatus"] for event in office.events()] == ["Placed", "PaymentAuthorized"]
    assert office.broker.dead_letters == []


async def test_a_service_that_is_away_is_not_counted_and_waited_for_up_to_a_day(
    office, autojump_clock
):
    office.neighbours.fails = DownstreamTimeoutError("orders", "away")
    office.neighbours.orders[guid(9)] = ALICE
    await office.authorize(9)
    await trio.sleep(20 * 3600)
    assert office.broker.dead_letters == []
    office.neighbours.fails = None
    await trio.sleep(31)
    assert len(office.events()) == 1


async def test_a_service_that_is_away_for_more_than_a_day_is_a_dead_letter_with_its_reason(
    office, autojump_clock
):
    office.neighbours.fails = DownstreamTimeoutError("shopping", "away")
    await office.add_item(count=None)
    await trio.sleep(24 * 3600 + 60)
    (letter,) = office.broker.dead_letters
    assert letter.headers["x-storefront-reason"] == "unreachable"


async def test_a_poison_message_is_dead_lettered_with_its_reason_and_delays_nobody(
    office, autojump_clock, monkeypatch
):
    from storefront.messaging import memory

    park = memory.MemorySession.dead_letter

    async def slowly(self, delivery, why):
        await trio.sleep(5)
        await park(self, delivery, why)

    monkeypatch.setattr(memory.MemorySession, "dead_letter", slowly)
    await office.publish("Shopping.ItemAdded", b'{"cartId":"x"}')
    await office.add_item()
    await wait()
    assert len(office.events()) == 1
    await trio.sleep(5.1)
    (letter,) = office.broker.dead_letters
    assert letter.body == b'{"cartId":"x"}'
    assert letter.type == "Messages.Contracts.Shopping.ItemAdded"
    assert letter.headers["x-storefront-reason"] == "not-this-message"
    assert letter.headers["source"] == "Test"


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [("Returns.ExchangePartialRefundIssued", "unknown-type"), ("", "unknown-type")],
    ids=["new", "none"],
)
async def test_an_unknown_type_is_acknowledged_and_counted_and_never_dead_lettered(
    office, autojump_clock, kind, outcome
):
    await office.publish(kind, {"anything": 1}, type=kind)
    await wait()
    assert office.outcomes == {(outcome, ""): 1}
    assert office.broker.dead_letters == []
    assert office.unsettled == 0


async def test_wolverines_ping_is_acknowledged(office, autojump_clock):
    await office.publish(
        "x", b"\x01\x02\x03\x04", type="wolverine-ping", content_type="wolverine/ping"
    )
    await wait()
    assert office.outcomes == {("ping", ""): 1}


async def test_an_anonymous_cart_is_acknowledged_counted_and_not_sent(office, autojump_clock):
    await office.add_item("00000000-0000-0000-0000-000000000000")
    await wait()
    assert office.outcomes == {("anonymous", ""): 1}
    assert office.recorded == []


async def test_a_message_that_comes_twice_is_sent_once(office, autojump_clock):
    await office.add_item(message_id="08de6e4b-1c2f-9f3a-0242-ac1100020000")
    await office.add_item(message_id="08de6e4b-1c2f-9f3a-0242-ac1100020000")
    await wait()
    assert len(office.events()) == 1
    assert office.outcomes["duplicate", "Shopping.ItemAdded"] == 1


async def test_two_messages_without_an_id_are_one_when_type_and_body_are(office, autojump_clock):
    await office.add_item(message_id="", count=1)
    await office.add_item(message_id="", count=1)
    await office.add_item(message_id="", count=2)
    await wait()
    assert [event["itemCount"] for event in office.events()] == [1, 2]


async def test_a_message_without_an_id_that_was_postponed_is_still_known_as_the_same(
    office, autojump_clock
):
    """The client library gives a copy without an id a random one: the message, redelivered because
    its acknowledgement was lost, and its copy from the delay queue would be two events.
    """
    office.neighbours.carts[guid(1)] = Totals(item_count=1, total_amount=Decimal(1))
    office.neighbours.fails = DownstreamTimeoutError("shopping", "away")
    await office.add_item(count=None, message_id="")
    await wait()
    office.neighbours.fails = None
    await office.add_item(count=None, message_id="")
    await trio.sleep(2)
    assert len(office.events()) == 1


async def test_a_dead_letter_without_an_id_gets_the_one_it_is_known_by(office, autojump_clock):
    await office.publish("Shopping.ItemAdded", b"{}", message_id="")
    await office.publish("Shopping.ItemAdded", b"{}", message_id="")
    await wait()
    one, other = office.broker.dead_letters
    assert one.message_id == other.message_id != ""


async def test_a_body_that_no_codec_can_read_is_a_dead_letter_and_not_the_end_of_the_process(
    office, autojump_clock
):
    await office.publish("Shopping.ItemAdded", b'{"specversion":"1.0","type":"\xff","data":{}}')
    await office.add_item()
    await wait()
    (letter,) = office.broker.dead_letters
    assert letter.headers["x-storefront-reason"] == "not-this-message"
    assert len(office.events()) == 1


async def test_while_the_store_is_away_nothing_is_acknowledged_and_all_arrives_after(
    office, autojump_clock, monkeypatch
):
    record = office.store.record

    async def away(*_args, **_kwargs):
        raise StoreUnavailableError("away")

    monkeypatch.setattr(office.store, "record", away)
    for n in range(150):
        await office.add_item(count=n)
    await trio.sleep(60)
    assert office.recorded == []
    assert office.unsettled == 50, "the broker hands out no more than the prefetch"
    monkeypatch.setattr(office.store, "record", record)
    await trio.sleep(6)
    assert [event["itemCount"] for event in office.events()] == list(range(150))


async def test_a_broker_that_vanishes_and_comes_back_loses_nothing_and_doubles_nothing(
    office, autojump_clock
):
    for n in range(20):
        await office.add_item(count=n)
    office.broker.cut()
    await trio.sleep(10)
    office.broker.mend()
    for n in range(20, 40):
        await office.add_item(count=n)
    await trio.sleep(16)
    assert [event["itemCount"] for event in office.events()] == list(range(40))
    assert office.unsettled == 0


async def test_asked_to_stop_it_finishes_what_is_in_hand_and_leaves_the_rest_in_its_place(
    office, autojump_clock
):
    office.neighbours.carts[guid(1)] = Totals(item_count=1, total_amount=Decimal(1))
    office.neighbours.slow[guid(1)] = 0.4
    await office.add_item(count=None)
    await wait()
    office.stopping.set()
    await wait()
    await office.add_item(count=2)
    assert not office.left.is_set()
    await office.left.wait()
    assert trio.current_time() == 0.4
    assert [event["itemCount"] for event in office.events()] == [1]
    assert office.unsettled == 1


async def test_a_queue_that_another_consumes_is_asked_for_every_second(
    office, autojump_clock, nursery
):
    office.broker.cut()
    await wait()
    office.broker.mend()
    async with office.broker.consuming(QUEUE, prefetch=1):
        await trio.sleep(10.2)
    await office.add_item()
    await trio.sleep(1)
    assert office.states == ["consuming", "unreachable", "standing by"] + ["standing by"] * 9 + [
        "consuming"
    ]
    assert len(office.events()) == 1


async def test_a_body_that_would_be_a_frame_of_megabytes_is_a_dead_letter(office, autojump_clock):
    body = b'{"filling":"' + b"x" * 256 * 1024 + b'"}'
    await office.publish("Shopping.ItemAdded", body)
    await office.add_item()
    await trio.sleep(1)
    (letter,) = office.broker.dead_letters
    assert letter.headers["x-storefront-reason"] == "too-large"
    assert len(office.events()) == 1
