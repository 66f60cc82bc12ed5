"""Orders' shapes: contracts.md section 2.2."""

from __future__ import annotations

import pytest

from storefront.demo.front import Era
from tests.demo.shop import ALICE, HOME_JSON, Counter, guid

AT = "2026-02-17T21:58:44.1234567+00:00"
LINE = '{"sku":"DOG-BOWL-01","quantity":2,"unitPrice":19.99,"lineTotal":39.98}'


async def text(answer):
    return await answer.get_data(as_text=True)


async def test_a_checkout_grows_field_by_field_and_writes_no_nulls():
    counter = Counter()
    cart_id = await counter.cart("DOG-BOWL-01")
    started = await counter.shopping.post(f"/api/carts/{cart_id}/checkout", json={})
    path = started.headers["Location"]
    head = (
        f'{{"checkoutId":"{guid(2)}","cartId":"{cart_id}","customerId":"{ALICE}",'
        f'"items":[{LINE}],"startedAt":"{AT}",'
    )
    assert await text(await counter.orders.get(path)) == (
        head + '"hasPaymentMethod":false,"isCompleted":false,"subtotal":39.98,"total":39.98}'
    )
    await counter.orders.post(f"{path}/shipping-address", json=HOME_JSON)
    await counter.orders.post(
        f"{path}/shipping-method", json={"shippingMethod": "Standard", "shippingCost": 5.99}
    )
    await counter.orders.post(f"{path}/payment-method", json={"paymentMethodToken": "tok"})
    assert await text(await counter.orders.get(path)) == (
        head + '"shippingAddress":{"addressLine1":"123 Main St","city":"Seattle",'
        '"stateOrProvince":"WA","postalCode":"98101","country":"US"},"shippingMethod":"Standard",'
        '"shippingCost":5.99,"hasPaymentMethod":true,"isCompleted":false,"subtotal":39.98,'
        '"total":45.97}'
    )


async def test_each_step_answers_200_with_the_recorded_event():
    counter = Counter()
    cart_id = await counter.cart("DOG-BOWL-01")
    path = (await counter.shopping.post(f"/api/carts/{cart_id}/checkout", json={})).headers[
        "Location"
    ]
    address = await counter.orders.post(f"{path}/shipping-address", json=HOME_JSON)
    method = await counter.orders.post(
        f"{path}/shipping-method", json={"shippingMethod": "Express", "shippingCost": 12.99}
    )
    payment = await counter.orders.post(
        f"{path}/payment-method", json={"paymentMethodToken": "tok"}
    )
    assert [a.status_code for a in (address, method, payment)] == [200] * 3
    assert (await text(address)).endswith(f'"country":"US","providedAt":"{AT}"}}')
    assert (
        await text(method)
        == f'{{"shippingMethod":"Express","shippingCost":12.99,"selectedAt":"{AT}"}}'
    )
    assert await text(payment) == f'{{"paymentMethodToken":"tok","providedAt":"{AT}"}}'


async def test_completing_answers_the_order_id_and_begins_its_way():
    counter = Counter()
    answer = await counter.orders.post(f"{await counter.checkout()}/complete", json={})
    assert answer.status_code == 200
    order_id = (await answer.get_json())["orderId"]
    assert await text(answer) == f'{{"orderId":"{order_id}"}}'
    assert counter.begun == [order_id]
    assert counter.waiting.names == ["Shopping.ItemAdded", "Orders.OrderPlaced"]


async def test_the_seed_answers_a_completion_with_its_event():
    counter = Counter(era=Era.SEED)
    path = await counter.checkout("DOG-BOWL-01", unitPrice=19.99)
    answer = await counter.orders.post(f"{path}/complete", json={})
    assert await text(answer) == f'{{"orderId":"{guid(3)}","completedAt":"{AT}"}}'


@pytest.mark.parametrize(
    ("era", "kind"),
    [(Era.NEW, "application/json; charset=utf-8"), (Era.SEED, "application/problem+json")],
)
async def test_a_checkout_completes_once_and_refuses_in_its_eras_words(era, kind):
    counter = Counter(era=era)
    path = await counter.checkout("DOG-BOWL-01", unitPrice=19.99)
    await counter.orders.post(f"{path}/complete", json={})
    again = await counter.orders.post(f"{path}/complete", json={})
    unknown = await counter.orders.post(f"/api/checkouts/{guid(99)}/complete", json={})
    assert (again.status_code, unknown.status_code) == (400, 404)
    assert again.headers["Content-Type"] == kind
    told = await again.get_json(force=True)
    assert told["detail"] == "Checkout has already been completed"
    assert (list(told) == ["detail"]) is (era is Era.NEW)


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("destination", "Shipping address is required to complete checkout"),
        ("shipping_method", "Shipping method is required to complete checkout"),
        ("payment_token", "Payment method is required to complete checkout"),
        ("customer_id", "Customer is required to place an order"),
    ],
)
async def test_a_checkout_does_not_complete_with_something_missing(missing, words):
    counter = Counter()
    path = await counter.checkout()
    setattr(counter.world.checkouts.get(path.rpartition("/")[2]), missing, None)
    answer = await counter.orders.post(f"{path}/complete", json={})
    assert (answer.status_code, await answer.get_json()) == (400, {"detail": words})
    assert counter.begun == []


async def test_a_completed_checkout_cannot_be_changed():
    counter = Counter()
    path = await counter.checkout()
    await counter.orders.post(f"{path}/complete", json={})
    answer = await counter.orders.post(f"{path}/payment-method", json={"paymentMethodToken": "tok"})
    assert answer.status_code == 400
    assert (await answer.get_json(force=True))["detail"] == "Cannot modify a completed checkout"


@pytest.mark.parametrize(
    ("step", "wish", "field"),
    [
        ("shipping-address", HOME_JSON | {"addressLine1": "x" * 201}, "AddressLine1"),
        ("shipping-address", HOME_JSON | {"postalCode": "x" * 21}, "PostalCode"),
        ("shipping-method", {"shippingMethod": "Standard", "shippingCost": -1}, "ShippingCost"),
        ("payment-method", {"paymentMethodToken": "x" * 501}, "PaymentMethodToken"),
    ],
)
async def test_the_limits_of_a_checkout_are_kept(step, wish, field):
    counter = Counter()
    answer = await counter.orders.post(f"{await counter.checkout()}/{step}", json=wish)
    assert answer.status_code == 400
    assert list((await answer.get_json(force=True))["errors"]) == [field]


async def test_an_order_is_told_whole_and_in_a_bare_array_of_summaries():
    counter = Counter()
    placed = await counter.orders.post(f"{await counter.checkout()}/complete", json={})
    order_id = (await placed.get_json())["orderId"]
    assert await text(await counter.orders.get(f"/api/orders/{order_id}")) == (
        f'{{"orderId":"{order_id}","customerId":"{ALICE}","lineItems":[{LINE}],'
        '"shippingAddress":{"street":"123 Main St","city":"Seattle","state":"WA",'
        '"postalCode":"98101","country":"US"},"shippingMethod":"Standard","totalAmount":45.97,'
        f'"status":"Placed","placedAt":"{AT}"}}'
    )
    assert await text(await counter.orders.get(f"/api/orders?customerId={ALICE}")) == (
        f'[{{"orderId":"{order_id}","customerId":"{ALICE}","placedAt":"{AT}","status":"Placed",'
        '"totalAmount":45.97,"itemCount":1}]'
    )


async def test_orders_are_nobodys_without_a_customer():
    counter = Counter()
    answer = await counter.orders.get("/api/orders")
    assert (answer.status_code, list(await answer.get_json())) == (400, ["error"])
    assert await (await counter.orders.get(f"/api/orders?customerId={guid(7)}")).get_json() == []


async def test_an_order_is_found_by_its_whole_id_only():
    counter = Counter()
    placed = await counter.orders.post(f"{await counter.checkout()}/complete", json={})
    order_id = (await placed.get_json())["orderId"]
    found = await (await counter.orders.get(f"/api/orders/search?query={order_id}")).get_json()
    partly = await (await counter.orders.get(f"/api/orders/search?query={order_id[:8]}")).get_json()
    assert (found["totalCount"], found["orders"][0]["orderId"]) == (1, order_id)
    assert partly == {"query": order_id[:8], "totalCount": 0, "orders": []}


async def test_an_order_is_called_off_with_a_reason_and_once():
    counter = Counter()
    placed = await counter.orders.post(f"{await counter.checkout()}/complete", json={})
    path = f"/api/orders/{(await placed.get_json())['orderId']}"
    answers = [
        await counter.orders.post(f"{path}/cancel", json={"reason": " "}),
        await counter.orders.post(f"{path}/cancel", json={"reason": "changed my mind"}),
        await counter.orders.post(f"{path}/cancel", json={"reason": "changed my mind"}),
        await counter.orders.post(f"/api/orders/{guid(99)}/cancel", json={"reason": "no"}),
    ]
    assert [a.status_code for a in answers] == [400, 202, 409, 404]
    assert counter.waiting.names[-1] == "Orders.OrderCancelled"


async def test_only_what_was_delivered_can_be_returned():
    counter = Counter()
    placed = await counter.orders.post(f"{await counter.checkout()}/complete", json={})
    order_id = (await placed.get_json())["orderId"]
    path = f"/api/orders/{order_id}/returnable-items"
    assert (await counter.orders.get(path)).status_code == 400
    counter.world.orders.get(order_id).status = "Delivered"
    assert (
        await text(await counter.orders.get(path)) == f'{{"orderId":"{order_id}","items":[{LINE}]}}'
    )
