"""The order page and the history, on virtual time."""

from __future__ import annotations

import msgspec
import pytest
import trio

from storefront.domain.facts import Fact
from storefront.errors import (
    DownstreamAbsentError,
    DownstreamNonsenseError,
    DownstreamTimeoutError,
    DownstreamUnavailableError,
    StoreUnavailableError,
)
from storefront.queries.rendering import body_of, header_of
from tests.queries.neighbours import (
    ALICE,
    BOB,
    BOWL,
    ORDER,
    PLACED,
    SHIPMENT,
    Lost,
    Neighbours,
    Question,
    down,
    open_store,
    open_views,
    order,
    order_lines,
    payment,
    remember,
    shipment,
    shown,
    states,
    summary,
    wall_clock,
)

OTHER = "04de0000-0000-4000-8000-000000000099"
SENT = Fact(
    kind="shipment", id=SHIPMENT, state="Dispatched", detail="1Z123", order=ORDER, occurred_at=1e9
)
ELSEWHERE = Fact(kind="shipment", id=OTHER, state="Delivered", order=OTHER, occurred_at=1e9)
PAID = Fact(kind="payment", id=ORDER, state="Captured", order=ORDER, occurred_at=1e9)


def neighbours(**given) -> Neighbours:
    return Neighbours(order=Question({ORDER: order(**given)}))


async def view_of(given: Neighbours, store=None, **options) -> dict:
    return await shown(await open_views(given, store).order(ORDER, ALICE, **options))


def well_informed() -> Neighbours:
    given = neighbours()
    given.payments = Question({ORDER: (payment(),)})
    given.shipments = Question({ORDER: (shipment(),)})
    return given


async def test_the_page_is_the_order_its_payment_and_its_shipments(autojump_clock):
    served = await open_views(well_informed()).order(ORDER, ALICE)
    assert served.rendered.body == (
        b'{"orderId":"04de0000-0000-4000-8000-000000000001",'
        b'"customerId":"11111111-1111-1111-1111-111111111111","status":"Placed",'
        b'"placedAt":"2026-02-17T22:00:00.1234567+00:00","totalAmount":45.97,"items":['
        b'{"sku":"DOG-BOWL-01","quantity":2,"unitPrice":19.99,"lineTotal":39.98}],'
        b'"payment":{"status":"Captured","amount":45.97},"shipments":['
        b'{"shipmentId":"54190000-0000-4000-8000-000000000001","status":"Delivered",'
        b'"trackingNumber":"1Z999","occurredAt":"2026-02-17T22:00:00.1234567+00:00"}]}'
    )
    assert set(states(await shown(served)).values()) == {"ok"}


async def test_the_newest_attempt_to_pay_is_how_it_stands(autojump_clock):
    given = well_informed()
    attempts = [
        payment("Failed", "2026-02-17T22:00:00+00:00"),
        payment("Authorized", "2026-02-17T22:05:00+00:00"),
        payment("Failed", "2026-02-17T22:01:00+00:00"),
    ]
    given.payments = Question({ORDER: attempts})
    assert (await view_of(given))["payment"]["status"] == "Authorized"


@pytest.mark.parametrize("configured", [True, False])
async def test_where_nobody_offers_the_question_the_events_tell(autojump_clock, configured):
    given, store = neighbours(), open_store()
    if configured:
        given.payments = Question(fails=DownstreamAbsentError("payments", "no such question"))
        given.shipments = Question(fails=DownstreamAbsentError("fulfillment", "no such question"))
    await remember(store, SENT, ELSEWHERE, PAID)
    view = await view_of(given, store)
    assert view["payment"] == {"status": "Captured", "amount": None}
    assert view["shipments"] == [
        {
            "shipmentId": SHIPMENT,
            "status": "Dispatched",
            "trackingNumber": "1Z123",
            "occurredAt": "2001-09-09T01:46:40+00:00",
        }
    ]
    assert states(view) == {"orders": "ok", "payments": "absent", "fulfillment": "absent", "events": "ok"}  # fmt: skip
    assert view["meta"]["complete"] is True


async def test_what_was_paid_stays_so_when_the_order_goes_on(autojump_clock):
    store = open_store()
    later = Fact(kind="order", id=ORDER, state="InventoryReserved", occurred_at=1e9 + 1)
    elsewhere = Fact(kind="payment", id=OTHER, state="Failed", order=OTHER, occurred_at=1e9 + 2)
    await remember(store, PAID, later, elsewhere)
    assert (await view_of(neighbours(), store))["payment"] == {"status": "Captured", "amount": None}
    store = open_store()
    await remember(store, later, elsewhere)
    assert (await view_of(neighbours(), store))["payment"] is None


async def test_without_events_and_services_nothing_was_sent_as_far_as_we_know(autojump_clock):
    view = await view_of(neighbours())
    assert (view["payment"], view["shipments"]) == (None, [])


async def test_where_a_service_fails_the_events_tell_and_the_hole_is_said(autojump_clock):
    given, store = well_informed(), open_store()
    given.payments.fails = down("payments")
    given.shipments.takes = 60
    await remember(store, SENT, PAID)
    view = await view_of(given, store)
    assert trio.current_time() == 1.0
    assert view["payment"]["status"] == "Captured"
    assert [one["status"] for one in view["shipments"]] == ["Dispatched"]
    assert states(view) == {"orders": "ok", "payments": "error", "fulfillment": "timeout", "events": "ok"}  # fmt: skip
    assert view["meta"]["complete"] is False


async def test_a_log_that_is_away_is_a_hole_only_where_it_was_needed(autojump_clock):
    away = Lost(StoreUnavailableError("away"))
    view = await view_of(well_informed(), away)
    assert (view["meta"]["complete"], view["meta"]["streamPosition"]) == (True, None)
    assert "events" not in states(view)
    view = await view_of(neighbours(), away)
    assert (view["payment"], view["shipments"]) == (None, None)
    assert (view["meta"]["complete"], states(view)["events"]) == (False, "error")


async def test_all_are_asked_at_the_same_time(autojump_clock):
    given = well_informed()
    given.order.takes = given.payments.takes = given.shipments.takes = 0.2
    await view_of(given)
    assert trio.current_time() == pytest.approx(0.4)


async def test_names_and_pictures_come_where_the_page_wants_them(autojump_clock):
    assert "productName" not in (await view_of(neighbours()))["items"][0]
    view = await view_of(neighbours(), include=frozenset({"products"}))
    assert view["items"][0]["productName"] == f"The {BOWL}"
    assert view["items"][0]["productImageUrl"] == f"/pictures/{BOWL}.svg"
    assert states(view)["catalog"] == "ok"


async def test_an_order_shows_all_its_lines_and_names_for_the_first_hundred(autojump_clock):
    given = neighbours(line_items=order_lines(*((f"S-{n}", 1, "1.00") for n in range(120))))
    view = await view_of(given, include=frozenset({"products"}))
    assert ["productName" in item for item in view["items"]] == [True] * 100 + [False] * 20


@pytest.mark.parametrize("reader", [BOB, None])
async def test_another_customers_order_costs_one_question_and_is_not_found(autojump_clock, reader):
    given = well_informed()
    served = await open_views(given).order(ORDER, reader)
    if reader is None:
        assert served.rendered.found
    else:
        assert (served.rendered.found, served.rendered.foreign) == (False, True)
        assert given.heard == {"order": 1}


@pytest.mark.parametrize(
    "fact", [SENT, PAID, Fact(kind="order", id=ORDER, state="Placed", occurred_at=1e9)]
)
async def test_an_order_that_events_told_of_does_not_become_another_customers(autojump_clock, fact):
    store = open_store()
    await remember(store, fact)
    with pytest.raises(DownstreamNonsenseError):
        await view_of(neighbours(customer_id=BOB), store)
    # To whoever may read any it is what Orders says.
    served = await open_views(neighbours(customer_id=BOB), store).order(ORDER, None)
    assert served.rendered.owner == BOB


async def test_an_unknown_order_is_not_found_and_nobodys(autojump_clock):
    served = await open_views(Neighbours()).order(ORDER, ALICE)
    assert (served.rendered.found, served.rendered.foreign) == (False, False)


async def test_without_orders_there_is_nothing_to_show(autojump_clock):
    given = well_informed()
    given.order.takes = 60
    with pytest.raises(DownstreamTimeoutError):
        await view_of(given)
    assert trio.current_time() == 1.0


# History.


async def test_the_history_is_a_bare_array_in_the_services_order(autojump_clock):
    given = Neighbours(history=Question({ALICE: (summary(2), summary(1))}))
    served = await open_views(given).history(ALICE)
    assert body_of(served, now=wall_clock()) == (
        b'[{"orderId":"04de0000-0000-4000-8000-000000000002",'
        b'"customerId":"11111111-1111-1111-1111-111111111111",'
        b'"placedAt":"2026-02-17T22:00:00.1234567+00:00","status":"Placed",'
        b'"totalAmount":45.90,"itemCount":1},'
        b'{"orderId":"04de0000-0000-4000-8000-000000000001",'
        b'"customerId":"11111111-1111-1111-1111-111111111111",'
        b'"placedAt":"2026-02-17T22:00:00.1234567+00:00","status":"Placed",'
        b'"totalAmount":45.90,"itemCount":1}]'
    )
    meta = msgspec.json.decode(header_of(served, now=wall_clock()))
    assert (meta["isStale"], meta["freshness"], meta["complete"]) == (False, "live", True)
    assert meta["sources"] == {"orders": {"state": "ok", "ageMs": 0}}
    assert meta["streamPosition"] == "e0-0"


async def test_who_never_ordered_has_an_empty_history(autojump_clock):
    served = await open_views(Neighbours()).history(ALICE)
    assert served.rendered.found
    assert body_of(served, now=wall_clock()) == b"[]"


@pytest.mark.parametrize(
    "error", [down("orders"), DownstreamNonsenseError("orders", "another customer's order")]
)
async def test_a_history_that_cannot_be_had_or_believed_is_none(autojump_clock, error):
    with pytest.raises((DownstreamUnavailableError, DownstreamNonsenseError)):
        await open_views(Neighbours(history=Question(fails=error))).history(ALICE)


def test_the_moment_is_written_as_it_came():
    assert summary().placed_at.text == PLACED
