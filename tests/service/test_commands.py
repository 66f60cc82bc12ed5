"""The commands over real HTTP, against the simulated services of both ages (contracts.md section 3.1)."""

from __future__ import annotations

import pytest
import structlog
import trio

from storefront.demo.faults import Failing, Fault
from storefront.demo.front import Era
from tests.service.market import ALICE, BOB, HOME, open_market

UNKNOWN = "00000000-0000-4000-8000-0000000000ff"
CARTS, CHECKOUTS = "/api/storefront/carts", "/api/storefront/checkouts"
ADDRESSES = f"/api/storefront/customers/{ALICE}/addresses"
VIEW = f"/api/carts/{ALICE}/view"
BOWL = {"sku": "DOG-BOWL-01", "quantity": 2, "unitPrice": 19.99}
LASER = {"sku": "CAT-TOY-05", "quantity": 1, "unitPrice": 29.99}
STANDARD = {"shippingMethod": "Standard", "shippingCost": 5.99}
VISA = {"paymentMethodToken": "tok_visa_test_12345"}
CABIN = HOME | {"nickname": "Cabin"}
NO_CART, NO_ITEM = {"message": "Cart not found"}, {"message": "Cart or item not found"}
NO_CHECKOUT = {"message": "Checkout not found"}


@pytest.fixture
async def market():
    async with open_market() as opened:
        yield opened


async def tell(market, method: str, path: str, body=None, *, token: str = "", **headers: str):
    """A command of Alice's, or of whom the token says."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    given["Authorization"] = f"Bearer {token or market.token()}"
    return await market.browser.request(method, path, json=body, headers=given)


async def cart_with(market, *lines, **more) -> str:
    cart = (await tell(market, "POST", f"{CARTS}/initialize", {"customerId": ALICE}, **more)).json()
    for line in lines:
        added = await tell(market, "POST", f"{CARTS}/{cart}/items", line, **more)
        assert (added.status_code, added.content) == (204, b"")
        # The consumer's own question to Shopping is over then.
        await market.heard(ALICE, "cart", cart)
    return cart


async def checkout_with(market, *steps) -> str:
    cart = await cart_with(market, BOWL)
    started = await tell(market, "POST", f"{CARTS}/{cart}/checkout")
    assert (started.status_code, list(started.json())) == (200, ["checkoutId"])
    checkout = started.json()["checkoutId"]
    for step, wish in steps:
        answer = await tell(market, "POST", f"{CHECKOUTS}/{checkout}/{step}", wish)
        assert (answer.status_code, answer.content) == (200, b""), answer.text
    return checkout


ALL_STEPS = (("shipping-address", HOME), ("shipping-method", STANDARD), ("payment-method", VISA))


async def shown(market, text: str) -> None:
    """Until the cart's view says so: by way of event, log and composition."""
    while text not in (await market.get(VIEW)).text:
        await trio.sleep(0.01)


def commands_heard(market, service: str) -> list:
    return [asked for asked in market.desks[service].ledger.requests if asked.method != "GET"]


@pytest.mark.parametrize("era", Era)
async def test_a_cart_is_opened_filled_changed_and_emptied_with_the_real_systems_sums(era):
    async with open_market(era=era) as market:
        opened = await tell(market, "POST", f"{CARTS}/initialize", {"customerId": ALICE.upper()})
        assert (opened.status_code, opened.headers["Content-Type"]) == (200, "application/json")
        cart = opened.json()
        assert opened.text == f'"{cart}"', "a bare JSON string"
        items = f"{CARTS}/{cart}/items"
        line = f"{items}/DOG-BOWL-01"
        for method, path, body, subtotal in (
            ("POST", items, BOWL, "39.98"),
            ("POST", items, LASER, "69.97"),
            ("DELETE", line, None, "29.99"),
            ("PUT", f"{items}/CAT-TOY-05/quantity", {"newQuantity": 2}, "59.98"),
            ("PATCH", f"{items}/CAT-TOY-05", {"quantity": 5}, "149.95"),
            ("PATCH", f"{items}/CAT-TOY-05", {"NewQuantity": 1}, "29.99"),
        ):
            answer = await tell(market, method, path, body)
            assert (answer.status_code, answer.content) == (204, b""), answer.text
            await shown(market, f'"subtotal":{subtotal}')
        for method, path, body in (
            ("PUT", f"{line}/quantity", {"newQuantity": 2}),
            ("PATCH", line, {"newQuantity": 2}),
            ("DELETE", line, None),
            ("DELETE", f"{items}/{'X' * 60}", None),
        ):
            answer = await tell(market, method, path, body)
            assert (answer.status_code, answer.json()) == (404, NO_ITEM)


@pytest.mark.parametrize("era", Era)
async def test_a_checkout_goes_step_by_step_to_an_order(era):
    async with open_market(era=era, pace=60) as market:
        checkout = await checkout_with(market)
        view = f"{CHECKOUTS}/{checkout}"
        assert (await market.get(view)).json()["currentStep"] == 1
        too_early = await tell(market, "POST", f"{view}/complete")
        assert too_early.status_code == 400
        assert list(too_early.json()) == ["message"]
        for number, (step, wish) in enumerate(ALL_STEPS, 2):
            answer = await tell(market, "POST", f"{view}/{step}", wish)
            assert (answer.status_code, answer.content) == (200, b"")
            assert (await market.get(view)).json()["currentStep"] == number
        completed = await tell(market, "POST", f"{view}/complete")
        assert (completed.status_code, list(completed.json())) == (200, ["orderId"])
        order = completed.json()["orderId"]
        assert order != checkout
        shown_order = (await market.get(f"/api/orders/{order}/view")).json()
        assert (shown_order["status"], shown_order["totalAmount"]) == ("Placed", 45.97)
        again = await tell(market, "POST", f"{view}/complete")
        assert (again.status_code, list(again.json())) == (400, ["message"])


async def test_an_address_is_saved_once_and_can_be_chosen_then(market):
    saved = await tell(market, "POST", ADDRESSES, CABIN)
    assert (saved.status_code, list(saved.json())) == (201, ["addressId"])
    assert saved.headers["Location"] == f"{ADDRESSES}/{saved.json()['addressId']}"
    twice = await tell(market, "POST", ADDRESSES, CABIN)
    assert (twice.status_code, list(twice.json())) == (409, ["message"])
    checkout = await checkout_with(market)
    view = (await market.get(f"{CHECKOUTS}/{checkout}")).json()
    assert "Cabin" in [address["nickname"] for address in view["savedAddresses"]]


async def test_an_order_is_called_off_by_its_own_customer_and_once():
    async with open_market(pace=60) as market:
        path = f"/api/storefront/orders/{await market.place_order(await cart_with(market, BOWL))}"
        bob = market.token(BOB)
        theirs = await tell(market, "POST", f"{path}/cancel", {}, token=bob)
        unknown = await tell(market, "POST", f"/api/storefront/orders/{UNKNOWN}/cancel", {})
        assert (theirs.status_code, theirs.json()) == (404, {"message": "Order not found"})
        assert theirs.content == unknown.content
        cancelled = await tell(market, "POST", f"{path}/cancel", {"reason": "Too large"})
        assert (cancelled.status_code, cancelled.content) == (202, b"")
        assert (await market.get(path)).json()["status"] == "Cancelled"
        again = await tell(market, "POST", f"{path}/cancel", {"reason": "Too large"})
        assert (again.status_code, list(again.json())) == (409, ["message"])


async def test_what_shopping_refuses_is_said_in_its_own_words(market):
    cart = await cart_with(market)
    unpriced = await tell(market, "POST", f"{CARTS}/{cart}/items", BOWL | {"sku": "NO-SUCH-99"})
    assert unpriced.status_code == 400
    assert unpriced.json() == {
        "message": "Price not available for SKU: NO-SUCH-99. Product may not be priced yet."
    }
    empty = await tell(market, "POST", f"{CARTS}/{cart}/checkout")
    assert (empty.status_code, list(empty.json())) == (400, ["message"])


# Whose it is.


def of_carts(cart: str) -> list[tuple]:
    items = f"{CARTS}/{cart}/items"
    return [
        ("POST", items, BOWL, NO_CART),
        ("PUT", f"{items}/DOG-BOWL-01/quantity", {"newQuantity": 1}, NO_ITEM),
        ("PATCH", f"{items}/DOG-BOWL-01", {"newQuantity": 1}, NO_ITEM),
        ("DELETE", f"{items}/DOG-BOWL-01", None, NO_ITEM),
        ("POST", f"{CARTS}/{cart}/checkout", None, NO_CART),
    ]


def of_checkouts(checkout: str) -> list[tuple]:
    steps = [*ALL_STEPS, ("complete", None)]
    return [("POST", f"{CHECKOUTS}/{checkout}/{step}", body, NO_CHECKOUT) for step, body in steps]


async def test_what_is_somebody_elses_is_unknown_to_the_byte_after_one_question(market):
    cart, checkout = await cart_with(market, BOWL), await checkout_with(market)
    anonymous = await market.new_cart(None)
    bob = market.token(BOB)
    for rows, theirs, strange in (
        (of_carts, [cart, anonymous], "shopping"),
        (of_checkouts, [checkout], "orders"),
    ):
        unknown = [await tell(market, *row[:3], token=bob) for row in rows(UNKNOWN)]
        for named in [*theirs, cart.replace("-", ""), "garbage"]:
            for row, expected in zip(rows(named), unknown, strict=True):
                market.forget()
                with structlog.testing.capture_logs() as said:
                    answer = await tell(market, *row[:3], token=bob)
                assert (answer.status_code, answer.json()) == (404, row[3])
                assert answer.content == expected.content
                same = {"content-type", "content-length", "cache-control", "vary"}
                assert {n: answer.headers.get(n) for n in same} == {
                    n: expected.headers.get(n) for n in same
                }
                assert market.asked == ({strange: 1} if named in theirs else {})
                assert commands_heard(market, strange) == []
                audits = [line for line in said if line["event"] == "audit"]
                foreign = named in {cart, checkout}
                assert [(a["customer"], a["by"]) for a in audits] == [(ALICE, BOB)] * foreign


async def test_an_id_of_another_customers_own_is_refused_before_anybody_is_asked(market):
    market.forget()
    of_bob = ADDRESSES.replace(ALICE, BOB)
    with structlog.testing.capture_logs() as said:
        for path, body in (
            (f"{CARTS}/initialize", {"customerId": BOB}),
            (of_bob, CABIN),
            (ADDRESSES, CABIN | {"customerId": BOB}),
        ):
            answer = await tell(market, "POST", path, body)
            assert answer.status_code == 403
            assert answer.json()["type"] == "urn:storefront:problem:not-allowed"
    assert market.asked == {}
    audits = [line for line in said if line["event"] == "audit"]
    assert [(a["action"], a["by"], a["customer"]) for a in audits] == [("command", ALICE, BOB)] * 3


async def test_support_looks_and_does_not_act(market):
    cart = await cart_with(market, BOWL)
    market.forget()
    with structlog.testing.capture_logs() as said:
        for token in (
            market.token(None, ("support",)),
            market.token(BOB, ("support",)),
            market.token(None, ("admin",)),
        ):
            for row in of_carts(cart):
                assert (await tell(market, *row[:3], token=token)).status_code == 403
    assert market.asked == {}
    assert len([line for line in said if line["event"] == "audit"]) == 15


async def test_a_cart_is_opened_for_the_caller_where_nobody_is_named(market):
    for body in ({}, {"customerId": None}):
        cart = (await tell(market, "POST", f"{CARTS}/initialize", body)).json()
        assert market.world.carts.get(cart).customer_id == ALICE


# What goes along.


async def test_the_callers_identity_and_key_go_along_as_they_came(market):
    cart = await cart_with(market)
    market.forget()
    key, token = 'a "key" of ~ signs', market.token()
    path = f"{CARTS}/{cart}/items"
    await tell(market, "POST", path, BOWL, token=token, Idempotency_Key=key)
    cookie = {"Cookie": f"storefront={token}", "Sec-Fetch-Site": "same-origin"}
    assert (await market.browser.post(path, json=BOWL, headers=cookie)).status_code == 204
    first, second = commands_heard(market, "shopping")
    assert (first.headers["idempotency-key"], first.headers["authorization"]) == (
        key,
        f"Bearer {token}",
    )
    assert "idempotency-key" not in second.headers
    assert second.headers["authorization"] == f"Bearer {token}", "whichever way it came"
    assert "cookie" not in second.headers
    assert 0 < int(first.headers["request-timeout-ms"]) <= 20_000


async def test_a_cookie_commands_from_a_page_of_ours_only(market):
    cart = await cart_with(market)
    market.forget()
    cookie = {"Cookie": f"storefront={market.token()}"}
    for page in (
        {},
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        for row in of_carts(cart):
            answer = await market.browser.request(
                row[0], row[1], json=row[2], headers=cookie | page
            )
            assert answer.status_code == 403
    assert market.asked == {}
    nobody = await market.browser.post(f"{CARTS}/{cart}/items", json=BOWL)
    assert nobody.status_code == 401


# When a service fails.


@pytest.mark.parametrize(
    ("fault", "status", "outcome", "heard"),
    [
        (Fault(method="POST", failing=Failing.HANG), 504, "unknown", 1),
        (Fault(method="POST", failing=Failing.RESET), 502, "unknown", 1),
        (Fault(method="POST", status=500, failing=Failing.STATUS), 502, "unknown", 1),
        (Fault(method="POST", status=503, failing=Failing.STATUS), 503, "unknown", 1),
        (Fault(method="POST", status=422, failing=Failing.STATUS), 422, None, 1),
        (Fault(method="GET", failing=Failing.HANG), 503, "not-sent", 0),
        (Fault(method="GET", status=500, failing=Failing.STATUS), 503, "not-sent", 0),
    ],
)
async def test_a_failing_service_is_told_once_and_the_caller_what_is_known(
    fault, status, outcome, heard
):
    async with open_market(
        command_timeout=0.3, question_timeout=0.4, attempt_timeout=0.3
    ) as market:
        cart = await cart_with(market)
        market.forget()
        market.desks["shopping"].faults.set(fault)
        answer = await tell(market, "POST", f"{CARTS}/{cart}/items", BOWL)
        assert answer.status_code == status
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json().get("outcome") == outcome
        assert ("Retry-After" in answer.headers) == (status == 503)
        # What somebody would repeat is repeated within a moment.
        await trio.sleep(0.1)
        assert len(commands_heard(market, "shopping")) == heard


async def test_a_service_that_is_not_there_was_certainly_not_told():
    async with open_market(shopping_url="http://127.0.0.1:9") as market:
        for path, body in ((f"{CARTS}/initialize", {}), (f"{CARTS}/{UNKNOWN}/items", BOWL)):
            answer = await tell(market, "POST", path, body)
            assert (answer.status_code, answer.json()["outcome"]) == (503, "not-sent")
