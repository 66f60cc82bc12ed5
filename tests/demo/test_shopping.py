"""Shopping's shapes: contracts.md section 2.1."""

from __future__ import annotations

import pytest

from storefront.demo.front import Era
from tests.demo.shop import ALICE, Counter, guid

AT = "2026-02-17T21:58:44.1234567+00:00"


async def text(answer):
    return await answer.get_data(as_text=True)


async def test_a_new_cart_is_told_by_location_and_body():
    counter = Counter()
    answer = await counter.shopping.post(
        "/api/carts", json={"customerId": ALICE, "sessionId": None}
    )
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/api/carts/{guid(1)}"
    assert await text(answer) == f'{{"value":"{guid(1)}","url":"/api/carts/{guid(1)}"}}'
    assert counter.waiting.names == []


async def test_a_cart_is_written_with_its_nulls_omitted_and_its_money_to_the_cent():
    counter = Counter()
    cart_id = await counter.cart("DOG-BOWL-01", "CAT-TREE-06")
    answer = await counter.shopping.get(f"/api/carts/{cart_id}")
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert await text(answer) == (
        f'{{"cartId":"{cart_id}","customerId":"{ALICE}","initializedAt":"{AT}","items":['
        '{"sku":"DOG-BOWL-01","quantity":2,"unitPrice":19.99,"lineTotal":39.98},'
        '{"sku":"CAT-TREE-06","quantity":2,"unitPrice":129.90,"lineTotal":259.80}],'
        '"status":"Active","totalAmount":299.78,"appliedDiscount":0,"discountedTotal":299.78}'
    )


async def test_the_seed_knew_no_coupons():
    counter = Counter(era=Era.SEED)
    cart_id = await counter.cart("DOG-BOWL-01", unitPrice=19.90)
    assert await text(await counter.shopping.get(f"/api/carts/{cart_id}")) == (
        f'{{"cartId":"{cart_id}","customerId":"{ALICE}","initializedAt":"{AT}","items":['
        '{"sku":"DOG-BOWL-01","quantity":2,"unitPrice":19.9,"lineTotal":39.8}],'
        '"status":"Active","totalAmount":39.8}'
    )


async def test_a_price_named_by_the_caller_keeps_the_digits_it_came_with():
    counter = Counter(era=Era.SEED)
    cart_id = await counter.cart()
    await counter.shopping.post(
        f"/api/carts/{cart_id}/items",
        data=b'{"sku":"X","quantity":3,"unitPrice":19.90}',
        headers={"Content-Type": "application/json"},
    )
    assert '"unitPrice":19.90,"lineTotal":59.70' in await text(
        await counter.shopping.get(f"/api/carts/{cart_id}")
    )


async def test_the_price_comes_from_pricing_whatever_the_caller_says():
    counter = Counter()
    cart_id = await counter.cart("DOG-BOWL-01", unitPrice=0.01)
    assert '"unitPrice":19.99' in await text(await counter.shopping.get(f"/api/carts/{cart_id}"))


async def test_what_has_no_price_cannot_be_bought():
    counter = Counter()
    cart_id = await counter.cart()
    answer = await counter.shopping.post(
        f"/api/carts/{cart_id}/items", json={"sku": "NO-SUCH", "quantity": 1}
    )
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (await answer.get_json(force=True))["detail"] == (
        "Price not available for SKU: NO-SUCH. Product may not be priced yet."
    )


async def test_commands_answer_204_and_cause_one_message_each():
    counter = Counter()
    cart_id = await counter.cart("DOG-BOWL-01")
    path = f"/api/carts/{cart_id}"
    changed = await counter.shopping.put(
        f"{path}/items/DOG-BOWL-01/quantity", json={"newQuantity": 5}
    )
    coupon = await counter.shopping.post(f"{path}/apply-coupon", json={"couponCode": "WELCOME10"})
    none = await counter.shopping.delete(f"{path}/apply-coupon")
    removed = await counter.shopping.delete(f"{path}/items/DOG-BOWL-01")
    assert [a.status_code for a in (changed, coupon, none, removed)] == [204] * 4
    assert counter.waiting.names == [
        "Shopping.ItemAdded",
        "Shopping.ItemQuantityChanged",
        "Shopping.CouponApplied",
        "Shopping.CouponRemoved",
        "Shopping.ItemRemoved",
    ]


async def test_a_coupon_shows_in_the_cart():
    counter = Counter()
    cart_id = await counter.cart("DOG-BOWL-01")
    await counter.shopping.post(
        f"/api/carts/{cart_id}/apply-coupon", json={"couponCode": "TREATS25"}
    )
    told = await text(await counter.shopping.get(f"/api/carts/{cart_id}"))
    # A quarter of 39.98 is 9.995: banker's rounding, as .NET's Math.Round.
    assert told.endswith(
        '"appliedCouponCode":"TREATS25","appliedDiscount":10.00,"discountedTotal":29.98}'
    )


async def test_a_cleared_cart_is_terminal():
    counter = Counter()
    cart_id = await counter.cart("DOG-BOWL-01")
    cleared = await counter.shopping.delete(f"/api/carts/{cart_id}?reason=changed+my+mind")
    again = await counter.shopping.delete(f"/api/carts/{cart_id}")
    assert (cleared.status_code, again.status_code) == (204, 400)
    assert (await (await counter.shopping.get(f"/api/carts/{cart_id}")).get_json())[
        "status"
    ] == "Cleared"


async def test_a_reason_has_two_hundred_characters_at_most():
    counter = Counter()
    cart_id = await counter.cart("DOG-BOWL-01")
    answer = await counter.shopping.delete(f"/api/carts/{cart_id}?reason={'x' * 201}")
    assert answer.status_code == 400


async def test_a_checkout_is_created_in_the_new_spelling_and_told_as_an_event_in_the_old():
    new, old = Counter(), Counter(era=Era.SEED)
    created = await new.shopping.post(
        f"/api/carts/{await new.cart('DOG-BOWL-01')}/checkout", json={}
    )
    checkout_id = guid(2)
    assert (created.status_code, created.headers["Location"]) == (
        201,
        f"/api/checkouts/{checkout_id}",
    )
    assert (
        await text(created) == f'{{"value":"{checkout_id}","url":"/api/checkouts/{checkout_id}"}}'
    )
    cart_id = await old.cart("DOG-BOWL-01", unitPrice=19.99)
    told = await old.shopping.post(f"/api/carts/{cart_id}/checkout", json={})
    assert told.status_code == 200
    assert await text(told) == (
        f'{{"cartId":"{cart_id}","checkoutId":"{checkout_id}","customerId":"{ALICE}","items":['
        f'{{"sku":"DOG-BOWL-01","quantity":2,"unitPrice":19.99}}],"initiatedAt":"{AT}"}}'
    )


async def test_an_unknown_cart_is_404_empty_when_read_and_a_problem_when_changed():
    counter = Counter()
    read = await counter.shopping.get(f"/api/carts/{guid(9)}")
    changed = await counter.shopping.delete(f"/api/carts/{guid(9)}/items/DOG-BOWL-01")
    assert (read.status_code, await text(read)) == (404, "")
    assert changed.status_code == 404
    assert await changed.get_json(force=True) == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "Cart not found",
    }


async def test_an_unknown_item_is_404():
    counter = Counter()
    cart_id = await counter.cart()
    answer = await counter.shopping.put(
        f"/api/carts/{cart_id}/items/NO/quantity", json={"newQuantity": 1}
    )
    assert answer.status_code == 404
    assert (await answer.get_json(force=True))["detail"] == "Item NO not found in cart"


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"sku": "DOG-BOWL-01", "quantity": 0}, "Quantity"),
        ({"sku": "DOG-BOWL-01", "quantity": 2**31}, "Quantity"),
        ({"sku": "", "quantity": 1}, "Sku"),
        ({"sku": "X" * 51, "quantity": 1}, "Sku"),
    ],
)
async def test_a_wrong_field_is_named_as_fluent_validation_names_it(wish, field):
    counter = Counter()
    cart_id = await counter.cart()
    answer = await counter.shopping.post(f"/api/carts/{cart_id}/items", json=wish)
    problem = await answer.get_json(force=True)
    assert (answer.status_code, list(problem["errors"])) == (400, [field])
    assert problem["title"] == "One or more validation errors occurred."


@pytest.mark.parametrize("price", ["null", "0", "-1", "1e400", "10000000000"])
async def test_the_seed_takes_no_price_that_is_none(price):
    counter = Counter(era=Era.SEED)
    cart_id = await counter.cart()
    answer = await counter.shopping.post(
        f"/api/carts/{cart_id}/items",
        data=f'{{"sku":"X","quantity":1,"unitPrice":{price}}}'.encode(),
    )
    assert answer.status_code == 400


async def test_a_body_that_is_no_json_is_400():
    counter = Counter()
    answer = await counter.shopping.post("/api/carts", data=b"{")
    assert answer.status_code == 400


async def test_a_cart_belongs_to_a_customer_or_a_session():
    counter = Counter()
    nobody = await counter.shopping.post("/api/carts", json={})
    visitor = await counter.shopping.post("/api/carts", json={"sessionId": "s-1"})
    assert (nobody.status_code, visitor.status_code) == (400, 201)
    cart = await (await counter.shopping.get(visitor.headers["Location"])).get_json()
    assert "customerId" not in cart
    assert cart["sessionId"] == "s-1"


async def test_ids_are_found_in_any_spelling_and_garbage_is_404():
    counter = Counter()
    cart_id = await counter.cart()
    assert (await counter.shopping.get(f"/api/carts/{cart_id.upper()}")).status_code == 200
    assert (await counter.shopping.get("/api/carts/garbage")).status_code == 404


async def test_a_customers_id_finds_their_cart_only_in_the_design_documents_spelling():
    real, documented = Counter(), Counter(by_customer=True)
    cart_id = await documented.cart("DOG-BOWL-01")
    await real.cart("DOG-BOWL-01")
    assert (await real.shopping.get(f"/api/carts/{ALICE}")).status_code == 404
    told = await (await documented.shopping.get(f"/api/carts/{ALICE}")).get_json()
    assert told["cartId"] == cart_id


async def test_a_full_outbox_refuses_commands_before_they_change_anything():
    counter = Counter(capacity=1)
    cart_id = await counter.cart("DOG-BOWL-01")
    refused = await counter.shopping.delete(f"/api/carts/{cart_id}/items/DOG-BOWL-01")
    assert refused.status_code == 503
    cart = await (await counter.shopping.get(f"/api/carts/{cart_id}")).get_json()
    assert len(cart["items"]) == 1


async def test_other_paths_and_methods_are_bare():
    counter = Counter()
    unknown = await counter.shopping.get("/api/nothing")
    wrong = await counter.shopping.put("/api/carts")
    assert [(a.status_code, await text(a)) for a in (unknown, wrong)] == [(404, ""), (405, "")]
