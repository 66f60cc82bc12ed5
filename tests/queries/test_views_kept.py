"""What is handed to the cache, under which name, and until when."""

from __future__ import annotations

import pytest
import trio

from storefront.errors import DownstreamUnavailableError
from storefront.queries.parts import Part, Source
from storefront.queries.products import Page
from storefront.queries.rendering import Served
from storefront.queries.views import Views
from storefront.settings import ViewSettings
from tests.queries.neighbours import (
    ALICE,
    BOB,
    CART,
    CHECKOUT,
    ORDER,
    Neighbours,
    Question,
    cart,
    checkout,
    down,
    open_store,
    open_views,
    order,
    page,
    product,
    wall_clock,
)

DETAILS = frozenset({"details", "stock"})


class Noting:
    """Keeps nothing, notes what it was asked for, and leaves so many seconds for it."""

    def __init__(self, seconds: float = 1.0) -> None:
        self.noted: list[tuple[str | None, str]] = []
        self.seconds = seconds

    async def view(self, customer, key, compose) -> Served:
        self.noted.append((customer, key))
        return Served(rendered=await compose(trio.current_time() + self.seconds))


def open_noting(keeper: Noting, **given) -> Views:
    neighbours = Neighbours(
        cart=Question({CART: cart()}),
        checkout=Question({CHECKOUT: checkout()}),
        order=Question({ORDER: order()}),
        products=Question(lambda *_: page()),
    )
    services = neighbours.services()
    return Views(services, open_store(), keeper, ViewSettings(), clock=wall_clock, **given)


async def test_each_view_is_kept_under_its_reader_and_all_that_changes_it(autojump_clock):
    keeper = Noting()
    views = open_noting(keeper)
    await views.cart(ALICE)
    await views.cart(ALICE, DETAILS)
    await views.cart_by_id(CART, ALICE)
    await views.checkout(CHECKOUT, ALICE, DETAILS)
    await views.order(ORDER, ALICE)
    await views.history(ALICE)
    for asked in (("Dogs & Co", 2, 20), (None, 2, 20), (None, 2, 21)):
        await views.listing(Page.clamped(*asked))
    assert keeper.noted == [
        (ALICE, "cart"),
        (ALICE, "cart:details,stock"),
        (ALICE, f"cart:{CART}"),
        (ALICE, f"checkout:{CHECKOUT}:details,stock"),
        (ALICE, f"order:{ORDER}"),
        (ALICE, "history"),
        (None, "products?Dogs%20%26%20Co&2&20"),
        (None, "products?&2&20"),
        (None, "products?&2&21"),
    ]


async def test_what_staff_read_by_id_is_kept_under_no_name(autojump_clock):
    keeper = Noting()
    views = open_noting(keeper)
    for view, thing in ((views.cart_by_id, CART), (views.checkout, CHECKOUT), (views.order, ORDER)):
        served = await view(thing, None)
        assert served.rendered.found
        assert served.forwarded == "bypass"
    assert keeper.noted == []


async def test_the_cache_says_until_when(autojump_clock):
    async def slow(_sku):
        await trio.sleep_forever()

    views = open_noting(Noting(0.3), product=slow)
    served = await views.checkout(CHECKOUT, ALICE)
    assert trio.current_time() == 0.3
    assert served.rendered.sources["catalog"] == ("timeout", 0)


async def test_products_come_from_their_own_cache_where_there_is_one(autojump_clock):
    async def known(sku):
        return Part(product(sku, "From the cache"), Source("cached", trio.current_time() - 60))

    served = await open_noting(Noting(), product=known).checkout(CHECKOUT, ALICE)
    assert b"From the cache" in served.rendered.body
    assert served.rendered.sources["catalog"] == ("cached", 60_000)


async def test_what_was_shown_is_counted_by_view_and_outcome(autojump_clock):
    neighbours = Neighbours(
        cart=Question({CART: cart()}), checkout=Question({CHECKOUT: checkout()})
    )
    neighbours.order.fails = down("orders")
    views = open_views(neighbours)
    await views.cart_by_id(CART, ALICE)
    await views.cart_by_id(CART, BOB)
    neighbours.addresses.takes = 60
    await views.checkout(CHECKOUT, ALICE)
    with pytest.raises(DownstreamUnavailableError):
        await views.order(ORDER, ALICE)
    neighbours.cart.takes = 60
    with trio.move_on_after(0.1):
        await views.cart_by_id(CART, ALICE)
    counted = {tuple(labels.values()): count for _, _, labels, count in views.readings()}
    assert counted == {
        ("cart", "live"): 1,
        ("cart", "missing"): 1,
        ("checkout", "live-partial"): 1,
        ("order", "unavailable"): 1,
        ("cart", "left"): 1,
    }
