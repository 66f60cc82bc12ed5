"""The neighbouring services as fakes: each answers after so many seconds of virtual time, or fails, and counts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec
import trio

from storefront.domain.facts import Fact
from storefront.domain.ids import CartId, CheckoutId, CustomerId, OrderId, ShipmentId
from storefront.domain.instants import Instant
from storefront.downstream.catalog import Image, Product, ProductPage
from storefront.downstream.fulfillment import Shipment
from storefront.downstream.identity import Address
from storefront.downstream.orders import Checkout, Order, OrderLine, OrderSummary, ShippingAddress
from storefront.downstream.payments import Payment
from storefront.downstream.services import Services
from storefront.downstream.shopping import Cart, CartLine
from storefront.errors import DownstreamNonsenseError, DownstreamUnavailableError
from storefront.queries.rendering import Served, body_of
from storefront.queries.views import Views
from storefront.settings import ViewSettings
from storefront.store.contract import Recording
from storefront.store.memory import MemoryStore

EPOCH = 1_790_000_000.0
ALICE = CustomerId("11111111-1111-1111-1111-111111111111")
BOB = CustomerId("22222222-2222-2222-2222-222222222222")
CART = CartId("019c5dd6-29d2-7fb9-9d90-cf760997d1c0")
CHECKOUT = CheckoutId("c4ec0000-0000-4000-8000-000000000001")
ORDER = OrderId("04de0000-0000-4000-8000-000000000001")
SHIPMENT = ShipmentId("54190000-0000-4000-8000-000000000001")
BOWL, LASER = "DOG-BOWL-01", "CAT-TOY-05"
PLACED = "2026-02-17T22:00:00.1234567+00:00"


def wall_clock() -> float:
    return EPOCH + trio.current_time()


@dataclass
class Question:
    """One question to a service: what it knows by the argument, how long it takes, what goes wrong."""

    known: Mapping[Any, Any] | Callable[..., Any] = field(default_factory=dict)
    takes: float = 0.0
    fails: Exception | None = None
    slow: Mapping[Any, float] = field(default_factory=dict)
    asked: list[Any] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def __call__(self, *args):
        key = args[0] if len(args) == 1 else args
        self.asked.append(key)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await trio.sleep(self.slow.get(key, self.takes) if self.slow else self.takes)
        finally:
            self.at_once -= 1
        if self.fails is not None:
            raise self.fails
        return self.known(*args) if callable(self.known) else self.known.get(key)


def down(service: str) -> DownstreamUnavailableError:
    return DownstreamUnavailableError(service, "status 503", status=503)


def owned(question: Question):
    """The question as a client asks it who was told whose the thing is: another's is nonsense."""

    async def ask(thing, owner=None):
        found = await question(thing)
        if found is not None and owner not in {None, found.customer_id}:
            raise DownstreamNonsenseError("fake", "another customer's")
        return found

    return ask


class Asked:
    """A client whose methods are questions."""

    def __init__(self, **questions: Question) -> None:
        self.__dict__.update(questions)


def product(sku: str, name: str = "", **more) -> Product:
    picture = (Image(url=f"/pictures/{sku}.svg"),)
    return Product(sku=sku, name=name or f"The {sku}", category="Dogs", images=picture, **more)


def cart(*lines: tuple[str, int, str], customer: CustomerId | None = ALICE, **more) -> Cart:
    items = tuple(CartLine(sku=s, quantity=q, unit_price=Decimal(price)) for s, q, price in lines)
    return Cart(**({"cart_id": CART, "customer_id": customer, "items": items} | more))


def order_lines(*lines: tuple[str, int, str]) -> tuple[OrderLine, ...]:
    return tuple(OrderLine(sku=s, quantity=q, unit_price=Decimal(price)) for s, q, price in lines)


HOME = ShippingAddress(
    address_line1="123 Main St", city="Seattle", state_or_province="WA", postal_code="98101", country="US"
)  # fmt: skip


def checkout(**more) -> Checkout:
    given = {
        "checkout_id": CHECKOUT,
        "customer_id": ALICE,
        "items": order_lines((BOWL, 2, "19.99")),
        "has_payment_method": False,
        "is_completed": False,
    }
    return Checkout(**(given | more))


def order(**more) -> Order:
    given = {
        "order_id": ORDER,
        "customer_id": ALICE,
        "line_items": order_lines((BOWL, 2, "19.99")),
        "total_amount": Decimal("45.97"),
        "status": "Placed",
        "placed_at": Instant(PLACED),
    }
    return Order(**(given | more))


def summary(number: int = 1) -> OrderSummary:
    return OrderSummary(
        order_id=OrderId(f"04de0000-0000-4000-8000-{number:012d}"),
        customer_id=ALICE,
        placed_at=Instant(PLACED),
        status="Placed",
        total_amount=Decimal("45.90"),
        item_count=1,
    )


def address(nickname: str = "Home") -> Address:
    return Address(
        address_id="aaaaaaaa-0000-4000-8000-000000000001",
        type="Both",
        nickname=nickname,
        display_line="123 Main St, Seattle, WA 98101, US",
        is_default=True,
        is_verified=True,
        address_line1="123 Main St",
        address_line2=None,
        city="Seattle",
        state_or_province="WA",
        postal_code="98101",
        country="US",
    )


def payment(status: str = "Captured", initiated_at: str = PLACED) -> Payment:
    return Payment(
        payment_id="9a000000-0000-4000-8000-000000000001",
        order_id=ORDER,
        amount=Decimal("45.97"),
        currency="USD",
        status=status,
        initiated_at=Instant(initiated_at),
    )


def shipment(status: str = "Delivered") -> Shipment:
    return Shipment(
        shipment_id=SHIPMENT,
        order_id=ORDER,
        status=status,
        tracking_number="1Z999",
        delivered_at=Instant(PLACED),
    )


@dataclass
class Neighbours:
    """A question to each; a test sets what it knows and how it behaves."""

    cart: Question = field(default_factory=Question)
    cart_of: Question = field(default_factory=Question)
    checkout: Question = field(default_factory=Question)
    order: Question = field(default_factory=Question)
    history: Question = field(default_factory=lambda: Question(lambda _customer: ()))
    product: Question = field(default_factory=lambda: Question(product))
    products: Question = field(default_factory=Question)
    addresses: Question = field(default_factory=lambda: Question(lambda _customer: (address(),)))
    payments: Question | None = None
    shipments: Question | None = None
    prices: Question | None = None
    stock: Question | None = None

    def services(self) -> Services:
        def perhaps(question: Question | None, name: str):
            return None if question is None else Asked(**{name: question})

        return Services(
            shopping=Asked(cart=owned(self.cart), cart_of=self.cart_of),
            orders=Asked(checkout=self.checkout, order=owned(self.order), history=self.history),
            catalog=Asked(product=self.product, products=self.products),
            identity=Asked(addresses=self.addresses),
            payments=perhaps(self.payments, "of_order"),
            fulfillment=perhaps(self.shipments, "shipments"),
            pricing=perhaps(self.prices, "prices"),
            inventory=perhaps(self.stock, "stock"),
            guards={},
        )

    @property
    def heard(self) -> dict[str, int]:
        """How often each was asked, where it was."""
        questions = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: len(q.asked) for name, q in questions.items() if q is not None and q.asked}


def open_store() -> MemoryStore:
    return MemoryStore(
        window=300.0, kept_ids=200, token=(f"e{n}" for n in itertools.count()).__next__
    )


class Undisturbed:
    """Keeps nothing, and nothing happens to whose views they are: what is composed is live."""

    def __init__(self, view_deadline: float) -> None:
        self._patience = view_deadline

    async def view(self, _customer, _key, compose) -> Served:
        rendered = await compose(trio.current_time() + self._patience)
        return Served(rendered=rendered, forwarded="bypass")


def open_views(neighbours: Neighbours, log=None, **settings) -> Views:
    given = ViewSettings(**settings)
    direct = Undisturbed(given.view_deadline)
    services, store = neighbours.services(), log or open_store()
    return Views(services, store, direct, given, clock=wall_clock, unkept=direct)


def page(*products: Product, total: int | None = None) -> ProductPage:
    count = len(products) if total is None else total
    return ProductPage(products=products, page=1, page_size=20, total_count=count)


async def shown(served: Served) -> Any:
    """What the reader gets."""
    return msgspec.json.decode(body_of(served, now=wall_clock()))


def states(view: dict) -> dict[str, str]:
    return {name: source["state"] for name, source in view["meta"]["sources"].items()}


async def remember(store, *facts: Fact | None, customer=ALICE) -> None:
    for fact in facts:
        message_id = f"m-{next(_MESSAGES)}"
        recording = Recording(message_id=message_id, customer=customer, payload=b"{}", fact=fact)
        await store.record([recording], now=wall_clock())


_MESSAGES = itertools.count()


class Lost:
    """A log that is away, and says so, or nothing at all."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    async def position(self, *_args, **_options):
        if self.error is None:
            await trio.sleep_forever()
        raise self.error

    facts = position
