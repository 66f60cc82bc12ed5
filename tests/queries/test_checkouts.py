"""The checkout page, on virtual time."""

from __future__ import annotations

from decimal import Decimal

import pytest
import trio

from storefront.errors import DownstreamTimeoutError, DownstreamUnavailableError
from tests.queries.neighbours import (
    ALICE,
    BOB,
    BOWL,
    CHECKOUT,
    HOME,
    Neighbours,
    Question,
    checkout,
    down,
    open_views,
    order_lines,
    product,
    shown,
    states,
)


async def view_of(neighbours: Neighbours) -> dict:
    return await shown(await open_views(neighbours).checkout(CHECKOUT, ALICE))


def neighbours(**given) -> Neighbours:
    return Neighbours(checkout=Question({CHECKOUT: checkout(**given)}))


async def test_the_page_has_everything_the_form_needs(autojump_clock):
    served = await open_views(
        neighbours(
            shipping_address=HOME,
            shipping_method="Standard",
            shipping_cost=Decimal("5.99"),
            has_payment_method=True,
        )
    ).checkout(CHECKOUT, ALICE)
    assert served.rendered.body == (
        b'{"checkoutId":"c4ec0000-0000-4000-8000-000000000001",'
        b'"customerId":"11111111-1111-1111-1111-111111111111","currentStep":4,"items":['
        b'{"sku":"DOG-BOWL-01","productName":"The DOG-BOWL-01",'
        b'"productImageUrl":"/pictures/DOG-BOWL-01.svg",'
        b'"quantity":2,"unitPrice":19.99,"lineTotal":39.98}],"savedAddresses":['
        b'{"addressId":"aaaaaaaa-0000-4000-8000-000000000001","nickname":"Home",'
        b'"displayLine":"123 Main St, Seattle, WA 98101, US","addressLine1":"123 Main St",'
        b'"city":"Seattle","stateOrProvince":"WA","postalCode":"98101","country":"US"}],'
        b'"subtotal":39.98,"shippingCost":5.99,"total":45.97,"canProceedToNextStep":true}'
    )


@pytest.mark.parametrize(
    ("given", "step"),
    [
        ({}, 1),
        # Whatever else is there: what is missing first is what is to be done first.
        ({"shipping_method": "Standard", "has_payment_method": True}, 1),
        ({"shipping_address": HOME}, 2),
        ({"shipping_address": HOME, "has_payment_method": True}, 2),
        ({"shipping_address": HOME, "shipping_method": "Standard"}, 3),
        ({"shipping_address": HOME, "shipping_method": "Standard", "has_payment_method": True}, 4),
    ],
)
async def test_the_step_is_the_first_that_is_not_done(autojump_clock, given, step):
    assert (await view_of(neighbours(**given)))["currentStep"] == step


async def test_before_a_method_is_chosen_shipping_costs_nobody_knows_what(autojump_clock):
    view = await view_of(neighbours())
    assert (view["shippingCost"], view["total"]) == (None, 39.98)


@pytest.mark.parametrize("given", [{"items": ()}, {"is_completed": True}])
async def test_one_cannot_go_on_with_nothing_or_with_what_is_done(autojump_clock, given):
    assert (await view_of(neighbours(**given)))["canProceedToNextStep"] is False


async def test_addresses_and_products_are_asked_for_at_the_same_time(autojump_clock):
    given = neighbours()
    given.checkout.takes, given.addresses.takes = 0.1, 0.2
    given.product = Question(product, takes=0.2)
    view = await view_of(given)
    assert trio.current_time() == pytest.approx(0.3)
    assert states(view) == {"orders": "ok", "customer_identity": "ok", "catalog": "ok"}


async def test_without_identity_there_are_no_addresses_and_the_page_says_so(autojump_clock):
    given = neighbours()
    given.addresses = Question(fails=down("customer_identity"))
    view = await view_of(given)
    assert (view["savedAddresses"], view["meta"]["complete"]) == ([], False)
    assert states(view) == {"orders": "ok", "customer_identity": "error", "catalog": "ok"}


async def test_what_is_late_is_a_hole_at_the_deadline(autojump_clock):
    given = neighbours()
    given.addresses.takes = 60
    view = await view_of(given)
    assert trio.current_time() == 1.0
    assert states(view) == {"orders": "ok", "customer_identity": "timeout", "catalog": "ok"}


async def test_an_orders_that_is_late_or_down_leaves_nothing_to_show(autojump_clock):
    given = neighbours()
    given.checkout.takes = 60
    with pytest.raises(DownstreamTimeoutError):
        await view_of(given)
    assert trio.current_time() == 1.0
    given.checkout = Question(fails=down("orders"))
    with pytest.raises(DownstreamUnavailableError):
        await view_of(given)
    assert given.heard == {"checkout": 1}


@pytest.mark.parametrize(("owner", "reader"), [(ALICE, BOB), (None, ALICE), (None, None)], ids=str)
async def test_who_may_not_read_it_costs_one_question_and_no_more(autojump_clock, owner, reader):
    given = neighbours(customer_id=owner)
    served = await open_views(given).checkout(CHECKOUT, reader)
    assert not served.rendered.found
    assert served.rendered.owner == owner
    assert given.heard == {"checkout": 1}


async def test_support_reads_any_and_sees_the_owners_addresses(autojump_clock):
    given = neighbours()
    assert (await open_views(given).checkout(CHECKOUT, None)).rendered.owner == ALICE
    assert given.addresses.asked == [ALICE]


async def test_a_checkout_of_many_lines_shows_the_first_hundred(autojump_clock):
    lines = order_lines(*((f"S-{n}", 1, "1.00") for n in range(101)), (BOWL, 1, "1.00"))
    view = await view_of(neighbours(items=lines))
    assert (len(view["items"]), view["linesLeftOut"], view["subtotal"]) == (100, 2, 102)
