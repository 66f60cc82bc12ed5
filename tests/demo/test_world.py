"""The rules of the shop."""

from __future__ import annotations

from decimal import Decimal

import pytest

from storefront.demo.products import ARTICLES, Product
from storefront.demo.refusals import ConflictError, NotFoundError, RefusedError
from storefront.demo.shelf import Shelf
from storefront.demo.ticks import SECOND
from storefront.demo.world import World
from tests.demo.shop import ALICE, Clock, open_world, placed


@pytest.fixture
def world():
    return open_world()


@pytest.fixture
def cart(world):
    return world.carts.initialise(ALICE)


def test_the_same_sku_merges_at_the_price_first_seen(world, cart):
    world.carts.add(cart.cart_id, "DOG-BOWL-01", 2, Decimal("19.99"))
    [message] = world.carts.add(cart.cart_id, "DOG-BOWL-01", 3, Decimal("24.99"))
    assert [(i.quantity, i.unit_price) for i in cart.lines.values()] == [(5, Decimal("19.99"))]
    assert message.body["quantity"] == 3


@pytest.mark.parametrize(
    ("items", "total"),
    [
        ([("DOG-BOWL-01", 2)], "39.98"),
        ([("CAT-TOY-05", 2)], "59.98"),
        ([("CAT-TOY-05", 5)], "149.95"),
        ([("DOG-BOWL-01", 2), ("CAT-TOY-05", 1)], "69.97"),
        ([("CAT-TREE-06", 1)], "129.90"),
        ([], "0"),
    ],
)
def test_the_sums_of_the_real_systems_tests_can_be_formed_to_the_cent(world, cart, items, total):
    for sku, quantity in items:
        world.carts.add(cart.cart_id, sku, quantity, world.products[sku].price)
    # As text, for Decimal("129.9") would equal 129.90.
    assert str(cart.total) == total


def test_a_cart_that_is_closed_refuses_every_change(world, cart):
    world.carts.add(cart.cart_id, "DOG-BOWL-01", 1, Decimal("19.99"))
    world.initiate_checkout(cart.cart_id)
    for change in (
        lambda: world.carts.add(cart.cart_id, "DOG-BOWL-01", 1, Decimal("19.99")),
        lambda: world.carts.change(cart.cart_id, "DOG-BOWL-01", 2),
        lambda: world.carts.remove(cart.cart_id, "DOG-BOWL-01"),
        lambda: world.carts.clear(cart.cart_id),
        lambda: world.initiate_checkout(cart.cart_id),
    ):
        with pytest.raises(RefusedError):
            change()
    assert [line.quantity for line in cart.lines.values()] == [1]


def test_an_item_that_is_not_in_the_cart_cannot_be_changed(world, cart):
    with pytest.raises(NotFoundError, match="Item CAT-TOY-05 not found in cart"):
        world.carts.change(cart.cart_id, "CAT-TOY-05", 2)


def test_an_empty_cart_cannot_be_checked_out(world, cart):
    with pytest.raises(RefusedError, match="Cannot checkout an empty cart"):
        world.initiate_checkout(cart.cart_id)


def test_clearing_a_cart_tells_of_every_line(world, cart):
    for sku in ("DOG-BOWL-01", "CAT-TOY-05"):
        world.carts.add(cart.cart_id, sku, 1, world.products[sku].price)
    told = world.carts.clear(cart.cart_id)
    assert [message.body["sku"] for message in told] == ["DOG-BOWL-01", "CAT-TOY-05"]
    assert (cart.status, str(cart.total)) == ("Cleared", "0")


def test_a_cart_has_a_bound_and_refuses_the_line_beyond(world, cart, monkeypatch):
    monkeypatch.setattr("storefront.demo.carts.LINES_EACH", 2)
    for number in range(2):
        world.carts.add(cart.cart_id, f"SKU-{number}", 1, Decimal("1.00"))
    with pytest.raises(RefusedError, match="The cart is full"):
        world.carts.add(cart.cart_id, "SKU-2", 1, Decimal("1.00"))
    world.carts.add(cart.cart_id, "SKU-1", 1, Decimal("1.00"))


def test_a_checkout_keeps_the_lines_it_was_made_of(world, cart):
    world.carts.add(cart.cart_id, "DOG-BOWL-01", 1, Decimal("19.99"))
    checkout = world.initiate_checkout(cart.cart_id)
    cart.lines["DOG-BOWL-01"].quantity = 9
    assert [line.quantity for line in checkout.lines] == [1]


def test_a_checkout_can_be_slow_to_reach_orders():
    clock = Clock()
    world = open_world(now=clock, checkout_delay=0.5)
    cart = world.carts.initialise(ALICE)
    world.carts.add(cart.cart_id, "DOG-BOWL-01", 1, Decimal("19.99"))
    checkout = world.initiate_checkout(cart.cart_id)
    with pytest.raises(NotFoundError):
        world.checkouts.get(checkout.checkout_id)
    clock.ticks += SECOND // 2
    assert world.checkouts.get(checkout.checkout_id) is checkout


def test_an_order_is_placed_once(world):
    order = placed(world)
    checkout = next(world.checkouts._by_id.newest_first())
    with pytest.raises(RefusedError, match="already been completed"):
        world.complete_checkout(checkout.checkout_id)
    assert world.orders.of_customer(ALICE) == [order]


def test_orders_are_listed_newest_first_and_nobody_elses(world):
    older, newer = placed(world), placed(world)
    assert world.orders.of_customer(ALICE) == [newer, older]
    assert world.orders.of_customer("22222222-2222-2222-2222-222222222222") == []


def test_reserved_pieces_leave_the_shelf_and_come_back_when_called_off(world):
    order = placed(world, "CAT-TOY-05")
    before = world.warehouse.stock("CAT-TOY-05").available
    world.authorise(order)
    world.reserve(order)
    stock = world.warehouse.stock("CAT-TOY-05")
    assert (before - stock.available, stock.reserved) == (2, 2)
    world.cancel(order.order_id, "no")
    assert (stock.available, stock.reserved, stock.committed) == (before, 0, 0)


def test_an_order_that_cannot_be_filled_takes_nothing():
    world = open_world(stock={"CAT-TOY-05": 1})
    order = placed(world, "DOG-BOWL-01", "CAT-TOY-05")
    [failed] = world.reserve(order)
    assert failed.body["sku"] == "CAT-TOY-05"
    assert order.status == "OutOfStock"
    bowls = world.warehouse.stock("DOG-BOWL-01")
    assert bowls is not None
    assert bowls.reserved == 0


def test_an_order_is_reserved_sku_by_sku(world):
    order = placed(world, "DOG-BOWL-01", "CAT-TOY-05")
    assert [m.body["sku"] for m in world.reserve(order)] == ["DOG-BOWL-01", "CAT-TOY-05"]


def test_a_delivered_order_cannot_be_called_off(world):
    order = placed(world)
    order.status = "Delivered"
    with pytest.raises(ConflictError):
        world.cancel(order.order_id, "too late")


def test_an_order_is_called_off_once_and_unpaid_money_is_not_given_back(world):
    order = placed(world)
    assert [m.type.rpartition(".")[2] for m in world.cancel(order.order_id, "no")] == [
        "OrderCancelled"
    ]
    with pytest.raises(ConflictError, match="already cancelled"):
        world.cancel(order.order_id, "no")


def test_money_that_was_only_promised_is_not_given_back(world):
    order = placed(world)
    world.authorise(order)
    told = world.cancel(order.order_id, "no")
    assert [m.type.rpartition(".")[2] for m in told] == ["OrderCancelled"]
    assert world.till.of_order(order.order_id)[0].status == "Authorized"


def test_a_full_shelf_forgets_its_oldest_entry():
    shelf: Shelf[str, str] = Shelf("Thing", capacity=2)
    for key in "abc":
        shelf.put(key, key)
    assert list(shelf.newest_first()) == ["c", "b"]
    with pytest.raises(NotFoundError, match="Thing not found"):
        shelf.get("a")


def test_a_forgotten_cart_is_an_unknown_cart(monkeypatch, world):
    world.carts._by_id = Shelf("Cart", capacity=1)
    oldest, newest = world.carts.initialise(ALICE), world.carts.initialise(ALICE)
    assert world.carts.get(newest.cart_id) is newest
    with pytest.raises(NotFoundError):
        world.carts.get(oldest.cart_id)


def test_the_shelf_holds_twelve_articles_that_catalog_and_pricing_accept():
    assert len({article.sku for article in ARTICLES}) == 12
    for article in ARTICLES:
        assert len(article.sku) <= 24
        assert article.sku == article.sku.upper()
        assert str(article.price)[-3] == "."


def test_a_test_may_sell_what_it_likes():
    world = World(
        articles=[Product(sku="X-1", name="X", price=None, category="Y", description="Z")]
    )
    assert list(world.products) == ["X-1"]
