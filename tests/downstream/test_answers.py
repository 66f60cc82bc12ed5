"""What the services may answer, in every dress of contracts.md section 2, and what is none of it.

The meaning of a body needs no socket: the clients' fence is asked with the body itself, and the guard it passes keeps
the books.
"""

from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storefront.domain.ids import CartId, CheckoutId, CustomerId, OrderId
from storefront.downstream import (
    catalog,
    fulfillment,
    identity,
    orders,
    payments,
    pricing,
    shopping,
)
from storefront.downstream.answers import read
from storefront.downstream.catalog import Catalog
from storefront.downstream.commands import PassedOn
from storefront.downstream.fulfillment import Fulfillment
from storefront.downstream.http import Told
from storefront.downstream.identity import Identity, NewAddress
from storefront.downstream.inventory import Inventory
from storefront.downstream.orders import Orders, ShippingAddress
from storefront.downstream.payments import Payments
from storefront.downstream.pricing import Pricing
from storefront.downstream.shopping import Shopping
from storefront.errors import (
    DownstreamAbsentError,
    DownstreamNonsenseError,
    DownstreamRefusedError,
)
from tests.downstream.conftest import guarding

CART = CartId("019c5dd6-29d2-7fb9-9d90-cf760997d1c0")
CHECKOUT = CheckoutId("019c5dd6-29d2-7fb9-9d90-cf760997d1c3")
ORDER = OrderId("019c5dd7-29d2-7fb9-9d90-cf760997d1c1")
OTHER = "019c5dd7-29d2-7fb9-9d90-cf760997d1c2"
ALICE = CustomerId("11111111-1111-1111-1111-111111111111")
BOB = CustomerId("22222222-2222-2222-2222-222222222222")
WHEN = "2026-02-17T21:58:44.1234567+00:00"
LINE = {"sku": "A", "quantity": 2, "unitPrice": 19.99, "lineTotal": 39.98}


class Http:
    """A service that says one thing."""

    name = "there"

    def __init__(self, said: object = None, location: str | None = None) -> None:
        self.said, self.location = said, location
        self.asked: list[tuple] = []

    def _body(self) -> bytes | None:
        if isinstance(self.said, Exception):
            raise self.said
        return self.said if isinstance(self.said, bytes | None) else json.dumps(self.said).encode()

    async def get_json(self, *path, query=None):
        self.asked.append((path, dict(query or {})))
        return self._body()

    async def send_json(self, method, *path, body, headers):
        self.asked.append((method, path, body.decode(), dict(headers)))
        return Told(status=200, body=self._body() or b"", location=self.location)


def said(kind, answer: object, **options):
    """A client of a service that answers so, and the service's side of it."""
    http, guard = Http(answer, **options), guarding("there")
    return kind(http, guard), http, guard


async def refused(kind, answer: object, ask) -> None:
    """Nonsense, and the service's failure in the breaker's books."""
    client, _, guard = said(kind, answer)
    with pytest.raises(DownstreamNonsenseError) as caught:
        await ask(client)
    for secret in (ALICE, BOB, "Lake", "tok_"):
        assert secret not in str(caught.value)
    assert guard.statistics().outcomes["failed"] == 1


def cart(**changes) -> dict:
    return {
        "cartId": CART,
        "customerId": ALICE,
        "items": [LINE],
        "status": "Active",
        "totalAmount": 39.98,
    } | changes


def checkout(**changes) -> dict:
    return {
        "checkoutId": CHECKOUT, "cartId": CART, "customerId": ALICE, "items": [LINE], "startedAt": WHEN,
        "hasPaymentMethod": False, "isCompleted": False, "subtotal": 39.98, "total": 39.98,
    } | changes  # fmt: skip


def summary(**changes) -> dict:
    return {
        "orderId": ORDER,
        "customerId": ALICE,
        "placedAt": WHEN,
        "status": "Placed",
        "totalAmount": 45.97,
        "itemCount": 1,
    } | changes


def order(**changes) -> dict:
    return {
        "orderId": ORDER, "customerId": ALICE, "lineItems": [LINE], "shippingMethod": "Standard",
        "totalAmount": 45.97, "status": "Placed", "placedAt": WHEN,
    } | changes  # fmt: skip


def product(**changes) -> dict:
    return {
        "id": "A", "sku": "A", "name": "a", "description": None, "longDescription": None, "category": "Dogs",
        "subcategory": None, "brand": None, "images": [{"url": "/a.png", "altText": None, "sortOrder": 1}],
        "tags": [], "dimensions": None, "status": 0, "isDeleted": False, "addedAt": WHEN, "updatedAt": None,
    } | changes  # fmt: skip


def payment(**changes) -> dict:
    return {
        "paymentId": OTHER,
        "orderId": ORDER,
        "amount": 45.97,
        "currency": "USD",
        "status": "Captured",
        "initiatedAt": WHEN,
    } | changes


def shipment(**changes) -> dict:
    return {
        "id": OTHER,
        "orderId": ORDER,
        "status": "InTransit",
        "deliveryAttemptCount": 0,
    } | changes


def without(whole: dict, *names: str) -> dict:
    return {name: value for name, value in whole.items() if name not in names}


# The same thing in other dress.


async def test_a_cart_may_be_nobodys_and_an_id_in_capitals_is_the_same_id():
    for answer in (without(cart(), "customerId"), cart(customerId=None)):
        found = await said(Shopping, answer)[0].cart(CART)
        assert found.customer_id is None
    found = await said(Shopping, cart(cartId=CART.upper(), customerId=ALICE.upper()))[0].cart(CART)
    assert (found.cart_id, found.customer_id) == (CART, ALICE)


async def test_another_customers_cart_is_no_fault_of_shoppings_when_asked_for_by_its_id():
    client, _, guard = said(Shopping, cart(customerId=BOB))
    assert (await client.cart(CART)).customer_id == BOB
    assert guard.statistics().outcomes["failed"] == 0


async def test_a_cart_asked_for_by_customer_is_that_customers_whatever_its_id():
    client, http, _ = said(Shopping, cart(cartId=OTHER))
    assert (await client.cart_of(ALICE)).cart_id == OTHER
    assert http.asked == [(("api", "carts", ALICE), {})]


async def test_money_keeps_its_scale():
    body = json.dumps(cart()).replace("39.98", "39.90").encode()
    found = await said(Shopping, body)[0].cart(CART)
    assert str(found.total_amount) == "39.90"
    assert str(found.items[0].line_total) == "39.90"


async def test_a_checkout_begins_with_next_to_nothing_in_it():
    found = await said(Orders, checkout())[0].checkout(CHECKOUT)
    assert (found.shipping_address, found.shipping_method, found.shipping_cost) == (
        None,
        None,
        None,
    )
    found = await said(Orders, checkout(shippingAddress=None, shippingCost=None, customerId=None))[
        0
    ].checkout(CHECKOUT)
    assert found.customer_id is None


async def test_a_history_is_a_bare_array_in_the_services_order():
    client, http, _ = said(Orders, [summary(), summary(orderId=OTHER)])
    assert [one.order_id for one in await client.history(ALICE)] == [ORDER, OTHER]
    assert http.asked == [(("api", "orders"), {"customerId": ALICE})]


async def test_a_moment_is_kept_as_it_was_written():
    assert (await said(Orders, order())[0].order(ORDER)).placed_at.text == WHEN


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (0, "Active"),
        (1, "Discontinued"),
        (2, "ComingSoon"),
        (3, "OutOfSeason"),
        (4, "4"),
        (-1, "-1"),
        ("Active", "Active"),
        ("New", "New"),
    ],
)
async def test_a_products_status_is_a_word_though_it_may_travel_as_a_number(status, word):
    assert (await said(Catalog, product(status=status))[0].product("A")).status == word


@pytest.mark.parametrize("id_", ["A", OTHER])
async def test_a_products_id_is_a_guid_or_its_sku_and_the_sku_is_what_counts(id_):
    assert (await said(Catalog, product(id=id_))[0].product("A")).sku == "A"
    assert (await said(Catalog, without(product(id=id_), "id"))[0].product("a")).sku == "A"


@pytest.mark.parametrize("images", [None, []])
async def test_a_product_without_a_picture_has_none(images):
    for answer in (product(images=images), without(product(), "images", "tags", "status")):
        assert (await said(Catalog, answer)[0].product("A")).primary_image == ""


async def test_the_first_picture_is_the_first_and_not_the_lowest_number():
    images = [{"url": "/b.png", "sortOrder": 2}, {"url": "/a.png", "sortOrder": 1}]
    assert (await said(Catalog, product(images=images))[0].product("A")).primary_image == "/b.png"


@pytest.mark.parametrize("key", ["items", "products"])
async def test_a_page_of_products_is_under_either_name(key):
    client, http, _ = said(Catalog, {key: [product()], "page": 2, "pageSize": 20, "totalCount": 21})
    page = await client.products("Dogs", 2, 20)
    assert [one.sku for one in page.products] == ["A"]
    assert (page.page, page.page_size, page.total_count) == (2, 20, 21)
    assert http.asked[0][1] == {"page": "2", "pageSize": "20", "category": "Dogs"}


async def test_a_catalog_without_listings_lists_nothing():
    page = await said(Catalog, None)[0].products(None, 3, 20)
    assert (page.products, page.page, page.page_size, page.total_count) == ((), 3, 20, 0)


@pytest.mark.parametrize(
    ("item", "kind", "line"),
    [
        ({"type": "Both", "displayLine": "said"}, "Both", "said"),
        ({"addressType": "Billing", "displayLine": "said"}, "Billing", "said"),
        ({"type": "Shipping", "addressLine1": "1 Lake Rd", "city": "Bend", "stateOrProvince": "OR", "postalCode": "97701", "country": "US"},
         "Shipping", "1 Lake Rd, Bend, OR 97701, US"),
        ({"type": "Shipping", "displayLine": "", "addressLine1": "1 Lake Rd", "addressLine2": "Hut"}, "Shipping", "1 Lake Rd, Hut"),
        ({"type": "Shipping"}, "Shipping", ""),
    ],
)  # fmt: skip
async def test_an_address_has_a_line_where_it_can_be_said_and_never_commas_for_it(item, kind, line):
    client, http, _ = said(Identity, [{"id": OTHER, "nickname": "n", "isDefault": True} | item])
    [found] = await client.addresses(ALICE)
    assert (found.address_id, found.type, found.display_line) == (OTHER, kind, line)
    assert http.asked == [(("api", "customers", ALICE, "addresses"), {"type": "Shipping"})]


async def test_a_shipments_id_is_just_called_id():
    [found] = await said(Fulfillment, [shipment(trackingNumber="1Z")])[0].shipments(ORDER)
    assert (found.shipment_id, found.tracking_number, found.delivered_at) == (OTHER, "1Z", None)


async def test_what_is_unpriced_has_no_price_rather_than_none_to_pay():
    answer = [
        {"sku": "A", "basePrice": 0, "status": "Unpriced"},
        {"sku": "b", "basePrice": 2.50, "status": "Published"},
    ]
    assert await said(Pricing, answer)[0].prices(["A", "B", "C"]) == {"B": Decimal("2.5")}


# What is none of it.

NONSENSE = {
    "a cart of another id": (Shopping, cart(cartId=OTHER), lambda c: c.cart(CART)),
    "a cart of NaN": (Shopping, cart(totalAmount="NaN"), lambda c: c.cart(CART)),
    "a cart below zero": (Shopping, cart(items=[LINE | {"unitPrice": -1}]), lambda c: c.cart(CART)),
    "a cart of 5001 lines": (Shopping, cart(items=[LINE] * 5001), lambda c: c.cart(CART)),
    "an error with 200": (Shopping, {"title": "Oops", "status": 500}, lambda c: c.cart(CART)),
    "another's cart by customer": (Shopping, cart(customerId=BOB), lambda c: c.cart_of(ALICE)),
    "nobody's cart by customer": (Shopping, without(cart(), "customerId"), lambda c: c.cart_of(ALICE)),
    "another's cart's totals": (Shopping, cart(customerId=BOB), lambda c: c.totals(CART, ALICE)),
    "a checkout of another id": (Orders, checkout(checkoutId=OTHER), lambda c: c.checkout(CHECKOUT)),
    "a checkout named id": (Orders, {"id": CHECKOUT} | without(checkout(), "checkoutId"), lambda c: c.checkout(CHECKOUT)),
    "an order of another id": (Orders, order(orderId=OTHER), lambda c: c.order(ORDER)),
    "an order of nobody": (Orders, order(customerId=None), lambda c: c.order(ORDER)),
    "an order placed at no time": (Orders, order(placedAt="yesterday"), lambda c: c.order(ORDER)),
    "an order placed at a number": (Orders, order(placedAt=7), lambda c: c.order(ORDER)),
    "an order placed nowhere in time": (Orders, order(placedAt=WHEN[:19]), lambda c: c.order(ORDER)),
    "another's order in a history": (Orders, [summary(), summary(customerId=BOB)], lambda c: c.history(ALICE)),
    "a history with pages": (Orders, {"items": [summary()], "totalCount": 1}, lambda c: c.history(ALICE)),
    "another product": (Catalog, product(sku="B"), lambda c: c.product("A")),
    "a product without a name": (Catalog, product(name=None), lambda c: c.product("A")),
    "a page of nothing": (Catalog, {"page": 1, "pageSize": 20, "totalCount": 0}, lambda c: c.products(None, 1, 20)),
    "a page that is an array": (Catalog, [product()], lambda c: c.products(None, 1, 20)),
    "an address of no id": (Identity, [{"id": "7", "nickname": "n"}], lambda c: c.addresses(ALICE)),
    "addresses in an object": (Identity, {"items": []}, lambda c: c.addresses(ALICE)),
    "another order's payment": (Payments, [payment(), payment(orderId=OTHER)], lambda c: c.of_order(ORDER)),
    "a payment of everything": (Payments, [payment(amount="Infinity")], lambda c: c.of_order(ORDER)),
    "another order's shipment": (Fulfillment, [shipment(orderId=OTHER)], lambda c: c.shipments(ORDER)),
    "a price of 1e400": (Pricing, b'[{"sku":"A","basePrice":1e400}]', lambda c: c.prices(["A"])),
    "the stock of another": (Inventory, {"sku": "B", "totalAvailable": 1}, lambda c: c.stock("A")),
    "a stock below zero": (Inventory, {"sku": "A", "totalAvailable": -1}, lambda c: c.stock("A")),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "answer", "ask"), NONSENSE.values(), ids=NONSENSE.keys())
async def test_what_the_contract_does_not_allow_is_that_services_failure(kind, answer, ask):
    await refused(kind, answer, ask)


@pytest.mark.parametrize(
    "decoder",
    [
        shopping._carts, shopping._initiated, orders._checkouts, orders._histories, orders._orders, catalog._products,
        catalog._listings, identity._items, payments._payments, fulfillment._shipments, pricing._prices,
    ],
)  # fmt: skip
@given(
    body=st.binary() | st.text().map(lambda text: json.dumps([{"sku": text, "id": text}]).encode())
)
def test_no_bytes_at_all_raise_anything_else(decoder, body):
    with suppress(DownstreamNonsenseError):
        read("there", decoder, body, "it")


# What one may not ask.


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    ("kind", "ask"),
    [
        (Payments, lambda c: c.of_order(ORDER)),
        (Fulfillment, lambda c: c.shipments(ORDER)),
        (Pricing, lambda c: c.prices(["A"])),
        (Inventory, lambda c: c.stock("A")),
    ],
)
async def test_what_is_kept_from_us_is_absent_and_says_so_and_is_no_failure(kind, ask, status):
    client, _, guard = said(kind, DownstreamRefusedError("there", status))
    with pytest.raises(DownstreamAbsentError, match=f"not for us, status {status}"):
        await ask(client)
    assert guard.statistics().outcomes["answered"] == 1


@pytest.mark.parametrize("answer", [None, DownstreamRefusedError("there", 405)])
async def test_a_question_that_does_not_exist_yet_is_absent(answer):
    client, _, guard = said(Payments, answer)
    with pytest.raises(DownstreamAbsentError, match="no such question"):
        await client.of_order(ORDER)
    assert guard.statistics().outcomes["answered"] == 1


async def test_any_other_no_is_handed_on():
    client, _, _ = said(Payments, DownstreamRefusedError("there", 400))
    with pytest.raises(DownstreamRefusedError):
        await client.of_order(ORDER)


# Commands.


@pytest.mark.parametrize(
    ("location", "body"),
    [
        (f"/api/carts/{CART}", {"value": CART, "url": f"/api/carts/{CART}"}),
        (f"/api/carts/{CART}", None),
        (None, {"value": CART.upper(), "url": "/"}),
        (f"https://shopping.internal/api/carts/{CART}/", None),
    ],
)
async def test_what_was_created_is_said_in_either_place(location, body):
    client, http, _ = said(Shopping, body, location=location)
    assert await client.initialize(ALICE) == CART
    assert http.asked == [
        ("POST", ("api", "carts"), f'{{"customerId":"{ALICE}","sessionId":null}}', {})
    ]


@pytest.mark.parametrize(
    ("location", "body"),
    [
        (None, None),
        (f"/api/carts/{OTHER}", {"value": CART}),
        ("/api/carts", None),
        (None, {"id": CART}),
        (None, {"value": "7"}),
        (None, []),
    ],
)
async def test_what_was_created_must_be_said_and_once(location, body):
    client, _, guard = said(Shopping, body, location=location)
    with pytest.raises(DownstreamNonsenseError):
        await client.initialize(ALICE)
    assert guard.statistics().outcomes["failed"] == 1


@pytest.mark.parametrize(
    "body",
    [
        {"value": CHECKOUT, "url": f"/api/checkouts/{CHECKOUT}"},
        {"cartId": CART, "checkoutId": CHECKOUT, "items": [], "initiatedAt": WHEN},
        {"value": CHECKOUT, "checkoutId": OTHER},
    ],
)
async def test_a_started_checkout_is_called_value_or_checkout_id(body):
    assert await said(Shopping, body)[0].start_checkout(CART) == CHECKOUT


@pytest.mark.parametrize("body", [{"cartId": CART}, {"value": "7"}, [], None])
async def test_a_checkout_that_is_not_named_is_nonsense(body):
    with pytest.raises(DownstreamNonsenseError):
        await said(Shopping, body)[0].start_checkout(CART)


async def test_an_order_has_its_own_id_and_never_the_checkouts():
    for body in ({"orderId": ORDER}, {"orderId": ORDER, "completedAt": WHEN}):
        assert await said(Orders, body)[0].complete(CHECKOUT) == ORDER
    with pytest.raises(DownstreamNonsenseError):
        await said(Orders, {"checkoutId": CHECKOUT})[0].complete(CHECKOUT)


PLACE = ShippingAddress(
    address_line1="1 Lake Rd",
    city="Bend",
    state_or_province="OR",
    postal_code="97701",
    country="US",
)
NEW = NewAddress(
    nickname="n",
    address_line1="1 Lake Rd",
    city="Bend",
    state_or_province="OR",
    postal_code="97701",
    country="US",
)
LINES = {
    "addressLine1": "1 Lake Rd",
    "addressLine2": None,
    "city": "Bend",
    "stateOrProvince": "OR",
    "postalCode": "97701",
    "country": "US",
}
STEPS = ("api", "checkouts", CHECKOUT)
COMMANDS = {
    "add, then": (Shopping, partial(Shopping.add_item, cart=CART, sku="A/B", quantity=2, unit_price=Decimal("19.90")),
                  "POST", ("api", "carts", CART, "items"), f'{{"cartId":"{CART}","sku":"A/B","quantity":2,"unitPrice":19.90}}'),
    "add, now": (Shopping, partial(Shopping.add_item, cart=CART, sku="A", quantity=2),
                 "POST", ("api", "carts", CART, "items"), f'{{"cartId":"{CART}","sku":"A","quantity":2}}'),
    "change": (Shopping, partial(Shopping.change_quantity, cart=CART, sku="A", quantity=5),
               "PUT", ("api", "carts", CART, "items", "A", "quantity"), f'{{"cartId":"{CART}","sku":"A","newQuantity":5}}'),
    "remove": (Shopping, partial(Shopping.remove_item, cart=CART, sku="A"),
               "DELETE", ("api", "carts", CART, "items", "A"), f'{{"cartId":"{CART}","sku":"A"}}'),
    "address": (Orders, partial(Orders.shipping_address, checkout=CHECKOUT, address=PLACE),
                "POST", (*STEPS, "shipping-address"), json.dumps({"checkoutId": CHECKOUT} | LINES)),
    "method": (Orders, partial(Orders.shipping_method, checkout=CHECKOUT, method="Standard", cost=Decimal("5.90")),
               "POST", (*STEPS, "shipping-method"), f'{{"checkoutId":"{CHECKOUT}","shippingMethod":"Standard","shippingCost":5.90}}'),
    "payment": (Orders, partial(Orders.payment_method, checkout=CHECKOUT, token="tok_1"),
                "POST", (*STEPS, "payment-method"), f'{{"checkoutId":"{CHECKOUT}","paymentMethodToken":"tok_1"}}'),
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "command", "method", "path", "body"), COMMANDS.values(), ids=COMMANDS.keys()
)
async def test_a_command_is_sent_as_the_contract_has_it(kind, command, method, path, body):
    client, http, _ = said(kind, None)
    await command(client, passed_on=PassedOn(authorization="Bearer x", idempotency_key="k"))
    [(sent_method, sent_path, sent_body, headers)] = http.asked
    assert (sent_method, sent_path) == (method, path)
    if "5.90" in body or "19.90" in body:
        assert sent_body == body
    assert json.loads(sent_body) == json.loads(body)
    assert headers == {"authorization": "Bearer x", "idempotency-key": "k"}


async def test_an_address_is_saved_as_the_contract_has_it():
    client, http, _ = said(Identity, {"value": OTHER, "url": "/"})
    assert await client.save_address(ALICE, NEW) == OTHER
    [(_, path, body, _)] = http.asked
    assert path == ("api", "customers", ALICE, "addresses")
    assert (
        json.loads(body)
        == {"customerId": ALICE, "type": "Shipping", "nickname": "n", "isDefault": True} | LINES
    )


@pytest.mark.parametrize(
    "value", ["Bearer x\r\nx-admin: yes", "a\nb", "\0", "m\u00fcll", "a\u2028b", "\x7f"]
)
def test_what_goes_along_is_one_line_of_a_header(value):
    with pytest.raises(ValueError, match="one line"):
        PassedOn(authorization=value)
    with pytest.raises(ValueError, match="one line"):
        PassedOn(idempotency_key=value)
