"""Shopping and Orders: what their contract says, and everything it does not."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from functools import partial

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from storefront.domain.ids import CartId, CheckoutId, CustomerId, OrderId
from storefront.domain.translate import Totals
from storefront.downstream import orders, shopping
from storefront.downstream.answers import is_price, read
from storefront.downstream.breaker import Patience
from storefront.downstream.fulfillment import Fulfillment
from storefront.downstream.http import open_http
from storefront.downstream.identity import Identity
from storefront.downstream.orders import Orders
from storefront.downstream.payments import Payments
from storefront.downstream.shopping import Shopping
from storefront.errors import (
    DownstreamNonsenseError,
    DownstreamOpenError,
    DownstreamTimeoutError,
    DownstreamUnavailableError,
)
from tests.downstream.conftest import guarding, never, response, saying

CART = CartId("019c5dd6-29d2-7fb9-9d90-cf760997d1c0")
ORDER = OrderId("019c5dd7-29d2-7fb9-9d90-cf760997d1c1")
OTHER = "019c5dd7-29d2-7fb9-9d90-cf760997d1c2"
ALICE = "11111111-1111-1111-1111-111111111111"


def cart(*lines: str, cart_id: str = CART) -> bytes:
    """A CartResponse as Shopping writes it: nulls left out, enums as words."""
    return (
        f'{{"cartId":"{cart_id}","customerId":"{ALICE}","initializedAt":"2026-02-17T21:58:44+00:00",'
        f'"items":[{",".join(lines)}],"status":"Active","totalAmount":0,"appliedDiscount":0,"discountedTotal":0}}'
    ).encode()


def line(sku: str = "DOG-BOWL-01", quantity: object = 2, price: object = "19.99") -> str:
    return f'{{"sku":"{sku}","quantity":{quantity},"unitPrice":{price},"lineTotal":0}}'


def order(**changes: str) -> bytes:
    """An OrderResponse as Orders writes it."""
    said = {"orderId": f'"{ORDER}"', "customerId": f'"{ALICE}"', **changes}
    fields = ",".join(f'"{name}":{value}' for name, value in said.items())
    return f'{{{fields},"lineItems":[],"shippingMethod":"Standard","totalAmount":45.97,"status":"Placed","placedAt":"2026-02-17T22:00:00.5+00:00"}}'.encode()


@pytest.fixture
async def ask_shopping(there):
    async with open_http("shopping", there.url, connect_timeout=10) as opened:
        shopping = Shopping(opened, guarding("shopping", budget=5))
        yield partial(shopping.totals, customer=ALICE)


@pytest.fixture
async def ask_orders(there):
    async with open_http("orders", there.url, connect_timeout=10) as opened:
        yield Orders(opened, guarding("orders", budget=5)).customer


# Shopping.


@pytest.mark.parametrize(
    ("lines", "count", "total"),
    [
        ([], 0, "0"),
        ([line()], 1, "39.98"),
        ([line(quantity=5)], 1, "99.95"),
        ([line(), line("CAT-TOY-01", 3, "4.50")], 2, "53.48"),
        ([line(price="129.90", quantity=1)], 1, "129.90"),
        ([line(price="0.10", quantity=3)], 1, "0.30"),
        ([line(price=5, quantity=1)], 1, "5"),
        ([line(price='"19.99"')], 1, "39.98"),
        ([line(price="0", quantity=1)], 1, "0"),
        ([line("X", 1_000_000, "0.01")], 1, "10000.00"),
    ],
)
async def test_a_cart_comes_to_its_distinct_lines_and_the_sum_of_quantity_times_price(
    there, ask_shopping, lines, count, total
):
    there.answer = saying(response(cart(*lines)))
    found = await ask_shopping(CART)
    assert found == Totals(item_count=count, total_amount=Decimal(total))
    assert str(found.total_amount) == total
    assert there.targets == [f"/api/carts/{CART}"]


async def test_an_id_in_capitals_is_the_same_cart(there, ask_shopping):
    there.answer = saying(response(cart(line(), cart_id=CART.upper())))
    assert await ask_shopping(CART) == Totals(item_count=1, total_amount=Decimal("39.98"))


NO_CART = {
    "nothing": b"",
    "null": b"null",
    "a list": b"[]",
    "a word": b'"cart"',
    "half": cart(line())[:-9],
    "two": cart() + cart(),
    "no id": cart(line()).replace(b"cartId", b"id"),
    "an id that is none": cart(line()).replace(CART.encode(), b"7"),
    "another's": cart(line(), cart_id=OTHER),
    "no items": cart(line()).replace(b"items", b"lines"),
    "items null": cart().replace(b"[]", b"null"),
    "items an object": cart().replace(b"[]", b"{}"),
    "a line null": cart("null"),
    "a line without price": cart('{"sku":"a","quantity":1}'),
    "a price of null": cart(line(price="null")),
    "a price in words": cart(line(price='"a lot"')),
    "a price of NaN": cart(line(price='"NaN"')),
    "a price of sNaN": cart(line(price='"sNaN"')),
    "a price without end": cart(line(price='"Infinity"')),
    "a price beyond reason": cart(line(price="1e400")),
    "a price beyond Decimal": cart(line(price="1e99999999999999999999")),
    "a price below zero": cart(line(price="-0.01")),
    "a sum beyond reason": cart(*[line(quantity=1_000_000, price="999999.99")] * 2),
    "a quantity below zero": cart(line(quantity=-1), line(quantity=5)),
    "a quantity of a half": cart(line(quantity=1.5)),
    "a quantity beyond reason": cart(line(quantity=10**30, price=0)),
    "a quantity in words": cart(line(quantity='"two"')),
    "text that is none": cart(line()).replace(b"DOG", b"\xff\xfe"),
    "brackets without end": b'{"x":' + b"[" * 100_000,
    "an error with 200": b'{"type":"about:blank","title":"Oops","status":500}',
}


@pytest.mark.parametrize("said", NO_CART.values(), ids=NO_CART.keys())
async def test_what_is_no_cart_of_the_contract_is_nonsense(there, ask_shopping, said):
    there.answer = saying(response(said))
    with pytest.raises(DownstreamNonsenseError) as caught:
        await ask_shopping(CART)
    assert caught.value.service == "shopping"
    assert ALICE not in str(caught.value)


async def test_no_such_cart_is_no_error(there, ask_shopping):
    there.answer = saying(response(b"", status="404 Not Found", kind=None))
    assert await ask_shopping(CART) is None


# Orders.


async def test_an_order_is_its_customers(there, ask_orders):
    there.answer = saying(response(order()))
    assert await ask_orders(ORDER) == ALICE
    assert there.targets == [f"/api/orders/{ORDER}"]


async def test_a_customer_has_one_spelling(there, ask_orders):
    shouted = "ABCDEFAB-CDEF-ABCD-EFAB-CDEFABCDEFAB"
    there.answer = saying(response(order(customerId=f'"{shouted}"', orderId=f'"{ORDER.upper()}"')))
    assert await ask_orders(ORDER) == shouted.lower()


NO_ORDER = {
    "nothing": b"",
    "a list": b"[" + order() + b"]",
    "another's": order(orderId=f'"{OTHER}"'),
    "no customer": order().replace(b"customerId", b"customer"),
    "a customer of null": order(customerId="null"),
    "an empty customer": order(customerId='""'),
    "a customer by name": order(customerId='"alice"'),
    "a customer by number": order(customerId="7"),
    "no id": order().replace(b"orderId", b"id"),
    "half": order()[:-5],
    "brackets without end": b'{"x":' + b"[" * 100_000,
    "bytes": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("said", NO_ORDER.values(), ids=NO_ORDER.keys())
async def test_what_is_no_order_of_the_contract_is_nonsense_and_no_customer_is_guessed(
    there, ask_orders, said
):
    there.answer = saying(response(said))
    with pytest.raises(DownstreamNonsenseError) as caught:
        await ask_orders(ORDER)
    assert caught.value.service == "orders"


async def test_no_such_order_is_no_error(there, ask_orders):
    there.answer = saying(response(b"", status="404 Not Found", kind=None))
    assert await ask_orders(ORDER) is None


# Both.


@pytest.mark.parametrize("status", ["500 X", "502 X", "503 X", "429 X"])
async def test_a_service_in_trouble_is_unavailable_and_its_body_not_looked_at(
    there, ask_shopping, ask_orders, status
):
    there.answer = saying(response(cart(line()), status=status))
    with pytest.raises(DownstreamUnavailableError):
        await ask_shopping(CART)
    there.answer = saying(response(order(), status=status))
    with pytest.raises(DownstreamUnavailableError):
        await ask_orders(ORDER)


async def test_a_service_that_does_not_answer_is_a_timeout(there):
    there.answer = never
    async with (
        open_http("shopping", there.url, connect_timeout=10) as carts,
        open_http("orders", there.url, connect_timeout=10) as placed,
    ):
        began = trio.current_time()
        with pytest.raises(DownstreamTimeoutError):
            await Shopping(carts, guarding("shopping", budget=0.2)).totals(CART, ALICE)
        with pytest.raises(DownstreamTimeoutError):
            await Orders(placed, guarding("orders", budget=0.2)).customer(ORDER)
        assert 0.4 <= trio.current_time() - began < 3


@pytest.mark.parametrize("decoder", [shopping._totalled, orders._owned], ids=["cart", "order"])
@given(
    body=st.binary() | st.binary().map(lambda some: cart(line())[:40] + some + cart(line())[60:])
)
def test_no_bytes_at_all_become_anything_but_nonsense_or_what_was_asked_for(decoder, body):
    with suppress(DownstreamNonsenseError):
        read("shopping", decoder, body, "it")


@given(st.decimals(allow_nan=True, allow_infinity=True))
def test_a_price_is_a_number_that_a_browser_can_read(amount):
    assert not is_price(amount) or 0 <= float(amount) <= 10**12


async def test_another_customers_cart_is_nonsense_and_nobodys_is_not(there, ask_shopping):
    def cart(whose: str) -> bytes:
        return f'{{"cartId":"{CART}"{whose},"items":[{line()}]}}'.encode()

    there.answer = saying(response(cart(f',"customerId":"{ORDER}"')))
    with pytest.raises(DownstreamNonsenseError, match="another customer's cart"):
        await ask_shopping(CART)
    for whose in (f',"customerId":"{ALICE}"', f',"customerId":"{ALICE.upper()}"', ""):
        there.answer = saying(response(cart(whose)))
        assert (await ask_shopping(CART)).item_count == 1


# Somebody else's things, as often as it takes.

BOB = CustomerId("22222222-2222-2222-2222-222222222222")
CHECKOUT = CheckoutId("c4ec0000-0000-4000-8000-000000000001")
SUMMARY = f'{{"orderId":"{ORDER}","customerId":"{BOB}","placedAt":"2026-02-17T22:00:00+00:00","status":"Placed","totalAmount":1,"itemCount":1}}'
STEPS = '"items":[],"hasPaymentMethod":false,"isCompleted":false'
OF_ANOTHER = f'[{{"id":"{OTHER}","orderId":"{OTHER}","status":"Delivered"}}]'
LIES = {
    "a cart": (Shopping, lambda s: s.cart(CART, ALICE), cart().replace(ALICE.encode(), BOB.encode())),
    "a cart that is nobody's": (Shopping, lambda s: s.cart(CART, ALICE), f'{{"cartId":"{CART}","items":[]}}'.encode()),
    "a customer's cart": (Shopping, lambda s: s.cart_of(ALICE), cart().replace(ALICE.encode(), BOB.encode())),
    "another cart": (Shopping, lambda s: s.cart(CART), cart(cart_id=OTHER)),
    "an order": (Orders, lambda s: s.order(ORDER, ALICE), order(customerId=f'"{BOB}"')),
    "another order": (Orders, lambda s: s.order(ORDER), order(orderId=f'"{OTHER}"')),
    "a history": (Orders, lambda s: s.history(ALICE), f"[{SUMMARY}]".encode()),
    "another checkout": (Orders, lambda s: s.checkout(CHECKOUT), f'{{"checkoutId":"{OTHER}",{STEPS}}}'.encode()),
    "an address": (Identity, lambda s: s.addresses(ALICE), f'[{{"id":"{OTHER}","customerId":"{BOB}"}}]'.encode()),
    "another order's payment": (
        Payments,
        lambda s: s.of_order(ORDER),
        f'[{{"paymentId":"{OTHER}","orderId":"{OTHER}","amount":1,"currency":"USD","status":"Captured","initiatedAt":"2026-02-17T22:00:00+00:00"}}]'.encode(),
    ),
    "another order's shipment": (Fulfillment, lambda s: s.shipments(ORDER), OF_ANOTHER.encode()),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "ask", "said"), LIES.values(), ids=LIES.keys())
async def test_a_service_that_answers_with_somebody_elses_data_is_not_asked_any_more(
    there, kind, ask, said
):
    there.answer = saying(response(said))
    guard = guarding("lying", budget=5, patience=Patience(calls=4))
    async with open_http("lying", there.url, connect_timeout=10) as http:
        service = kind(http, guard)
        for _ in range(4):
            assert guard.statistics().state == "closed"
            with pytest.raises(DownstreamNonsenseError, match="another"):
                await ask(service)
        assert guard.statistics().outcomes["failed"] == 4
        with pytest.raises(DownstreamOpenError):
            await ask(service)
        assert len(there.heard) == 4


async def test_whose_a_thing_is_may_be_the_callers_to_look_at(there):
    async with open_http("any", there.url, connect_timeout=10) as http:
        guard = guarding("any", budget=5)
        there.answer = saying(response(order(customerId=f'"{BOB}"')))
        assert (await Orders(http, guard).order(ORDER)).customer_id == BOB
        there.answer = saying(response(cart().replace(ALICE.encode(), BOB.encode())))
        assert (await Shopping(http, guard).cart(CART)).customer_id == BOB
        there.answer = saying(response(f'[{{"id":"{OTHER}","customerId":"{ALICE}"}}]'.encode()))
        [found] = await Identity(http, guard).addresses(CustomerId(ALICE))
        assert found.address_id == OTHER
