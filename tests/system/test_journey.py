"""From an empty cart to Delivered, through our API and one stream alone: no other service is spoken to by the test.

Each view is asked for the moment its event came: what the stream has told is never missing from it.
"""

from __future__ import annotations

import json

import httpx
import trio

from tests.system import shopfloor as shop
from tests.system.servers.sse_client import SseClient
from tests.system.shopfloor import ALICE

# What a busy machine is late with is no hole in a view here; holes have tests of their own.
PATIENT = {
    "ATTEMPT_TIMEOUT": "8", "ENRICHMENT_TIMEOUT": "8", "CONNECT_TIMEOUT": "8", "VIEW_DEADLINE": "8",
    "QUESTION_TIMEOUT": "8", "QUERY_LAG": "60", "JWT_SECRET": shop.SECRET,
}  # fmt: skip
CART = f"/api/carts/{ALICE}/view"
CABIN = {
    "nickname": "Cabin", "addressLine1": "1 Lake Rd", "city": "Duluth", "stateOrProvince": "MN",
    "postalCode": "55802", "country": "US",
}  # fmt: skip
WAY = [
    "Placed", "PaymentAuthorized", "InventoryReserved", "PaymentCaptured", "InventoryCommitted",
    "Dispatched", "Delivered",
]  # fmt: skip


class Customer:
    """Alice: her page's requests, and her stream."""

    def __init__(self, page: httpx.AsyncClient, stream: SseClient) -> None:
        self.page, self.stream = page, stream
        self.ids: list[str] = []

    async def tell(self, method: str, path: str, status: int, **wish: object):
        answer = await self.page.request(method, f"/api/storefront{path}", json=wish or None)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def view(self, path: str) -> dict:
        answer = await self.page.get(path)
        assert answer.status_code == 200, answer.text
        assert answer.json()["meta"]["freshness"] in {"live", "cached"}
        return json.loads(answer.text, parse_float=str)

    async def hear(self) -> dict:
        event = await self.stream.read_event("message")
        self.ids.append(event.id)
        return json.loads(event.data, parse_float=str)

    async def cart_comes_to(self, subtotal: str, *lines: tuple[str, int]) -> None:
        """The next event, and the view at once after it."""
        event = await self.hear()
        assert (event["eventType"], event["totalAmount"]) == ("cart-updated", subtotal)
        assert event["itemCount"] == len(lines)
        view = await self.view(CART)
        assert (view["cartId"], view["subtotal"]) == (event["cartId"], subtotal)
        assert [(item["sku"], item["quantity"]) for item in view["items"]] == list(lines)
        assert view["meta"]["complete"]


async def shopping(alice: Customer) -> str:
    cart = await alice.tell("POST", "/carts/initialize", 200, customerId=ALICE)
    items = f"/carts/{cart}/items"
    await alice.tell("POST", items, 204, sku="CAT-TOY-05", quantity=2, unitPrice=29.99)
    await alice.cart_comes_to("59.98", ("CAT-TOY-05", 2))
    await alice.tell("PUT", f"{items}/CAT-TOY-05/quantity", 204, newQuantity=5)
    await alice.cart_comes_to("149.95", ("CAT-TOY-05", 5))
    await alice.tell("PATCH", f"{items}/CAT-TOY-05", 204, newQuantity=1)
    await alice.cart_comes_to("29.99", ("CAT-TOY-05", 1))
    await alice.tell("POST", items, 204, sku="DOG-BOWL-01", quantity=2, unitPrice=19.99)
    await alice.cart_comes_to("69.97", ("CAT-TOY-05", 1), ("DOG-BOWL-01", 2))
    await alice.tell("DELETE", f"{items}/CAT-TOY-05", 204)
    await alice.cart_comes_to("39.98", ("DOG-BOWL-01", 2))
    return cart


async def paying(alice: Customer, cart: str) -> str:
    await alice.tell("POST", f"/customers/{ALICE}/addresses", 201, **CABIN)
    path = f"/checkouts/{(await alice.tell('POST', f'/carts/{cart}/checkout', 200))['checkoutId']}"

    async def step() -> int:
        return (await alice.view(f"/api/storefront{path}"))["currentStep"]

    assert await step() == 1
    (cabin,) = (
        address
        for address in (await alice.view(f"/api/storefront{path}"))["savedAddresses"]
        if address["nickname"] == "Cabin"
    )
    lines = ("addressLine1", "city", "stateOrProvince", "postalCode", "country")
    await alice.tell("POST", f"{path}/shipping-address", 200, **{n: cabin[n] for n in lines})
    assert await step() == 2
    method = {"shippingMethod": "Standard", "shippingCost": 5.99}
    await alice.tell("POST", f"{path}/shipping-method", 200, **method)
    assert await step() == 3
    await alice.tell("POST", f"{path}/payment-method", 200, paymentMethodToken="tok_visa_test")
    assert await step() == 4
    assert (await alice.view(f"/api/storefront{path}"))["total"] == "45.97"
    return (await alice.tell("POST", f"{path}/complete", 200))["orderId"]


async def test_from_an_empty_cart_to_delivered_through_our_api_and_stream_alone(new_service):
    demo = new_service("demo", "--pace", "0.1", **PATIENT)
    await demo.start()
    headers = shop.bearer(ALICE)
    with trio.fail_after(60):
        async with httpx.AsyncClient(
            base_url=demo.url, headers=headers, timeout=20, trust_env=False
        ) as page:
            empty = (await page.get(CART)).json()
            assert (empty["cartId"], empty["items"], empty["subtotal"]) == (None, [], 0)
            since = f"?lastEventId={empty['meta']['streamPosition']}"
            async with await SseClient.connect(
                f"{demo.url}/sse/storefront{since}", headers=headers
            ) as stream:
                alice = Customer(page, stream)
                order = await paying(alice, await shopping(alice))
                said = []
                while said[-1:] != ["Delivered"]:
                    event = await alice.hear()
                    assert event["orderId"] == order
                    said.append(event["newStatus"])
                assert said == WAY
                view = await alice.view(f"/api/orders/{order}/view")
                assert (view["status"], view["totalAmount"]) == ("Delivered", "45.97")
                (shipment,) = view["shipments"]
                assert shipment["trackingNumber"]
                history = (await page.get(f"/api/orders?customerId={ALICE}")).json()
                assert [(o["orderId"], o["status"]) for o in history] == [(order, "Delivered")]
                assert (await alice.view(CART))["items"] == []
                epoch = alice.ids[0].rpartition("-")[0]
                assert alice.ids == [f"{epoch}-{number}" for number in range(1, len(alice.ids) + 1)]
    assert await demo.stop() == 0
