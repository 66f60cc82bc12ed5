"""The whole shop over real HTTP: the simulated neighbours, the composition root, and its door on Hypercorn."""

from __future__ import annotations

import itertools
import socket
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import httpx
import trio

from storefront.back_office import Ports as ShopPorts
from storefront.back_office import Shop, run_back_office
from storefront.consumers import usual_queue
from storefront.dashboard.board import Board
from storefront.demo.addresses import Ports
from storefront.demo.front import Desk, Era
from storefront.demo.journey import Pace
from storefront.demo.run import open_desks, serve_services
from storefront.demo.world import World
from storefront.messaging.envelope import wolverine
from storefront.messaging.memory import MemoryBroker
from storefront.serving import Drain, serve_http
from storefront.settings import AuthSettings, ServicesSettings, Settings, ViewSettings
from storefront.store.memory import MemoryStore
from storefront.web.auth import mint

ALICE = "11111111-1111-1111-1111-111111111111"
BOB = "22222222-2222-2222-2222-222222222222"
SECRET = "a secret of at least thirty-two bytes"
# Beyond any machine's worst minute; what is measured is measured by the test itself.
BUDGET = 60
# So patient that a busy machine makes no hole. A test about time brings numbers of its own.
PATIENT = {
    "question_timeout": 20, "attempt_timeout": 10, "enrichment_timeout": 10, "connect_timeout": 10, "command_timeout": 20,
}  # fmt: skip
HOME = {
    "addressLine1": "123 Main St", "city": "Seattle", "stateOrProvince": "WA", "postalCode": "98101", "country": "US",
}  # fmt: skip
STEPS = (
    ("shipping-address", HOME),
    ("shipping-method", {"shippingMethod": "Standard", "shippingCost": 5.99}),
    ("payment-method", {"paymentMethodToken": "tok_visa_test_12345"}),
)


@dataclass
class WallClock:
    """The shop's time of day, which a test may move on."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class Market:
    """The shop under test, as a browser and as its neighbours see it."""

    shop: Shop
    settings: Settings
    store: MemoryStore
    world: World
    desks: dict[str, Desk]
    services: dict[str, str]
    browser: httpx.AsyncClient
    clock: WallClock
    serial: itertools.count = field(default_factory=itertools.count)

    def token(self, customer: str | None = ALICE, roles: tuple[str, ...] = ()) -> str:
        return mint(
            self.settings.auth, customer=customer, now=time.time(), lifetime=3600, roles=roles
        )

    async def get(self, path: str, token: str | None = "", *, method: str = "GET", **headers: str):
        """A request of Alice's, of whom the token says, or of nobody (None)."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            given["Authorization"] = f"Bearer {token or self.token()}"
        return await self.browser.request(method, path, headers=given)

    async def tell(self, service: str, method: str, path: str, **wish):
        """A command straight to a neighbour, as the page of the demo gives it."""
        answer = await self.browser.request(method, self.services[service] + path, json=wish)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def new_cart(self, customer: str | None = ALICE) -> str:
        wish = {"customerId": customer} if customer else {"sessionId": "s-1"}
        return (await self.tell("shopping", "POST", "/api/carts", **wish))["value"]

    async def add(self, cart: str, sku: str, quantity: int) -> None:
        wish = {"sku": sku, "quantity": quantity}
        await self.tell("shopping", "POST", f"/api/carts/{cart}/items", **wish)

    async def filled_cart(self, *lines: tuple[str, int], customer: str = ALICE) -> str:
        """A cart of which the Storefront has heard all there is to hear."""
        cart = await self.new_cart(customer)
        before = (await self.store.position(customer, now=time.time())).seq
        for sku, quantity in lines:
            await self.add(cart, sku, quantity)
        await self.heard(customer, "cart", cart)
        while (await self.store.position(customer, now=time.time())).seq < before + len(lines):
            await trio.sleep(0.01)
        return cart

    async def new_checkout(self, cart: str) -> str:
        told = await self.tell("shopping", "POST", f"/api/carts/{cart}/checkout")
        return told.get("value") or told["checkoutId"]

    async def order_of(self, checkout: str) -> str:
        for step, wish in STEPS:
            await self.tell("orders", "POST", f"/api/checkouts/{checkout}/{step}", **wish)
        told = await self.tell("orders", "POST", f"/api/checkouts/{checkout}/complete")
        return told["orderId"]

    async def place_order(self, cart: str) -> str:
        return await self.order_of(await self.new_checkout(cart))

    async def heard(self, customer: str, kind: str, state: str) -> None:
        """Until the log knows that something of the customer's is in this state."""
        while not any(
            (fact.kind, fact.state) == (kind, state)
            for fact in await self.store.facts(customer, now=time.time())
        ):
            await trio.sleep(0.01)

    def forget(self) -> None:
        for desk in self.desks.values():
            desk.ledger.forget()

    @property
    def asked(self) -> dict[str, int]:
        """How many questions each neighbour was asked, where any."""
        return {name: desk.ledger.total for name, desk in self.desks.items() if desk.ledger.total}


async def serve(app, sock: socket.socket) -> None:
    await serve_http(app, sock, drain=Drain())


@asynccontextmanager
async def open_market(
    era: Era = Era.NEW,
    *,
    pace: float = 0.0,
    optional: bool = True,
    budget: float = BUDGET,
    views=None,
    board: Board | None = None,
    **services,
) -> AsyncIterator[Market]:
    """The shop, open for so long. `optional`: whether Pricing and Inventory are configured."""
    desks, world = open_desks(era=era), World()
    broker = MemoryBroker()
    store = MemoryStore(
        window=300.0, kept_ids=200, token=(f"e{n}" for n in itertools.count()).__next__
    )
    steps = ("payment", "reservation", "capture", "commitment", "dispatch", "delivery")
    with trio.fail_after(budget):
        async with trio.open_nursery() as nursery:

            async def publish(kind: str, body) -> None:
                message = wolverine(
                    kind, body, message_id=str(uuid.uuid4()), sent_at=time.time(), source="Test"
                )
                await broker.publish(usual_queue(settings.messaging, message.type), message)

            nursery.start_soon(broker.run)
            starting = partial(
                serve_services, world, publish=publish, serve=serve, ports=Ports.any(),
                desks=desks, pace=Pace(**dict.fromkeys(steps, pace)),
            )  # fmt: skip
            urls = (await nursery.start(starting)).by_name()
            named = {f"{name}_url": url for name, url in urls.items()}
            named["customer_identity_url"] = named.pop("identity_url")
            if not optional:
                named |= {"pricing_url": None, "inventory_url": None}
            settings = Settings(
                auth=AuthSettings(jwt_secret=SECRET, cookie_name="storefront"),
                services=ServicesSettings(**(named | PATIENT | services)),
                views=ViewSettings(**({"view_deadline": 20.0} | (views or {}))),
            )
            clock = WallClock()
            shop = await nursery.start(
                run_back_office,
                settings,
                ShopPorts(store=store, broker=broker, board=board, clock=clock),
            )
            door = socket.create_server(("127.0.0.1", 0), backlog=128)
            base = f"http://127.0.0.1:{door.getsockname()[1]}"
            nursery.start_soon(serve, shop.app, door)
            async with httpx.AsyncClient(base_url=base, timeout=BUDGET, trust_env=False) as browser:
                yield Market(shop, settings, store, world, desks, dict(urls), browser, clock)
            nursery.cancel_scope.cancel()
