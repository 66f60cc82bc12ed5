"""The product listing, on virtual time."""

from __future__ import annotations

from decimal import Decimal

import pytest
import trio

from storefront.errors import DownstreamUnavailableError
from storefront.queries.products import Page
from tests.queries.neighbours import (
    BOWL,
    LASER,
    Neighbours,
    Question,
    down,
    open_views,
    page,
    product,
    shown,
    states,
)

FIRST = Page.clamped(None, 1, 20)


def selling(*products, **more) -> Neighbours:
    listed = page(*(products or (product(BOWL, "Bowl"), product(LASER, "Laser"))))
    return Neighbours(products=Question(lambda *_: listed), **more)


async def listing(given: Neighbours, wanted: Page = FIRST) -> dict:
    return await shown(await open_views(given).listing(wanted))


async def test_what_nobody_knows_is_null_and_neither_free_nor_in_stock(autojump_clock):
    served = await open_views(selling()).listing(FIRST)
    assert served.rendered.body == (
        b'{"products":[{"sku":"DOG-BOWL-01","name":"Bowl","price":null,'
        b'"primaryImageUrl":"/pictures/DOG-BOWL-01.svg","category":"Dogs","isInStock":null},'
        b'{"sku":"CAT-TOY-05","name":"Laser","price":null,'
        b'"primaryImageUrl":"/pictures/CAT-TOY-05.svg","category":"Dogs","isInStock":null}],'
        b'"totalCount":2,"page":1,"pageSize":20}'
    )
    view = await shown(served)
    assert states(view) == {"catalog": "ok", "pricing": "absent", "inventory": "absent"}
    assert (view["meta"]["complete"], view["meta"]["streamPosition"]) == (True, None)
    assert served.rendered.owner is None


async def test_prices_come_with_one_question_and_stock_with_one_for_each(autojump_clock):
    given = selling(
        prices=Question(lambda _skus: {BOWL: Decimal("19.90")}), stock=Question({BOWL: 0, LASER: 3})
    )
    served = await open_views(given).listing(FIRST)
    view = await shown(served)
    assert [item["price"] for item in view["products"]] == [19.9, None]
    assert b'"price":19.90' in served.rendered.body
    assert [item["isInStock"] for item in view["products"]] == [False, True]
    assert given.prices.asked == [[BOWL, LASER]]
    assert sorted(given.stock.asked) == [LASER, BOWL]
    assert set(states(view).values()) == {"ok"}


async def test_a_stock_that_does_not_come_in_time_is_not_known(autojump_clock):
    given = selling(stock=Question({BOWL: 1, LASER: 1}, slow={LASER: 60.0}))
    view = await listing(given)
    assert trio.current_time() == 1.0
    assert [item["isInStock"] for item in view["products"]] == [True, None]
    assert states(view)["inventory"] == "timeout"


async def test_a_page_beyond_the_last_is_empty(autojump_clock):
    given = Neighbours(products=Question(lambda *_: page(total=2)))
    view = await listing(given, Page.clamped(None, 9, 20))
    assert (view["products"], view["totalCount"], view["page"]) == ([], 2, 9)


async def test_without_catalog_there_is_nothing_to_show(autojump_clock):
    with pytest.raises(DownstreamUnavailableError):
        await listing(Neighbours(products=Question(fails=down("catalog"))))


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ((0, 20), (1, 20)),
        ((-3, 20), (1, 20)),
        ((10**18, 20), (2**31 - 1, 20)),
        ((2, 0), (2, 20)),
        ((2, -1), (2, 20)),
        ((1, 1), (1, 1)),
        ((1, 100), (1, 100)),
        ((1, 101), (1, 100)),
    ],
)
def test_no_number_is_refused(asked, meant):
    page = Page.clamped("", *asked)
    assert (page.category, page.page, page.page_size) == (None, *meant)


async def test_a_catalog_that_sends_more_than_was_asked_for_is_cut(autojump_clock):
    many = [product(f"S-{n}") for n in range(30)]
    view = await listing(selling(*many))
    assert (len(view["products"]), view["pageSize"]) == (20, 20)
