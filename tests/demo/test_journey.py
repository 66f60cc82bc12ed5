"""An order moves on by itself, at exact times."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import trio
import trio.testing

from storefront.demo.journey import Journeys, Pace
from storefront.demo.messages import Message
from storefront.demo.outbox import Outbox
from storefront.demo.refusals import ConflictError, NotFoundError
from tests.demo.shop import Published, open_world, placed

PACE = Pace(payment=2, reservation=3, capture=1, commitment=1, dispatch=4, delivery=5)


class Way:
    """A world with journeys on their way, and when each message was published."""

    def __init__(self, nursery, world=None, capacity=100):
        self.world = world or open_world()
        self.began = trio.current_time()
        self.published = []
        self.outbox = Outbox(self.publish, capacity=capacity)
        self.journeys = Journeys(self.world, self.outbox, PACE)
        nursery.start_soon(self.outbox.run)
        nursery.start_soon(self.journeys.run)

    async def publish(self, type_, _body):
        self.published.append((trio.current_time() - self.began, type_.rpartition(".")[2]))

    def place(self, *skus, **options):
        order = placed(self.world, *skus, **options)
        self.journeys.begin(order.order_id)
        return order


async def test_every_step_comes_at_its_time(nursery, autojump_clock):
    way = Way(nursery)
    order = way.place()
    await trio.sleep(100)
    assert way.published == [
        (2, "PaymentAuthorized"),
        (5, "ReservationConfirmed"),
        (6, "PaymentCaptured"),
        (7, "ReservationCommitted"),
        (11, "ShipmentDispatched"),
        (16, "ShipmentDelivered"),
    ]
    assert order.status == "Delivered"
    assert len(way.journeys) == 0


async def test_the_status_is_that_of_the_order_saga_at_each_step(nursery, autojump_clock):
    way = Way(nursery)
    order = way.place()
    seen = []
    for moment in (1, 3, 5.5, 6.5, 8, 12, 17):
        await trio.sleep(moment - (trio.current_time() - way.began))
        seen.append(order.status)
    assert seen == [
        "Placed",
        "PendingPayment",
        "InventoryReserved",
        "PaymentConfirmed",
        "Fulfilling",
        "Shipped",
        "Delivered",
    ]


async def test_two_orders_keep_their_own_time(nursery, autojump_clock):
    way = Way(nursery)
    way.place()
    await trio.sleep(1)
    way.place()
    await trio.sleep(4.5)
    assert way.published == [
        (2, "PaymentAuthorized"),
        (3, "PaymentAuthorized"),
        (5, "ReservationConfirmed"),
    ]


async def test_a_declined_card_is_the_end_of_the_way(nursery, autojump_clock):
    way = Way(nursery)
    order = way.place(token="tok_decline_test")
    await trio.sleep(100)
    assert way.published == [(2, "PaymentFailed")]
    assert (order.status, len(way.journeys)) == ("PaymentFailed", 0)


async def test_an_empty_shelf_is_the_end_of_the_way(nursery, autojump_clock):
    way = Way(nursery, open_world(stock={"DOG-BOWL-01": 0}))
    order = way.place()
    await trio.sleep(100)
    assert way.published == [(2, "PaymentAuthorized"), (5, "ReservationFailed")]
    assert order.status == "OutOfStock"


async def test_an_order_that_was_called_off_stands_still(nursery, autojump_clock):
    way = Way(nursery)
    order = way.place()
    await trio.sleep(5.5)
    way.world.cancel(order.order_id, "changed my mind")
    await trio.sleep(100)
    assert [name for _, name in way.published] == ["PaymentAuthorized", "ReservationConfirmed"]
    assert len(way.journeys) == 0


async def test_an_order_that_was_forgotten_stands_still(nursery, autojump_clock):
    way = Way(nursery)
    way.journeys.begin("an order from before the restart")
    await trio.sleep(100)
    assert way.published == []
    assert len(way.journeys) == 0


async def test_orders_stand_still_while_the_outbox_is_full(autojump_clock):
    world, outbox = open_world(), Outbox(Published(), capacity=1)
    journeys = Journeys(world, outbox, PACE)
    order = placed(world)
    outbox.add([Message("Messages.Contracts.Test.Waiting", {})])
    journeys.begin(order.order_id)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journeys.run)
        await trio.sleep(50.5)
        assert order.status == "Placed"
        nursery.start_soon(outbox.run)
        # The next second try; what was put off is not lost.
        await trio.sleep(0.5)
        await trio.testing.wait_all_tasks_blocked()
        assert order.status == "PendingPayment"
        nursery.cancel_scope.cancel()


async def test_an_order_that_was_delivered_is_sent_back_and_paid_back_at_exact_times(
    nursery, autojump_clock
):
    way = Way(nursery)
    order = way.place()
    with pytest.raises(ConflictError, match="delivered"):
        way.journeys.take_back(order.order_id)
    await trio.sleep(100)
    way.published.clear()
    way.journeys.take_back(order.order_id)
    with pytest.raises(ConflictError, match="already"):
        way.journeys.take_back(order.order_id)
    with pytest.raises(NotFoundError):
        way.journeys.take_back("no such order")
    await trio.sleep(100)
    assert way.published == [
        (100, "ReturnRequested"),
        (102, "ReturnApproved"),
        (106, "ReturnReceived"),
        (109, "ReturnCompleted"),
    ]
    assert len(way.journeys) == 0


async def test_the_default_pace_is_for_people():
    assert list(asdict(Pace()).values()) == [2, 2, 1, 1, 3, 5, 2, 4, 3]
