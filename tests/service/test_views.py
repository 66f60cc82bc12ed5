"""The views over real HTTP, against the simulated services of both ages (contracts.md section 3.1)."""

from __future__ import annotations

import re
import time

import pytest
import structlog
import trio

from storefront.demo.faults import Failing, Fault
from storefront.demo.front import Era
from storefront.store.contract import Recording
from storefront.web import views as web_views
from tests.service.browsers import open_tab
from tests.service.market import ALICE, BOB, STEPS, open_market

UNKNOWN = "00000000-0000-4000-8000-0000000000ff"
LINE = {"sku", "productName", "productImageUrl", "quantity", "unitPrice", "lineTotal"}


@pytest.fixture
async def market():
    async with open_market() as opened:
        yield opened


def states(view) -> dict[str, str]:
    return {name: source["state"] for name, source in view["meta"]["sources"].items()}


def without_meta(view: dict) -> dict:
    return {name: value for name, value in view.items() if name not in {"isStale", "meta"}}


# Carts.


@pytest.mark.parametrize(
    ("lines", "subtotal"),
    [
        ([("CAT-TOY-05", 2)], "59.98"),
        ([("CAT-TOY-05", 5)], "149.95"),
        ([("DOG-BOWL-01", 2), ("CAT-TOY-05", 1)], "69.97"),
        ([("DOG-BOWL-01", 2)], "39.98"),
    ],
)
async def test_a_cart_comes_to_what_the_real_system_says(market, lines, subtotal):
    cart = await market.filled_cart(*lines)
    answers = [
        await market.get(path)
        for path in (f"/api/carts/{ALICE}/view", f"/api/storefront/carts/{cart}")
    ]
    for answer in answers:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "application/json"
        assert f'"subtotal":{subtotal}' in answer.text
        view = answer.json()
        assert (view["cartId"], view["customerId"]) == (cart, ALICE)
        assert [(item["sku"], item["quantity"]) for item in view["items"]] == lines
        assert all(set(item) == LINE for item in view["items"])
        assert view["items"][0]["productImageUrl"].endswith(f"{lines[0][0]}.svg")
        assert sorted(states(view)) == ["catalog", "shopping"]
        assert view["meta"]["complete"] is True
    assert without_meta(answers[0].json()) == without_meta(answers[1].json())


async def test_quantities_change_as_the_cart_does(market):
    cart = await market.filled_cart(("CAT-TOY-05", 2))
    path = f"/api/carts/{ALICE}/view"
    assert '"subtotal":59.98' in (await market.get(path)).text
    await market.tell(
        "shopping", "PUT", f"/api/carts/{cart}/items/CAT-TOY-05/quantity", newQuantity=5
    )
    while '"subtotal":149.95' not in (await market.get(path)).text:
        await trio.sleep(0.01)
    await market.tell("shopping", "DELETE", f"/api/carts/{cart}/items/CAT-TOY-05")
    while (await market.get(path)).json()["items"]:
        await trio.sleep(0.01)


async def test_without_a_cart_the_document_s_path_is_empty_and_the_alias_not_found(market):
    answer = await market.get(f"/api/carts/{ALICE}/view")
    assert answer.status_code == 200
    assert without_meta(answer.json()) == {
        "cartId": None, "customerId": ALICE, "items": [], "subtotal": 0,
    }  # fmt: skip
    missing = await market.get(f"/api/storefront/carts/{UNKNOWN}")
    assert missing.status_code == 404
    assert missing.json()["type"] == "urn:storefront:problem:not-found"


async def test_a_product_that_catalog_lost_keeps_its_line(market):
    cart = await market.filled_cart(("DOG-BOWL-01", 2))
    del market.world.products["DOG-BOWL-01"]
    view = (await market.get(f"/api/storefront/carts/{cart}")).json()
    [item] = view["items"]
    assert (item["productName"], item["productImageUrl"]) == ("Unknown Product", "")
    assert (view["subtotal"], view["meta"]["complete"]) == (39.98, True)


async def test_one_question_for_each_sku_and_none_for_what_was_not_asked(market):
    cart = await market.filled_cart(("DOG-BOWL-01", 1), ("CAT-TOY-05", 1))
    market.forget()
    await market.get(f"/api/storefront/carts/{cart}")
    assert market.asked == {"shopping": 1, "catalog": 2}
    deep = await market.get(f"/api/storefront/carts/{cart}?include=details,prices&include=stock")
    first = deep.json()["items"][0]
    assert (first["currentPrice"], first["stock"] > 0) == (19.99, True)
    assert first["details"]["category"] == "Dogs"


# Checkouts.


async def test_a_checkout_moves_from_step_to_step(market):
    cart = await market.filled_cart(("DOG-BOWL-01", 2))
    checkout = await market.new_checkout(cart)
    paths = [f"/api/checkouts/{checkout}/view", f"/api/storefront/checkouts/{checkout}"]
    seen = []
    for step, wish in (("", {}), *STEPS):
        if step:
            await market.tell("orders", "POST", f"/api/checkouts/{checkout}/{step}", **wish)
        # What changes a checkout is told by no event; a reader who just said so wants no cache.
        await market.store.renew_generation(ALICE, now=time.time())
        views = [(await market.get(path)).json() for path in paths]
        assert without_meta(views[0]) == without_meta(views[1])
        seen.append((views[0]["currentStep"], views[0]["shippingCost"], views[0]["total"]))
    assert seen == [(1, None, 39.98), (2, None, 39.98), (3, 5.99, 45.97), (4, 5.99, 45.97)]
    assert [one["nickname"] for one in views[0]["savedAddresses"]] == ["Home", "Work"]
    assert views[0]["savedAddresses"][0]["displayLine"] == "123 Main St, Seattle, WA 98101, US"
    assert {"orders", "customer_identity", "catalog"} == set(states(views[0]))
    assert (await market.get(f"/api/checkouts/{UNKNOWN}/view")).status_code == 404


# Orders.


async def test_an_order_is_followed_to_the_door_of_the_customer(market):
    order = await market.place_order(await market.filled_cart(("DOG-BOWL-01", 2)))
    await market.heard(ALICE, "shipment", "Delivered")
    for path in (f"/api/orders/{order}/view", f"/api/storefront/orders/{order}"):
        answer = await market.get(path)
        assert '"totalAmount":45.97' in answer.text
        view = answer.json()
        assert (view["orderId"], view["status"]) == (order, "Delivered")
        assert view["placedAt"]
        assert view["payment"] == {"status": "Captured", "amount": 45.97}
        [shipment] = view["shipments"]
        assert (shipment["status"], bool(shipment["trackingNumber"])) == ("Delivered", True)
        assert sorted(states(view)) == ["fulfillment", "orders", "payments"]
        assert view["meta"]["complete"] is True
    assert (await market.get(f"/api/orders/{UNKNOWN}/view")).status_code == 404


async def test_with_the_older_services_the_events_tell_of_payment_and_shipment():
    async with open_market(Era.SEED) as market:
        cart = await market.new_cart()
        wish = {"sku": "DOG-BOWL-01", "quantity": 2, "unitPrice": 19.99}
        await market.tell("shopping", "POST", f"/api/carts/{cart}/items", **wish)
        checkout = await market.new_checkout(cart)
        view = (await market.get(f"/api/checkouts/{checkout}/view")).json()
        assert (view["savedAddresses"][0]["city"], view["subtotal"]) == (None, 39.98)
        order = await market.order_of(checkout)
        await market.heard(ALICE, "shipment", "Delivered")
        view = (await market.get(f"/api/orders/{order}/view")).json()
        assert states(view) == {"orders": "ok", "payments": "absent", "fulfillment": "absent", "events": "ok"}  # fmt: skip
        assert view["meta"]["complete"] is True
        [shipment] = view["shipments"]
        assert (shipment["status"], bool(shipment["trackingNumber"])) == ("Delivered", True)
        assert (await market.get("/api/products")).json()["totalCount"] == 12


async def test_the_history_is_a_bare_array_with_its_meta_in_a_header(market):
    first = await market.place_order(await market.filled_cart(("DOG-BOWL-01", 1)))
    second = await market.place_order(await market.filled_cart(("CAT-TOY-05", 1)))
    for path in (
        "/api/orders",
        f"/api/orders?customerId={ALICE}",
        f"/api/storefront/orders?customerId={ALICE}",
    ):
        answer = await market.get(path)
        assert [one["orderId"] for one in answer.json()] == [second, first]
        assert set(answer.json()[0]) == {
            "orderId", "customerId", "placedAt", "status", "totalAmount", "itemCount",
        }  # fmt: skip
        assert '"freshness":' in answer.headers["Storefront-Meta"]
    bobs = await market.get(f"/api/orders?customerId={BOB}", market.token(BOB))
    assert (bobs.status_code, bobs.text) == (200, "[]")


# Products.


async def test_the_listing_is_everybodys(market):
    for path in ("/api/products", "/api/storefront/products"):
        answer = await market.get(f"{path}?category=Dogs&page=1&pageSize=2", None)
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "public, no-cache"
        assert '"price":89.00' in answer.text
        view = answer.json()
        assert (view["totalCount"], view["page"], view["pageSize"]) == (3, 1, 2)
        assert [one["sku"] for one in view["products"]] == ["DOG-BED-02", "DOG-BOWL-01"]
        assert set(view["products"][0]) == {
            "sku", "name", "price", "primaryImageUrl", "category", "isInStock",
        }  # fmt: skip
        assert view["products"][0]["isInStock"] is True
        assert view["meta"]["streamPosition"] is None


async def test_a_price_and_a_stock_that_nobody_knows_are_null():
    async with open_market(optional=False) as market:
        view = (await market.get("/api/products", None)).json()
        assert len(view["products"]) == 12
        assert {one["price"] for one in view["products"]} == {None}
        assert {one["isInStock"] for one in view["products"]} == {None}
        assert states(view) == {"catalog": "ok", "pricing": "absent", "inventory": "absent"}


@pytest.mark.parametrize(
    ("query", "page", "size"),
    [("", 1, 20), ("?page=0&pageSize=0", 1, 20), ("?page=-1&pageSize=500", 1, 100), ("?page=7&pageSize=3", 7, 3)],
)  # fmt: skip
async def test_pages_are_clamped(market, query, page, size):
    view = (await market.get(f"/api/storefront/products{query}", None)).json()
    assert (view["page"], view["pageSize"]) == (page, size)


# Whose it is.


async def things_of_bob(market) -> dict[str, str]:
    cart = await market.filled_cart(("DOG-BOWL-01", 1), customer=BOB)
    other = await market.filled_cart(("DOG-BOWL-01", 1), customer=BOB)
    checkout = await market.new_checkout(other)
    order = await market.place_order(await market.filled_cart(("CAT-TOY-05", 1), customer=BOB))
    await market.heard(BOB, "shipment", "Delivered")
    return {
        f"/api/storefront/carts/{cart}": "shopping",
        f"/api/checkouts/{checkout}/view": "orders",
        f"/api/storefront/checkouts/{checkout}": "orders",
        f"/api/orders/{order}/view": "orders",
        f"/api/storefront/orders/{order}": "orders",
    }


async def test_another_customers_things_look_like_unknown_ones_after_one_question(market):
    for path, owner in (await things_of_bob(market)).items():
        assert (await market.get(path, market.token(BOB))).status_code == 200
        market.forget()
        with structlog.testing.capture_logs() as logs:
            foreign = await market.get(path)
        assert market.asked == {owner: 1}
        thing = next(part for part in path.split("/") if len(part) == 36)
        unknown = await market.get(path.replace(thing, UNKNOWN))
        for answer in (foreign, unknown):
            assert answer.status_code == 404
            for changing in ("Date", "date"):
                answer.headers.pop(changing, None)
        assert foreign.content == unknown.content
        assert foreign.headers == unknown.headers
        assert [
            (line["outcome"], line["customer"]) for line in logs if line["event"] == "audit"
        ] == [("refused", BOB)]
        # Nor is anything kept under the name of whoever asked.
        market.forget()
        await market.get(path)
        assert market.asked == {owner: 1}


@pytest.mark.parametrize(
    "path",
    [f"/api/carts/{BOB}/view", f"/api/orders?customerId={BOB}", f"/api/storefront/orders?customerId={BOB}"],
)  # fmt: skip
async def test_another_customers_name_is_refused_without_a_question(market, path):
    await market.filled_cart(("DOG-BOWL-01", 1), customer=BOB)
    market.forget()
    with structlog.testing.capture_logs() as logs:
        answer = await market.get(path)
    assert answer.status_code == 403
    assert answer.json()["type"] == "urn:storefront:problem:not-allowed"
    assert market.asked == {}
    assert [(line["outcome"], line["customer"]) for line in logs if line["event"] == "audit"] == [
        ("refused", BOB)
    ]


async def test_support_reads_everything_and_each_reading_leaves_a_line(market):
    token = market.token(None, roles=("support",))
    paths = [
        *(await things_of_bob(market)),
        f"/api/carts/{BOB}/view",
        f"/api/orders?customerId={BOB}",
    ]
    for path in paths:
        with structlog.testing.capture_logs() as logs:
            answer = await market.get(path, token)
        assert answer.status_code == 200, path
        [line] = [line for line in logs if line["event"] == "audit"]
        assert (line["action"], line["outcome"], line["customer"]) == ("view", "allowed", BOB)
        assert line["roles"] == ["support"]


async def test_a_cart_without_a_customer_is_not_found_by_anybody(market):
    cart = await market.new_cart(None)
    for token in (market.token(), market.token(BOB), market.token(None, roles=("support",))):
        assert (await market.get(f"/api/storefront/carts/{cart}", token)).status_code == 404


async def test_a_cart_that_shopping_gives_to_somebody_else_is_refused(market):
    cart = await market.filled_cart(("DOG-BOWL-01", 1))
    market.world.carts.get(cart).customer_id = BOB
    # Past what may be kept of it.
    await market.store.renew_generation(ALICE, now=time.time())
    answer = await market.get(f"/api/carts/{ALICE}/view")
    assert answer.status_code == 503
    assert BOB not in answer.text
    assert answer.json()["type"] == "urn:storefront:problem:not-available"


# When services fail.


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        (Fault(failing=Failing.STATUS, status=500), "error"),
        (Fault(failing=Failing.RESET), "error"),
        (Fault(failing=Failing.WRONG_SHAPE), "error"),
        (Fault(failing=Failing.HANG), "timeout"),
    ],
    ids=lambda value: value.failing.value if isinstance(value, Fault) else value,
)
async def test_a_catalog_that_fails_costs_the_names_and_not_the_cart(fault, state):
    async with open_market(enrichment_timeout=1.0) as market:
        cart = await market.filled_cart(("DOG-BOWL-01", 2))
        market.desks["catalog"].faults.set(fault)
        view = (await market.get(f"/api/storefront/carts/{cart}")).json()
        assert [item["productName"] for item in view["items"]] == ["Unknown Product"]
        assert view["subtotal"] == 39.98
        assert states(view) == {"shopping": "ok", "catalog": state}
        assert view["meta"]["complete"] is False


async def test_an_owner_that_hangs_is_given_up_at_the_deadline_and_503_says_when_to_come_back():
    async with open_market(views={"view_deadline": 0.5}) as market:
        await market.filled_cart(("DOG-BOWL-01", 2))
        market.desks["shopping"].faults.set(Fault(failing=Failing.HANG))
        began = trio.current_time()
        answer = await market.get(f"/api/carts/{ALICE}/view")
        took = trio.current_time() - began
        assert answer.status_code == 503
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["type"] == "urn:storefront:problem:not-available"
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert 0.5 <= took < 5
        market.desks["shopping"].faults.clear()
        assert (await market.get(f"/api/carts/{ALICE}/view")).status_code == 200


async def test_with_shopping_gone_the_cart_is_the_old_one_and_says_so(market):
    await market.filled_cart(("DOG-BOWL-01", 2))
    path = f"/api/carts/{ALICE}/view"
    first = await market.get(path)
    assert (first.json()["isStale"], first.json()["meta"]["freshness"]) == (False, "live")
    market.desks["shopping"].faults.set(Fault(failing=Failing.RESET))
    # As fresh as a cache may be; past its thirty seconds; and an event has come that nobody can show yet.
    for step, freshness in enumerate(("cached", "expired", "expired")):
        market.clock.ahead = 31.0 if step else 0.0
        if step == 2:
            await market.store.renew_generation(ALICE, now=market.clock())
        answer = await market.get(path)
        view = answer.json()
        assert answer.status_code == 200
        assert (view["isStale"], view["meta"]["freshness"]) == (True, freshness)
        assert without_meta(view) == without_meta(first.json())
        assert view["meta"]["streamPosition"] == first.json()["meta"]["streamPosition"]
        assert answer.headers["Cache-Status"].startswith("storefront; ")
    # What the browser has may not be called right by something that is known to be old.
    assert (await market.get(path, If_None_Match=first.headers["ETag"])).status_code == 200


# Headers.


async def test_what_the_browser_has_is_not_sent_again(market):
    await market.filled_cart(("DOG-BOWL-01", 2))
    path = f"/api/carts/{ALICE}/view"
    answer = await market.get(path)
    assert answer.headers["Cache-Control"] == "private, no-cache"
    vary = {name.strip() for name in answer.headers["Vary"].split(",")}
    assert vary == {"Accept", "Authorization", "Cookie", "Origin"}
    assert answer.headers["Cache-Status"].startswith("storefront; ")
    tag = answer.headers["ETag"]
    assert tag.startswith('W/"')
    again = await market.get(path, If_None_Match=f'"other", {tag}')
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    assert again.headers["Cache-Control"] == "private, no-cache"
    assert "Content-Type" not in again.headers
    assert (await market.get(path, If_None_Match='W/"other"')).status_code == 200


async def test_head_is_get_without_a_body(market):
    await market.filled_cart(("DOG-BOWL-01", 2))
    path = f"/api/carts/{ALICE}/view"
    head = await market.get(path, method="HEAD")
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["Content-Length"]) > 300
    assert head.headers["ETag"] == (await market.get(path)).headers["ETag"]
    assert (await market.get(path, method="HEAD", If_None_Match="*")).status_code == 304


async def test_a_page_can_open_its_stream_where_the_view_ends(market):
    cart = await market.filled_cart(("DOG-BOWL-01", 2))
    position = (await market.get(f"/api/storefront/carts/{cart}")).json()["meta"]["streamPosition"]
    assert position == str(await market.store.position(ALICE, now=time.time()))
    later = Recording(message_id="m-later", customer=ALICE, payload=b'{"eventType":"later"}')
    await market.store.record([later], now=time.time())
    async with open_tab(market.shop.app, market.token(), Last_Event_ID=position) as tab:
        while {"eventType": "later"} not in tab.events:
            await trio.sleep(0.01)
    assert tab.controls("stream")[0]["mode"] == "resumed"
    assert len(tab.events) == 1


async def test_a_fresh_cart_is_answered_past_quart_to_the_byte_as_by_it(market, monkeypatch):
    by_quart = []
    real = web_views.respond

    def respond(asked, *args, **kwargs):
        by_quart.append(asked.query_string)
        return real(asked, *args, **kwargs)

    monkeypatch.setattr(web_views, "respond", respond)
    await market.filled_cart(("CAT-TOY-05", 2))
    path = f"/api/carts/{ALICE}/view"
    assert (await market.get(path)).json()["meta"]["freshness"] == "live"
    for headers in ({}, {"If_None_Match": "*"}, {"Origin": "http://localhost:5238"}):
        with structlog.testing.capture_logs() as lines:
            short = await market.get(path, **headers)
            # A query is nothing for the short way, and this one asks for nothing.
            whole = await market.get(f"{path}?include=", **headers)
        assert (
            short.status_code == whole.status_code == (304 if "If_None_Match" in headers else 200)
        )
        assert told(short) == told(whole)
        assert ages_out(short.text) == ages_out(whole.text)
        requests = [line for line in lines if line["event"] == "request"]
        assert [line["route"] for line in requests] == ["/api/carts/<customer_id>/view"] * 2
    assert by_quart == [b"", *[b"include="] * 3]


@pytest.mark.parametrize(
    ("ask", "status"),
    [
        ({"token": None}, 401),
        ({"token": BOB}, 403),
        ({"method": "HEAD"}, 200),
        ({"Accept": "text/html"}, 406),
    ],
)
async def test_what_is_more_than_a_fresh_cart_is_for_quart(market, ask, status):
    await market.filled_cart(("CAT-TOY-05", 2))
    path = f"/api/carts/{ALICE}/view"
    await market.get(path)
    if ask.get("token") == BOB:
        ask = {"token": market.token(BOB)}
    answer = await market.get(path, **ask)
    assert answer.status_code == status
    assert b"CAT-TOY-05" not in answer.content


def told(answer) -> dict[str, str]:
    return {n: ages_out(v) for n, v in sorted(answer.headers.items()) if n != "date"}


def ages_out(text: str) -> str:
    # Nor the length: an age may have a digit more.
    return re.sub(r'(?<="ageMs":)\d+|(?<=ttl=)\d+|^\d+$', "", text)
