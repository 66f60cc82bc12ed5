"""Checkouts: what Orders keeps between a full cart and a placed order.

Address, method and payment may come in any order and be changed; completing needs all three and
happens once. None of it is published, an order placed is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from storefront.demo.carts import Cart, Line
from storefront.demo.refusals import NotFoundError, RefusedError
from storefront.demo.shelf import Shelf
from storefront.demo.ticks import SECOND, Now


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where it shall go, in the words of a checkout."""

    line1: str
    line2: str | None
    city: str
    state: str
    postal_code: str
    country: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """All that an order needs besides its lines."""

    customer_id: str
    destination: Destination
    shipping_method: str
    payment_token: str


@dataclass(slots=True, kw_only=True)
class Checkout:
    """A cart on its way to becoming an order; its lines are a copy, prices and all."""

    checkout_id: str
    cart_id: str
    customer_id: str | None
    lines: tuple[Line, ...]
    started_at: int
    destination: Destination | None = None
    shipping_method: str | None = None
    shipping_cost: Decimal | None = None
    payment_token: str | None = None
    completed: bool = False

    @property
    def subtotal(self) -> Decimal:
        return sum((line.total for line in self.lines), Decimal(0))

    @property
    def total(self) -> Decimal:
        return self.subtotal + (self.shipping_cost or Decimal(0))

    def wishes(self) -> Wishes:
        """What the customer has filled in.

        Raises:
            RefusedError: something is missing, or this has become an order already.
        """
        if self.completed:
            raise RefusedError("Checkout has already been completed")
        if self.destination is None:
            raise RefusedError("Shipping address is required to complete checkout")
        if self.shipping_method is None:
            raise RefusedError("Shipping method is required to complete checkout")
        if self.payment_token is None:
            raise RefusedError("Payment method is required to complete checkout")
        if self.customer_id is None:
            raise RefusedError("Customer is required to place an order")
        return Wishes(
            customer_id=self.customer_id,
            destination=self.destination,
            shipping_method=self.shipping_method,
            payment_token=self.payment_token,
        )


class Checkouts:
    """The newest 10,000 checkouts. Commands raise NotFoundError, or RefusedError once completed."""

    def __init__(self, now: Now, new_id: Callable[[], str], delay: float = 0.0) -> None:
        self._now = now
        self._new_id = new_id
        # Shopping tells Orders by message, so the real Orders answers 404 for a short while.
        self._delay = round(delay * SECOND)
        self._by_id: Shelf[str, Checkout] = Shelf("Checkout")

    def start(self, cart: Cart) -> Checkout:
        """A checkout of what is in the cart now."""
        checkout = Checkout(
            checkout_id=self._new_id(),
            cart_id=cart.cart_id,
            customer_id=cart.customer_id,
            lines=tuple(Line(i.sku, i.quantity, i.unit_price) for i in cart.lines.values()),
            started_at=self._now(),
        )
        self._by_id.put(checkout.checkout_id, checkout)
        return checkout

    def get(self, checkout_id: str) -> Checkout:
        checkout = self._by_id.get(checkout_id)
        if self._now() < checkout.started_at + self._delay:
            raise NotFoundError("Checkout not found")
        return checkout

    def provide_address(self, checkout_id: str, destination: Destination) -> None:
        self._open(checkout_id).destination = destination

    def select_method(self, checkout_id: str, method: str, cost: Decimal) -> None:
        checkout = self._open(checkout_id)
        checkout.shipping_method, checkout.shipping_cost = method, cost

    def provide_payment(self, checkout_id: str, token: str) -> None:
        self._open(checkout_id).payment_token = token

    def _open(self, checkout_id: str) -> Checkout:
        checkout = self.get(checkout_id)
        if checkout.completed:
            raise RefusedError("Cannot modify a completed checkout")
        return checkout
