"""The cart page, on virtual time."""

from __future__ import annotations

from decimal import Decimal

import pytest
import trio

from storefront.domain.facts import Fact
from storefront.downstream.catalog import Product
from storefront.errors import (
    DownstreamNonsenseError,
    DownstreamOpenError,
    DownstreamTimeoutError,
    DownstreamUnavailableError,
    StoreUnavailableError,
)
from tests.queries.neighbours import (
    ALICE,
    BOB,
    BOWL,
    CART,
    LASER,
    Lost,
    Neighbours,
    Question,
    cart,
    down,
    open_store,
    open_views,
    product,
    remember,
    shown,
    states,
)

TWO = cart((BOWL, 2, "19.99"), (LASER, 1, "29.99"))


CART_FACT = Fact(kind="cart", id="", state=CART, occurred_at=1.0)


@pytest.fixture
async def store(autojump_clock):
    opened = open_store()
    await remember(opened, CART_FACT)
    return opened


# What is shown.


async def test_a_line_is_the_cart_s_price_and_the_catalogs_name(autojump_clock, store):
    neighbours = Neighbours(
        cart=Question({CART: TWO}),
        product=Question({BOWL: product(BOWL, "Bowl"), LASER: product(LASER, "Laser")}),
    )
    served = await open_views(neighbours, store).cart(ALICE)
    assert served.rendered.body == (
        b'{"cartId":"019c5dd6-29d2-7fb9-9d90-cf760997d1c0",'
        b'"customerId":"11111111-1111-1111-1111-111111111111","items":['
        b'{"sku":"DOG-BOWL-01","productName":"Bowl","productImageUrl":"/pictures/DOG-BOWL-01.svg",'
        b'"quantity":2,"unitPrice":19.99,"lineTotal":39.98},'
        b'{"sku":"CAT-TOY-05","productName":"Laser","productImageUrl":"/pictures/CAT-TOY-05.svg",'
        b'"quantity":1,"unitPrice":29.99,"lineTotal":29.99}],"subtotal":69.97}'
    )


@pytest.mark.parametrize(
    ("lines", "subtotal"),
    [
        ([(LASER, 2, "29.99")], b"59.98"),
        ([(LASER, 5, "29.99")], b"149.95"),
        ([(BOWL, 2, "19.99"), (LASER, 1, "29.99")], b"69.97"),
        ([(BOWL, 2, "19.99")], b"39.98"),
        ([(BOWL, 1, "129.90")], b"129.90"),
        ([(BOWL, 10**6, "999999999999.99")], b"999999999999990000.00"),
    ],
)
async def test_money_is_exact_to_the_last_digit_and_keeps_its_scale(
    autojump_clock, store, lines, subtotal
):
    served = await open_views(Neighbours(cart=Question({CART: cart(*lines)})), store).cart(ALICE)
    assert served.rendered.body.endswith(b'"subtotal":' + subtotal + b"}")


async def test_a_sku_is_asked_about_once_however_many_lines_have_it(autojump_clock, store):
    lines = [(BOWL, 1, "19.99"), (LASER, 1, "29.99"), (BOWL, 3, "9.99")]
    neighbours = Neighbours(cart=Question({CART: cart(*lines)}))
    view = await shown(await open_views(neighbours, store).cart(ALICE))
    assert neighbours.product.asked == [BOWL, LASER]
    assert [(i["sku"], i["quantity"]) for i in view["items"]] == [(BOWL, 1), (LASER, 1), (BOWL, 3)]


async def test_lines_keep_their_order_whoever_answers_first(autojump_clock, store):
    skus = [f"SKU-{n}" for n in range(10)]
    neighbours = Neighbours(
        cart=Question({CART: cart(*((sku, 1, "1.00") for sku in skus))}),
        product=Question(product, slow={sku: 0.1 - n / 100 for n, sku in enumerate(skus)}),
    )
    view = await shown(await open_views(neighbours, store).cart(ALICE))
    assert [item["sku"] for item in view["items"]] == skus
    assert [item["productName"] for item in view["items"]] == [f"The {sku}" for sku in skus]


async def test_a_product_that_is_unknown_keeps_its_line(autojump_clock, store):
    neighbours = Neighbours(cart=Question({CART: TWO}), product=Question({BOWL: product(BOWL)}))
    view = await shown(await open_views(neighbours, store).cart(ALICE))
    assert view["items"][1]["productName"] == "Unknown Product"
    assert view["items"][1]["productImageUrl"] == ""
    assert view["subtotal"] == 69.97
    assert states(view) == {"shopping": "ok", "catalog": "ok"}
    assert view["meta"]["complete"] is True


async def test_of_a_very_long_cart_the_first_hundred_lines_are_shown_and_the_sum_is_of_all(
    autojump_clock, store
):
    lines = [(f"SKU-{n}", 1, "1.00") for n in range(130)]
    neighbours = Neighbours(cart=Question({CART: cart(*lines)}))
    view = await shown(await open_views(neighbours, store).cart(ALICE))
    assert [item["sku"] for item in view["items"]] == [f"SKU-{n}" for n in range(100)]
    assert (view["subtotal"], view["linesLeftOut"]) == (130.00, 30)
    assert len(neighbours.product.asked) == 100


# Which cart.


async def test_without_a_cart_there_is_the_empty_view(autojump_clock):
    neighbours = Neighbours()
    served = await open_views(neighbours).cart(ALICE)
    assert served.rendered.body == (
        b'{"cartId":null,"customerId":"11111111-1111-1111-1111-111111111111","items":[],"subtotal":0}'
    )
    assert neighbours.heard == {"cart_of": 1}


async def test_a_shopping_that_understands_customers_knows_a_cart_before_any_event(autojump_clock):
    neighbours = Neighbours(cart_of=Question({ALICE: TWO}))
    view = await shown(await open_views(neighbours).cart(ALICE))
    assert (view["cartId"], view["subtotal"]) == (CART, 69.97)


async def test_a_cart_that_was_checked_out_is_not_the_customers_cart_any_more(
    autojump_clock, store
):
    neighbours = Neighbours(cart=Question({CART: cart((BOWL, 1, "1.00"), status="CheckedOut")}))
    views = open_views(neighbours, store)
    view = await shown(await views.cart(ALICE))
    assert (view["cartId"], view["items"]) == (None, [])
    # By its id it is what it is.
    assert len((await shown(await views.cart_by_id(CART, ALICE)))["items"]) == 1


async def test_a_cart_the_facts_name_and_shopping_has_forgotten_is_no_cart(autojump_clock, store):
    view = await shown(await open_views(Neighbours(), store).cart(ALICE))
    assert (view["cartId"], view["items"], view["subtotal"]) == (None, [], 0)


async def test_with_the_log_away_shopping_is_asked_about_the_customer(autojump_clock):
    neighbours = Neighbours(cart_of=Question({ALICE: TWO}))
    views = open_views(neighbours, Lost(StoreUnavailableError("away")))
    view = await shown(await views.cart(ALICE))
    assert (view["cartId"], view["meta"]["streamPosition"]) == (CART, None)
    assert view["meta"]["freshness"] == "live"


async def test_with_both_away_there_is_nothing_to_show(autojump_clock):
    views = open_views(
        Neighbours(cart_of=Question(fails=down("shopping"))), Lost(StoreUnavailableError("away"))
    )
    with pytest.raises(DownstreamUnavailableError):
        await views.cart(ALICE)


async def test_of_who_never_had_a_cart_a_failing_shopping_changes_nothing_and_is_told(
    autojump_clock,
):
    view = await shown(await open_views(Neighbours(cart_of=Question(fails=down("shopping")))).cart(ALICE))  # fmt: skip
    assert (view["items"], view["meta"]["complete"]) == ([], False)
    assert states(view) == {"shopping": "error"}


async def test_a_log_that_says_nothing_costs_half_a_second_and_no_view(autojump_clock):
    neighbours = Neighbours(cart_of=Question({ALICE: TWO}))
    view = await shown(await open_views(neighbours, Lost()).cart(ALICE))
    assert trio.current_time() == 0.5
    assert (view["cartId"], view["meta"]["streamPosition"]) == (CART, None)


async def test_a_log_that_says_nothing_gets_no_more_than_the_view_has(autojump_clock):
    views = open_views(Neighbours(cart_of=Question({ALICE: TWO})), Lost(), view_deadline=0.1)
    with pytest.raises(DownstreamTimeoutError):
        await views.cart(ALICE)
    assert trio.current_time() == 0.1


# Whose cart.


@pytest.mark.parametrize("customer", [BOB, None], ids=["another's", "nobody's"])
async def test_the_facts_cart_in_other_hands_is_shoppings_nonsense(autojump_clock, store, customer):
    neighbours = Neighbours(cart=Question({CART: cart((BOWL, 1, "1.00"), customer=customer)}))
    views = open_views(neighbours, store)
    with pytest.raises(DownstreamNonsenseError):
        await views.cart(ALICE)
    with pytest.raises(DownstreamNonsenseError):
        await views.cart_by_id(CART, ALICE)
    assert neighbours.heard == {"cart": 2}


async def test_a_cart_by_its_id_is_shown_without_the_log(autojump_clock):
    neighbours = Neighbours(cart=Question({CART: TWO}))
    for log in (Lost(StoreUnavailableError("away")), Lost()):
        served = await open_views(neighbours, log).cart_by_id(CART, ALICE)
        assert served.rendered.found


async def test_by_id_another_customers_cart_is_not_found_after_one_question(autojump_clock, store):
    neighbours = Neighbours(cart=Question({CART: TWO}))
    served = await open_views(neighbours, store).cart_by_id(CART, BOB)
    assert not served.rendered.found
    assert served.rendered.foreign
    assert served.rendered.owner == ALICE
    assert neighbours.heard == {"cart": 1}


@pytest.mark.parametrize("reader", [ALICE, BOB, None])
async def test_a_cart_without_a_customer_is_nobodys_to_read(autojump_clock, reader):
    neighbours = Neighbours(cart=Question({CART: cart((BOWL, 1, "1.00"), customer=None)}))
    served = await open_views(neighbours).cart_by_id(CART, reader)
    assert not served.rendered.found
    assert served.rendered.owner is None
    assert neighbours.heard == {"cart": 1}


async def test_support_reads_any_cart(autojump_clock, store):
    served = await open_views(Neighbours(cart=Question({CART: TWO})), store).cart_by_id(CART, None)
    assert served.rendered.owner == ALICE
    assert (await shown(served))["meta"]["streamPosition"] is None


# In time.


async def test_ten_products_take_as_long_as_one_and_an_eleventh_waits_for_its_turn(
    autojump_clock, store
):
    for lines, seconds in ((10, 0.2), (11, 0.3)):
        began = trio.current_time()
        neighbours = Neighbours(
            cart=Question({CART: cart(*((f"S-{n}", 1, "1.00") for n in range(lines)))}, takes=0.1),
            product=Question(product, takes=0.1),
        )
        await open_views(neighbours, store).cart(ALICE)
        assert trio.current_time() - began == pytest.approx(seconds)
        assert neighbours.product.most_at_once == 10


async def test_at_the_deadline_what_has_come_is_shown_and_the_rest_are_holes(autojump_clock, store):
    neighbours = Neighbours(
        cart=Question({CART: TWO}, takes=0.1),
        product=Question(product, slow={BOWL: 0.2, LASER: 30.0}),
    )
    view = await shown(await open_views(neighbours, store).cart(ALICE))
    assert trio.current_time() == 1.0
    assert [item["productName"] for item in view["items"]] == [f"The {BOWL}", "Unknown Product"]
    assert view["subtotal"] == 69.97
    assert states(view) == {"shopping": "ok", "catalog": "timeout"}
    assert view["meta"]["complete"] is False
    assert neighbours.product.at_once == 0


async def test_questions_that_never_got_their_turn_are_holes_too(autojump_clock, store):
    lines = [(f"S-{n}", 1, "1.00") for n in range(30)]
    neighbours = Neighbours(
        cart=Question({CART: cart(*lines)}), product=Question(product, takes=0.4)
    )
    view = await shown(await open_views(neighbours, store).cart(ALICE))
    assert trio.current_time() == 1.0
    names = [item["productName"] for item in view["items"]]
    assert names == [f"The S-{n}" for n in range(20)] + ["Unknown Product"] * 10


async def test_a_shopping_that_never_answers_leaves_nothing_to_show_at_the_deadline(
    autojump_clock, store
):
    neighbours = Neighbours(cart=Question({CART: TWO}, takes=30))
    with pytest.raises(DownstreamTimeoutError, match="deadline"):
        await open_views(neighbours, store).cart(ALICE)
    assert trio.current_time() == 1.0
    assert neighbours.heard == {"cart": 1}


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (DownstreamTimeoutError("catalog", "slow"), "timeout"),
        (DownstreamUnavailableError("catalog", "refused"), "error"),
        (DownstreamNonsenseError("catalog", "a page"), "error"),
        (DownstreamOpenError("catalog", "not now", retry_in=3.0), "open"),
    ],
)
async def test_a_catalog_that_fails_costs_names_and_says_how(autojump_clock, store, error, state):
    neighbours = Neighbours(cart=Question({CART: TWO}), product=Question(fails=error))
    view = await shown(await open_views(neighbours, store).cart(ALICE))
    assert {item["productName"] for item in view["items"]} == {"Unknown Product"}
    assert states(view) == {"shopping": "ok", "catalog": state}
    assert (view["subtotal"], view["meta"]["complete"]) == (69.97, False)


async def test_a_bug_in_one_question_is_no_hole(autojump_clock, store):
    neighbours = Neighbours(cart=Question({CART: TWO}), product=Question(fails=ZeroDivisionError()))
    with pytest.RaisesGroup(ZeroDivisionError):
        await open_views(neighbours, store).cart(ALICE)


# What is said of it.


async def test_ages_run_from_the_question_and_the_position_is_of_before(autojump_clock, store):
    neighbours = Neighbours(
        cart=Question({CART: TWO}, takes=0.1), product=Question(product, takes=0.2)
    )
    await trio.sleep(5)
    served = await open_views(neighbours, store).cart(ALICE)
    await trio.sleep(0.5)
    view = await shown(served)
    assert view["isStale"] is False
    assert view["meta"] == {
        "freshness": "live",
        "complete": True,
        "asOf": "2026-09-21T14:13:25+00:00",
        "streamPosition": "e0-1",
        "sources": {
            "shopping": {"state": "ok", "ageMs": 800},
            "catalog": {"state": "ok", "ageMs": 700},
        },
    }


async def test_the_position_is_read_before_anybody_is_asked(autojump_clock, store):
    neighbours = Neighbours(cart=Question({CART: TWO}, takes=0.1))
    views = open_views(neighbours, store)
    seen = []
    async with trio.open_nursery() as nursery:

        async def read():
            seen.append(await shown(await views.cart(ALICE)))

        nursery.start_soon(read)
        await trio.sleep(0.05)
        await remember(store, None)
    assert seen[0]["meta"]["streamPosition"] == "e0-1"


# Depth on demand.


async def test_more_is_asked_for_only_where_the_page_wants_it(autojump_clock, store):
    neighbours = Neighbours(
        cart=Question({CART: TWO}),
        product=Question(lambda sku: product(sku, description="Heavy", brand="Acme")),
        prices=Question(lambda _skus: {BOWL: Decimal("21.50")}),
        stock=Question({BOWL: 7}),
    )
    views = open_views(neighbours, store)
    shallow = await shown(await views.cart(ALICE))
    assert set(shallow["items"][0]) == {
        "sku", "productName", "productImageUrl", "quantity", "unitPrice", "lineTotal",
    }  # fmt: skip
    assert set(neighbours.heard) == {"cart", "product"}
    deep = await shown(await views.cart(ALICE, frozenset({"details", "prices", "stock"})))
    first, second = deep["items"]
    assert first["details"] == {"description": "Heavy", "category": "Dogs", "brand": "Acme"}
    assert (first["currentPrice"], first["stock"]) == (21.50, 7)
    assert (second["currentPrice"], second["stock"]) == (None, None)
    assert neighbours.prices.asked == [[BOWL, LASER]]
    assert states(deep) == dict.fromkeys(("shopping", "catalog", "pricing", "inventory"), "ok")


async def test_depth_that_nobody_can_give_is_null_and_nothing_missing(autojump_clock, store):
    neighbours = Neighbours(cart=Question({CART: TWO}), product=Question({BOWL: None}))
    include = frozenset({"details", "prices", "stock"})
    view = await shown(await open_views(neighbours, store).cart(ALICE, include))
    for item in view["items"]:
        assert (item["details"], item["currentPrice"], item["stock"]) == (None, None, None)
    assert (states(view)["pricing"], states(view)["inventory"]) == ("absent", "absent")
    assert view["meta"]["complete"] is True


def test_a_fake_product_is_what_the_client_says():
    assert isinstance(product(BOWL), Product)
