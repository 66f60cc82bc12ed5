"""A shop for tests: the clock stands where it is put, ids count up, messages are kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count

import trio

from storefront.demo.checkouts import Destination
from storefront.demo.front import Desk, Era
from storefront.demo.messages import encode
from storefront.demo.orders import orders_app
from storefront.demo.outbox import Outbox
from storefront.demo.products import ARTICLES
from storefront.demo.shopping import shopping_app
from storefront.demo.ticks import SECOND
from storefront.demo.world import World
from storefront.errors import BrokerError

ALICE = "11111111-1111-1111-1111-111111111111"

# 2026-02-17T21:58:44.1234567+00:00, the moment of contracts.md's examples.
MOMENT = int(datetime(2026, 2, 17, 21, 58, 44, tzinfo=UTC).timestamp()) * SECOND + 1_234_567

HOME = Destination(
    line1="123 Main St",
    line2=None,
    city="Seattle",
    state="WA",
    postal_code="98101",
    country="US",
)
HOME_JSON = {
    "addressLine1": "123 Main St",
    "city": "Seattle",
    "stateOrProvince": "WA",
    "postalCode": "98101",
    "country": "US",
}


class Clock:
    """Ticks that move only when told."""

    def __init__(self, ticks: int = MOMENT) -> None:
        self.ticks = ticks

    def __call__(self) -> int:
        return self.ticks


def counting_ids():
    """Guids that count up; letters in them, so that upper and lower case differ."""
    numbers = count(1)
    return lambda: guid(next(numbers))


def guid(number: int) -> str:
    return f"abcdef00-0000-4000-8000-{number:012d}"


def open_world(*, stock: dict[str, int] | None = None, **options) -> World:
    articles = [
        replace(article, stock=(stock or {}).get(article.sku, article.stock))
        for article in ARTICLES
    ]
    options = {"now": Clock(), "new_id": counting_ids(), "articles": articles} | options
    return World(**options)


def price(world: World, sku: str) -> Decimal:
    found = world.products[sku].price
    assert found is not None
    return found


def placed(world: World, *skus: str, token: str = "tok_visa_test_12345"):
    """An order of one each, straight through the books; its messages are nobody's business here."""
    cart = world.carts.initialise(ALICE)
    for sku in skus or ("DOG-BOWL-01",):
        world.carts.add(cart.cart_id, sku, 2, price(world, sku))
    checkout = world.initiate_checkout(cart.cart_id)
    world.checkouts.provide_address(checkout.checkout_id, HOME)
    world.checkouts.select_method(checkout.checkout_id, "Standard", Decimal("5.99"))
    world.checkouts.provide_payment(checkout.checkout_id, token)
    order, _ = world.complete_checkout(checkout.checkout_id)
    return order


def wire(message) -> str:
    """A message's body as it travels."""
    return encode(message.body).decode()


class Published:
    """A publisher that keeps what it takes, and refuses as often as it is told."""

    def __init__(self, refusals: int = 0) -> None:
        self.taken: list[tuple[str, str]] = []
        self.asked = 0
        self.refusals = refusals
        self.delivered = trio.Event()

    async def __call__(self, type_: str, body) -> None:
        self.asked += 1
        if self.refusals:
            self.refusals -= 1
            raise BrokerError("the broker is off")
        self.taken.append((type_.removeprefix("Messages.Contracts."), encode(body).decode()))
        if type_.endswith("ShipmentDelivered"):
            self.delivered.set()

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.taken]


class Waiting:
    """An outbox that nobody empties, and what waits in it."""

    def __init__(self, capacity: int = 100) -> None:
        self.outbox = Outbox(Published(), capacity=capacity)

    @property
    def names(self) -> list[str]:
        return [m.type.removeprefix("Messages.Contracts.") for m in self.outbox._waiting]

    @property
    def bodies(self) -> list[str]:
        return [wire(message) for message in self.outbox._waiting]


class Counter:
    """Shopping and Orders over one world, asked through Quart-Trio's test client."""

    def __init__(self, *, era: Era = Era.NEW, capacity: int = 100, world=None, **shopping) -> None:
        self.world = world or open_world()
        self.waiting = Waiting(capacity)
        self.begun: list[str] = []
        self.shopping_desk = Desk(era=era)
        self.shopping = shopping_app(
            self.world, self.waiting.outbox, self.shopping_desk, **shopping
        ).test_client()
        self.orders = orders_app(
            self.world, self.waiting.outbox, Desk(era=era), begin=self.begun.append
        ).test_client()

    async def cart(self, *skus, **price):
        """The id of a cart of Alice's with two of each."""
        made = await self.shopping.post("/api/carts", json={"customerId": ALICE})
        cart_id = (await made.get_json())["value"]
        for sku in skus:
            wish = {"cartId": cart_id, "sku": sku, "quantity": 2, **price}
            answer = await self.shopping.post(f"/api/carts/{cart_id}/items", json=wish)
            assert answer.status_code == 204
        return cart_id

    async def checkout(self, *skus, **price):
        """The path of a checkout with everything filled in."""
        cart_id = await self.cart(*(skus or ("DOG-BOWL-01",)), **price)
        answer = await self.shopping.post(f"/api/carts/{cart_id}/checkout", json={})
        told = await answer.get_json()
        path = f"/api/checkouts/{told.get('value') or told['checkoutId']}"
        for step, wish in (
            ("shipping-address", HOME_JSON),
            ("shipping-method", {"shippingMethod": "Standard", "shippingCost": 5.99}),
            ("payment-method", {"paymentMethodToken": "tok_visa_test_12345"}),
        ):
            assert (await self.orders.post(f"{path}/{step}", json=wish)).status_code == 200
        return path
