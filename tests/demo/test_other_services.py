"""The shapes of those who are mostly asked: contracts.md sections 2.3 to 2.5."""

from __future__ import annotations

from dataclasses import replace

import pytest

from storefront.demo.catalog import catalog_app
from storefront.demo.customers import BOB
from storefront.demo.front import Desk, Era
from storefront.demo.fulfillment import fulfillment_app
from storefront.demo.identity import identity_app
from storefront.demo.inventory import inventory_app
from storefront.demo.payments import payments_app
from storefront.demo.pricing import pricing_app
from storefront.demo.products import fixed_guid
from tests.demo.shop import ALICE, guid, open_world, placed

AT = "2026-02-17T21:58:44.1234567+00:00"


def new(app, world=None, era=Era.NEW):
    return app(world or open_world(), Desk(era=era)).test_client()


async def text(answer):
    return await answer.get_data(as_text=True)


# Catalog


async def test_a_product_has_its_nulls_written_its_status_a_number_and_no_price():
    catalog = new(catalog_app)
    assert await text(await catalog.get("/api/products/DOG-BOWL-01")) == (
        f'{{"id":"{fixed_guid("product/DOG-BOWL-01")}","sku":"DOG-BOWL-01","name":"Ceramic Dog Bowl",'
        '"description":"Heavy stoneware that stays where it stands. Holds one good breakfast.",'
        '"longDescription":null,"category":"Dogs","subcategory":null,"brand":null,"images":[{"url":'
        '"/ui/pictures/DOG-BOWL-01.svg","altText":"Ceramic Dog Bowl","sortOrder":0}],"tags":["bowl",'
        '"ceramic"],"dimensions":null,"status":0,"isDeleted":false,"vendorTenantId":null,'
        f'"assignedBy":null,"assignedAt":null,"addedAt":"{AT}","updatedAt":null}}'
    )


async def test_in_the_seed_a_products_id_was_its_sku():
    product = await (
        await new(catalog_app, era=Era.SEED).get("/api/products/DOG-BOWL-01")
    ).get_json()
    assert product["id"] == "DOG-BOWL-01"
    assert "vendorTenantId" not in product


async def test_an_unknown_product_is_404_and_empty():
    answer = await new(catalog_app).get("/api/products/NO-SUCH")
    assert (answer.status_code, await text(answer)) == (404, "")


@pytest.mark.parametrize(
    ("era", "keys"),
    [
        (Era.SEED, ["products", "page", "pageSize", "totalCount"]),
        (Era.NEW, ["items", "totalCount", "page", "pageSize"]),
    ],
)
async def test_the_listing_is_spelt_as_in_its_era(era, keys):
    listing = await (await new(catalog_app, era=era).get("/api/products")).get_json()
    assert list(listing) == keys
    assert listing["totalCount"] == 12


async def test_the_listing_is_paged_by_sku_and_clamped():
    catalog = new(catalog_app)
    second = await (await catalog.get("/api/products?page=2&pageSize=5")).get_json()
    assert [p["sku"] for p in second["items"]] == [
        "DOG-BED-02",
        "DOG-BOWL-01",
        "DOG-LEASH-03",
        "FISH-FOOD-09",
        "FISH-TANK-08",
    ]
    for asked, given in (("0", 1), ("1000", 100), ("-3", 1), ("many", 20)):
        listing = await (await catalog.get(f"/api/products?pageSize={asked}&page=-1")).get_json()
        assert (listing["page"], listing["pageSize"]) == (1, given)


async def test_the_listing_can_be_narrowed_by_category_and_status():
    world = open_world()
    world.products["DOG-BED-02"] = replace(world.products["DOG-BED-02"], status=3)
    catalog = new(catalog_app, world)

    async def skus(query):
        return [
            p["sku"]
            for p in (await (await catalog.get(f"/api/products?{query}")).get_json())["items"]
        ]

    assert await skus("category=Dogs") == ["DOG-BED-02", "DOG-BOWL-01", "DOG-LEASH-03"]
    assert await skus("status=OutOfSeason") == ["DOG-BED-02"]
    assert await skus("status=3&category=Dogs") == ["DOG-BED-02"]
    assert await skus("category=Horses") == []


# Pricing


async def test_a_price_is_told_one_by_one():
    world = open_world()
    pricing = new(pricing_app, world)
    told = await text(await pricing.get("/api/pricing/products/cat-tree-06"))
    assert told == (
        '{"id":"CAT-TREE-06","sku":"CAT-TREE-06","basePrice":129.90,"currency":"USD",'
        f'"status":"Published","hasPendingSchedule":false,"lastUpdatedAt":"{AT}"}}'
    )
    assert (await pricing.get("/api/pricing/products/NO-SUCH")).status_code == 404
    world.products["CAT-TREE-06"] = replace(world.products["CAT-TREE-06"], price=None)
    unpriced = await (await pricing.get("/api/pricing/products/CAT-TREE-06")).get_json()
    assert (unpriced["basePrice"], unpriced["status"]) == (0, "Unpriced")


async def test_prices_are_told_fifty_at_a_time_and_the_unknown_left_out():
    pricing = new(pricing_app)
    answer = await pricing.get(
        "/api/pricing/products?skus=DOG-BOWL-01, NO-SUCH,CAT-TOY-05,DOG-BOWL-01"
    )
    assert [p["sku"] for p in await answer.get_json()] == ["DOG-BOWL-01", "CAT-TOY-05"]
    fifty_one = ",".join(f"SKU-{number}" for number in range(51))
    assert (await pricing.get(f"/api/pricing/products?skus={fifty_one}")).status_code == 400
    assert (await pricing.get("/api/pricing/products")).status_code == 400


# Customer Identity


async def test_saved_addresses_are_told_with_their_lines():
    identity = new(identity_app)
    assert await text(await identity.get(f"/api/customers/{BOB}/addresses?type=Shipping")) == (
        '[{"id":"bbbbbbbb-0000-4000-8000-000000000001","type":"Both","nickname":"Home",'
        '"displayLine":"77 Lake Ave, Spokane, WA 99201, US","isDefault":true,"isVerified":true,'
        '"addressLine1":"77 Lake Ave","city":"Spokane","stateOrProvince":"WA","postalCode":"99201",'
        '"country":"US"}]'
    )


async def test_in_the_seed_an_address_was_one_line():
    answer = await new(identity_app, era=Era.SEED).get(f"/api/customers/{ALICE}/addresses")
    home, work = await answer.get_json()
    assert list(home) == ["id", "type", "nickname", "displayLine", "isDefault", "isVerified"]
    assert work["displayLine"] == "500 Pine St, Floor 7, Seattle, WA 98101, US"


async def test_the_type_filter_returns_both_too():
    identity = new(identity_app)

    async def nicknames(query):
        answer = await identity.get(f"/api/customers/{ALICE}/addresses{query}")
        return [a["nickname"] for a in await answer.get_json()]

    assert await nicknames("?type=Shipping") == ["Home", "Work"]
    assert await nicknames("?type=Billing") == ["Home"]
    assert await nicknames("") == ["Home", "Work"]


async def test_an_unknown_customer_has_no_addresses():
    answer = await new(identity_app).get(f"/api/customers/{guid(9)}/addresses")
    assert (answer.status_code, await answer.get_json()) == (200, [])


async def test_an_address_is_saved_under_a_nickname_of_its_own():
    identity = new(identity_app)
    path = f"/api/customers/{BOB}/addresses"
    cabin = {
        "type": "Shipping",
        "nickname": "Cabin",
        "addressLine1": "1 Forest Rd",
        "city": "Leavenworth",
        "stateOrProvince": "WA",
        "postalCode": "98826",
        "country": "US",
        "isDefault": True,
    }
    made = await identity.post(path, json=cabin)
    assert made.status_code == 201
    address_id = (await made.get_json())["value"]
    assert (await identity.post(path, json=cabin)).status_code == 409
    assert (await identity.post(path, json=cabin | {"country": "USA"})).status_code == 400
    unknown = f"/api/customers/{guid(9)}/addresses"
    assert (await identity.post(unknown, json=cabin)).status_code == 404
    snapshot = await identity.get(f"/api/addresses/{address_id}/snapshot")
    assert await text(snapshot) == (
        '{"addressLine1":"1 Forest Rd","city":"Leavenworth","stateOrProvince":"WA",'
        '"postalCode":"98826","country":"US"}'
    )


async def test_a_customer_has_a_hundred_addresses_at_most(monkeypatch):
    monkeypatch.setattr("storefront.demo.customers.ADDRESSES_EACH", 1)
    cabin = {
        "type": "Shipping",
        "nickname": "Cabin",
        "addressLine1": "1",
        "city": "L",
        "stateOrProvince": "WA",
        "postalCode": "9",
        "country": "US",
    }
    assert (
        await new(identity_app).post(f"/api/customers/{BOB}/addresses", json=cabin)
    ).status_code == 400


async def test_signing_in_sets_a_cookie_that_says_who_you_are():
    identity = new(identity_app)
    assert (await identity.get("/api/auth/me")).status_code == 401
    wrong = await identity.post(
        "/api/auth/login", json={"email": "alice@critter.test", "password": "x"}
    )
    right = await identity.post(
        "/api/auth/login", json={"email": "Alice@critter.test", "password": "password"}
    )
    assert (wrong.status_code, right.status_code) == (401, 200)
    assert await text(right) == (
        f'{{"customerId":"{ALICE}","email":"alice@critter.test","firstName":"Alice","lastName":"Archer"}}'
    )
    assert await text(await identity.get("/api/auth/me")) == await text(right)
    await identity.post("/api/auth/logout")
    assert (await identity.get("/api/auth/me")).status_code == 401


async def test_customers_can_be_registered_and_asked_for():
    identity = new(identity_app)
    carol = {"email": "carol@critter.test", "firstName": "Carol", "lastName": "Crane"}
    made = await identity.post("/api/customers", json=carol)
    customer = await (await identity.get(made.headers["Location"])).get_json()
    assert customer == {"id": guid(1), **carol, "createdAt": AT}
    assert (await identity.post("/api/customers", json=carol)).status_code == 409
    assert (await identity.get(f"/api/customers/{guid(9)}")).status_code == 404


# Payments, Inventory, Fulfillment


async def test_a_payment_is_told_by_its_id_and_by_its_order():
    world = open_world()
    order = placed(world)
    payments = new(payments_app, world)
    assert await (await payments.get(f"/api/payments?orderId={order.order_id}")).get_json() == []
    [authorised] = world.authorise(order)
    payment_id = str(authorised.body["paymentId"])
    head = f'{{"paymentId":"{payment_id}","orderId":"{order.order_id}","amount":45.97,"currency":"USD",'
    assert await text(await payments.get(f"/api/payments/{payment_id}")) == (
        head + f'"status":"Authorized","initiatedAt":"{AT}"}}'
    )
    world.capture(order)
    assert await text(await payments.get(f"/api/payments?orderId={order.order_id}")) == (
        f'[{head}"status":"Captured","transactionId":"txn_{payment_id[:8]}","initiatedAt":"{AT}",'
        f'"processedAt":"{AT}"}}]'
    )
    assert (await payments.get(f"/api/payments/{guid(99)}")).status_code == 404


async def test_in_the_seed_nobody_could_ask_by_order():
    world = open_world()
    assert (
        await new(payments_app, world, Era.SEED).get("/api/payments?orderId=x")
    ).status_code == 404
    shipments = "/api/fulfillment/shipments?orderId=x"
    assert (await new(fulfillment_app, world, Era.SEED).get(shipments)).status_code == 404
    stock = "/api/inventory/DOG-BOWL-01"
    assert (await new(inventory_app, world, Era.SEED).get(stock)).status_code == 404


async def test_stock_is_told_by_warehouse_and_as_levels():
    world = open_world(stock={"DOG-BOWL-01": 10})
    world.reserve(placed(world))
    inventory = new(inventory_app, world)
    assert await text(await inventory.get("/api/inventory/availability/DOG-BOWL-01")) == (
        '{"sku":"DOG-BOWL-01","warehouses":[{"warehouseId":"WH-01","availableQuantity":8}],'
        '"totalAvailable":8}'
    )
    assert await text(await inventory.get("/api/inventory/DOG-BOWL-01")) == (
        '{"sku":"DOG-BOWL-01","warehouseId":"WH-01","availableQuantity":8,"reservedQuantity":2,'
        '"committedQuantity":0,"totalOnHand":10}'
    )
    assert await text(await inventory.get("/api/inventory/availability/NO-SUCH")) == (
        '{"sku":"NO-SUCH","warehouses":[],"totalAvailable":0}'
    )
    assert (await inventory.get("/api/inventory/NO-SUCH")).status_code == 404


async def test_a_shipment_is_told_by_its_order_as_it_moves():
    world = open_world()
    order = placed(world)
    fulfillment = new(fulfillment_app, world)
    path = f"/api/fulfillment/shipments?orderId={order.order_id}"
    assert await (await fulfillment.get(path)).get_json() == []
    for step in (world.authorise, world.reserve, world.capture, world.commit):
        step(order)
    [pending] = await (await fulfillment.get(path)).get_json()
    assert list(pending) == [
        "id",
        "orderId",
        "status",
        "assignedFulfillmentCenter",
        "requestedAt",
        "deliveryAttemptCount",
    ]
    world.dispatch(order)
    world.deliver(order)
    [delivered] = await (await fulfillment.get(path)).get_json()
    assert delivered == pending | {
        "status": "Delivered",
        "carrier": "UPS",
        "trackingNumber": "1Z999AA10000000001",
        "handedToCarrierAt": AT,
        "deliveredAt": AT,
        "deliveryAttemptCount": 1,
    }
