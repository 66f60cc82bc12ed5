"""Shopping, simulated: carts over HTTP (contracts.md section 2.1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from msgspec import Meta
from quart import Response, request
from quart_trio import QuartTrio

from storefront.demo.answers import Command, Route, created, done, guid, read, reply
from storefront.demo.carts import Cart
from storefront.demo.checkouts import Checkout
from storefront.demo.counter import open_counter
from storefront.demo.front import Desk, Era
from storefront.demo.messages import Message
from storefront.demo.outbox import Outbox
from storefront.demo.refusals import InvalidError, RefusedError
from storefront.demo.ticks import timestamp
from storefront.demo.world import World

Sku = Annotated[str, Meta(min_length=1, max_length=50)]
# .NET's int.
Quantity = Annotated[int, Meta(ge=1, le=2**31 - 1)]

# A sender beyond this has lost its decimal point.
_DEAREST = Decimal(10) ** 9


class InitializeCart(Command, frozen=True, kw_only=True):
    customer_id: UUID | None = None
    session_id: str | None = None


class AddItem(Command, frozen=True, kw_only=True):
    sku: Sku
    quantity: Quantity
    unit_price: Decimal | None = None  # SEED only: the caller names the price


class ChangeQuantity(Command, frozen=True, kw_only=True):
    new_quantity: Quantity


class ApplyCoupon(Command, frozen=True, kw_only=True):
    coupon_code: Annotated[str, Meta(min_length=1, max_length=50)]


def shopping_app(
    world: World, outbox: Outbox, desk: Desk | None = None, *, by_customer: bool = False
) -> QuartTrio:
    """The service.

    Args:
        world: whose carts.
        outbox: where the messages go; while it is full, commands are answered 503.
        desk: era, ledger, faults and origins.
        by_customer: `GET /api/carts/{id}` also understands a customer's id, as the design document
            has it. The real service does not.
    """
    desk = desk or Desk()
    service = _Shopping(world, outbox, desk.era, by_customer=by_customer)
    return open_counter("shopping", desk, service.routes())


class _Shopping:
    def __init__(self, world: World, outbox: Outbox, era: Era, *, by_customer: bool) -> None:
        self._world = world
        self._carts = world.carts
        self._outbox = outbox
        self._era = era
        self._by_customer = by_customer

    def routes(self) -> Iterable[Route]:
        cart = "/api/carts/<cart_id>"
        return (
            Route("POST", "/api/carts", self.initialize),
            Route("GET", cart, self.get_cart),
            Route("DELETE", cart, self.clear),
            Route("POST", f"{cart}/items", self.add),
            Route("PUT", f"{cart}/items/<sku>/quantity", self.change),
            Route("DELETE", f"{cart}/items/<sku>", self.remove),
            Route("POST", f"{cart}/checkout", self.initiate_checkout),
            Route("POST", f"{cart}/apply-coupon", self.apply_coupon),
            Route("DELETE", f"{cart}/apply-coupon", self.remove_coupon),
        )

    async def initialize(self) -> Response:
        wish = await read(InitializeCart)
        if wish.customer_id is None and not (wish.session_id or "").strip():
            raise InvalidError({"": ["Either CustomerId or SessionId must be provided"]})
        owner = None if wish.customer_id is None else str(wish.customer_id)
        cart = self._carts.initialise(owner, wish.session_id)
        return created(f"/api/carts/{cart.cart_id}", cart.cart_id)

    async def get_cart(self, cart_id: str) -> Response:
        cart = self._carts.of_customer(guid(cart_id)) if self._by_customer else None
        return reply(_cart(cart or self._carts.get(guid(cart_id)), self._era))

    async def add(self, cart_id: str) -> Response:
        self._outbox.check_room()
        wish = await read(AddItem)
        self._carts.get(guid(cart_id)).check_open()
        return self._tell(
            self._carts.add(guid(cart_id), wish.sku, wish.quantity, self._price(wish))
        )

    async def change(self, cart_id: str, sku: str) -> Response:
        self._outbox.check_room()
        wish = await read(ChangeQuantity)
        return self._tell(self._carts.change(guid(cart_id), sku, wish.new_quantity))

    async def remove(self, cart_id: str, sku: str) -> Response:
        self._outbox.check_room()
        return self._tell(self._carts.remove(guid(cart_id), sku))

    async def clear(self, cart_id: str) -> Response:
        self._outbox.check_room()
        if len(request.args.get("reason", "")) > 200:
            raise RefusedError("Reason cannot exceed 200 characters")
        return self._tell(self._carts.clear(guid(cart_id)))

    async def initiate_checkout(self, cart_id: str) -> Response:
        checkout = self._world.initiate_checkout(guid(cart_id))
        if self._era is Era.SEED:
            return reply(_initiated(checkout))
        return created(f"/api/checkouts/{checkout.checkout_id}", checkout.checkout_id)

    async def apply_coupon(self, cart_id: str) -> Response:
        self._outbox.check_room()
        wish = await read(ApplyCoupon)
        return self._tell(self._carts.apply_coupon(guid(cart_id), wish.coupon_code))

    async def remove_coupon(self, cart_id: str) -> Response:
        self._outbox.check_room()
        return self._tell(self._carts.remove_coupon(guid(cart_id)))

    def _tell(self, messages: Sequence[Message]) -> Response:
        self._outbox.add(messages)
        return done()

    def _price(self, wish: AddItem) -> Decimal:
        """What it costs: SEED believes the caller, NEW asks Pricing."""
        if self._era is Era.SEED:
            if wish.unit_price is None or not 0 < wish.unit_price < _DEAREST:
                raise InvalidError({"UnitPrice": ["'Unit Price' must be greater than '0'."]})
            return wish.unit_price
        product = self._world.products.get(wish.sku)
        if product is None or product.price is None:
            raise RefusedError(
                f"Price not available for SKU: {wish.sku}. Product may not be priced yet."
            )
        return product.price


def _cart(cart: Cart, era: Era) -> dict[str, object]:
    answer: dict[str, object] = {
        "cartId": cart.cart_id,
        "customerId": cart.customer_id,
        "sessionId": cart.session_id,
        "initializedAt": timestamp(cart.initialized_at),
        "items": [line.written() for line in cart.lines.values()],
        "status": cart.status,
        "totalAmount": cart.total,
    }
    if era is Era.NEW:
        answer["appliedCouponCode"] = cart.coupon
        answer["appliedDiscount"] = cart.discount
        answer["discountedTotal"] = max(cart.total - cart.discount, Decimal(0))
    return answer


def _initiated(checkout: Checkout) -> dict[str, object]:
    return {
        "cartId": checkout.cart_id,
        "checkoutId": checkout.checkout_id,
        "customerId": checkout.customer_id,
        "items": [
            {"sku": line.sku, "quantity": line.quantity, "unitPrice": line.unit_price}
            for line in checkout.lines
        ],
        "initiatedAt": timestamp(checkout.started_at),
    }
