"""What a product costs and how many there are, from the caches that all customers share: on virtual time."""

from __future__ import annotations

from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
import trio

from storefront.errors import DownstreamAbsentError
from storefront.queries.caches import make_caches
from storefront.queries.products import Page
from storefront.queries.views import Views
from storefront.settings import ViewSettings
from tests.queries.neighbours import (
    ALICE,
    BOWL,
    LASER,
    Neighbours,
    Question,
    Undisturbed,
    cart,
    down,
    open_store,
    page,
    product,
    shown,
    states,
    wall_clock,
)

DEPTH = frozenset({"prices", "stock"})
LISTING = Page(category=None, page=1, page_size=20)


def informed(**given) -> Neighbours:
    asked = {
        "cart_of": Question({ALICE: cart((BOWL, 1, "19.99"), (LASER, 1, "29.99"))}),
        "products": Question(lambda *_: page(product(BOWL), product(LASER))),
        "prices": Question(lambda skus: dict.fromkeys(skus, Decimal("21.50"))),
        "stock": Question({BOWL: 7, LASER: 0}),
    }
    return Neighbours(**(asked | given))


@asynccontextmanager
async def open_shop(neighbours: Neighbours, **settings):
    """Views that are not kept themselves, over the caches that are."""
    store, services, given = open_store(), neighbours.services(), ViewSettings(**settings)
    caches = make_caches(
        services, given, generations=store, shelf=None, clock=wall_clock, uniform=lambda a, _b: a
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(caches.run)
        yield (
            Views(
                services,
                store,
                Undisturbed(given.view_deadline),
                given,
                clock=wall_clock,
                product=caches.products.part,
                prices=caches.prices.parts if caches.prices else None,
                stock=caches.stock.part if caches.stock else None,
            ),
            caches,
        )
        nursery.cancel_scope.cancel()


async def line_of(views: Views) -> tuple[float | None, int | None, dict[str, str]]:
    view = await shown(await views.cart(ALICE, DEPTH))
    return view["items"][0]["currentPrice"], view["items"][0]["stock"], states(view)


async def test_a_cart_and_a_listing_ask_once_about_the_same_products(autojump_clock):
    neighbours = informed()
    async with open_shop(neighbours) as (views, _):
        listing = await shown(await views.listing(LISTING))
        assert [(one["price"], one["isInStock"]) for one in listing["products"]] == [
            (21.50, True),
            (21.50, False),
        ]
        assert {states(listing)[name] for name in ("pricing", "inventory")} == {"ok"}
        await trio.sleep(2)
        price, stock, said = await line_of(views)
        assert (price, stock) == (21.50, 7)
        assert (said["pricing"], said["inventory"]) == ("cached", "cached")
        view = await shown(await views.listing(LISTING))
        assert view["meta"]["sources"]["inventory"]["ageMs"] == 2000
    assert neighbours.prices.asked == [[BOWL, LASER]]
    assert sorted(neighbours.stock.asked) == [LASER, BOWL]


async def test_a_price_is_asked_again_after_thirty_seconds_and_stock_after_five(autojump_clock):
    neighbours = informed()
    async with open_shop(neighbours) as (views, _):
        await line_of(views)
        await trio.sleep(5)
        await line_of(views)
        assert (len(neighbours.prices.asked), len(neighbours.stock.asked)) == (1, 4)
        await trio.sleep(25)
        await line_of(views)
        assert (len(neighbours.prices.asked), len(neighbours.stock.asked)) == (2, 6)


async def test_an_old_price_is_shown_for_ten_minutes_and_called_old(autojump_clock):
    neighbours = informed()
    async with open_shop(neighbours) as (views, _):
        await line_of(views)
        neighbours.prices.fails = down("pricing")
        await trio.sleep(31)
        price, _, said = await line_of(views)
        assert (price, said["pricing"]) == (21.50, "expired")
        await trio.sleep(600)
        price, _, said = await line_of(views)
        assert (price, said["pricing"]) == (None, "error")


async def test_an_old_stock_is_not_shown_at_all(autojump_clock):
    neighbours = informed()
    async with open_shop(neighbours) as (views, _):
        await line_of(views)
        neighbours.stock.fails = down("inventory")
        await trio.sleep(4.9)
        _, stock, said = await line_of(views)
        assert (stock, said["inventory"]) == (7, "cached")
        await trio.sleep(0.1)
        _, stock, said = await line_of(views)
        assert (stock, said["inventory"]) == (None, "error")


async def test_fifty_prices_are_one_question_and_an_unknown_one_is_null_for_ten_seconds(
    autojump_clock,
):
    lines = [(f"S-{n:03}", 1, "1.00") for n in range(100)]
    neighbours = informed(
        cart_of=Question({ALICE: cart(*lines)}),
        prices=Question(lambda skus: {sku: Decimal(2) for sku in skus if sku != "S-000"}),
        stock=None,
    )
    async with open_shop(neighbours) as (views, _):
        view = await shown(await views.cart(ALICE, DEPTH))
        assert [one["currentPrice"] for one in view["items"]] == [None] + [2] * 99
        assert [len(asked) for asked in neighbours.prices.asked] == [50, 50]
        await trio.sleep(10)
        await views.cart(ALICE, DEPTH)
        assert neighbours.prices.asked[2:] == [["S-000"]]


@pytest.mark.parametrize("configured", [True, False])
async def test_a_service_that_has_no_such_question_or_is_not_there_is_absent(
    autojump_clock, configured
):
    away = Question(fails=DownstreamAbsentError("pricing", "not for us")) if configured else None
    async with open_shop(informed(prices=away, stock=away)) as (views, caches):
        price, stock, said = await line_of(views)
        assert (price, stock) == (None, None)
        assert (said["pricing"], said["inventory"]) == ("absent", "absent")
        read = {
            labels["of"]
            for name, _, labels, _ in caches.readings()
            if name == "storefront_products_known"
        }
        assert read == ({"catalog", "pricing", "inventory"} if configured else {"catalog"})
