"""Carts: what Shopping keeps. Adding the same SKU merges quantities, at the price first seen.

    Active --checkout--> CheckedOut;  Active --clear--> Cleared;  both are terminal

Commands return the integration messages they cause.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal

from storefront.demo.messages import NOBODY, Body, Message, happened
from storefront.demo.refusals import NotFoundError, RefusedError
from storefront.demo.shelf import Shelf
from storefront.demo.ticks import Now

# Ten times what the Storefront shows of one cart; the line beyond is refused with 400.
LINES_EACH = 1_000

# Code to share of the total. The real Promotions service would be asked.
COUPONS = {"WELCOME10": Decimal("0.10"), "TREATS25": Decimal("0.25")}

_TERMINAL = "Cannot modify a cart that has been abandoned, cleared, or checked out"


@dataclass(slots=True)
class Line:
    """One SKU in a cart. The price is frozen when the line is made."""

    sku: str
    quantity: int
    unit_price: Decimal

    @property
    def total(self) -> Decimal:
        return self.unit_price * self.quantity

    def written(self) -> dict[str, object]:
        """The line as every service of the shop writes it."""
        return {
            "sku": self.sku,
            "quantity": self.quantity,
            "unitPrice": self.unit_price,
            "lineTotal": self.total,
        }


@dataclass(slots=True, kw_only=True)
class Cart:
    """A cart; without a customer it is a visitor's, known by session only."""

    cart_id: str
    customer_id: str | None
    session_id: str | None
    initialized_at: int
    status: str = "Active"
    lines: dict[str, Line] = field(default_factory=dict)
    coupon: str | None = None
    discount: Decimal = Decimal(0)

    @property
    def total(self) -> Decimal:
        """The sum of the lines, with their scale; of no lines, a plain 0, as .NET adds."""
        return sum((line.total for line in self.lines.values()), Decimal(0))

    def check_open(self, refusal: str = _TERMINAL) -> None:
        if self.status != "Active":
            raise RefusedError(refusal)

    def line(self, sku: str) -> Line:
        if sku not in self.lines:
            raise NotFoundError(f"Item {sku} not found in cart")
        return self.lines[sku]

    def tell(self, name: str, body: Body, **moments: int) -> Message:
        """A message of Shopping about this cart."""
        owner = {"cartId": self.cart_id, "customerId": self.customer_id or NOBODY}
        return happened("Shopping", name, {**owner, **body}, **moments)


class Carts:
    """The newest 10,000 carts. Every command raises NotFoundError for a cart it does not know and
    RefusedError for one that is terminal.
    """

    def __init__(self, now: Now, new_id: Callable[[], str]) -> None:
        self._now = now
        self._new_id = new_id
        self._by_id: Shelf[str, Cart] = Shelf("Cart")

    def initialise(self, customer_id: str | None, session_id: str | None = None) -> Cart:
        """A new, empty cart. Nothing is published: nobody has put anything anywhere."""
        cart = Cart(
            cart_id=self._new_id(),
            customer_id=customer_id,
            session_id=session_id,
            initialized_at=self._now(),
        )
        self._by_id.put(cart.cart_id, cart)
        return cart

    def get(self, cart_id: str) -> Cart:
        return self._by_id.get(cart_id)

    def of_customer(self, customer_id: str) -> Cart | None:
        """The customer's newest cart that is still open."""
        for cart in self._by_id.newest_first():
            if cart.customer_id == customer_id and cart.status == "Active":
                return cart
        return None

    def add(self, cart_id: str, sku: str, quantity: int, unit_price: Decimal) -> Sequence[Message]:
        """Put something in; the message tells the added quantity and the price asked now."""
        cart = self._open(cart_id)
        if sku in cart.lines:
            cart.lines[sku].quantity += quantity
        elif len(cart.lines) < LINES_EACH:
            cart.lines[sku] = Line(sku, quantity, unit_price)
        else:
            raise RefusedError("The cart is full")
        added = {"sku": sku, "quantity": quantity, "unitPrice": unit_price}
        return [cart.tell("ItemAdded", added, addedAt=self._now())]

    def change(self, cart_id: str, sku: str, quantity: int) -> Sequence[Message]:
        """Set a line's quantity."""
        cart = self._open(cart_id)
        line = cart.line(sku)
        changed = {"sku": sku, "oldQuantity": line.quantity, "newQuantity": quantity}
        line.quantity = quantity
        return [cart.tell("ItemQuantityChanged", changed, changedAt=self._now())]

    def remove(self, cart_id: str, sku: str) -> Sequence[Message]:
        """Take a line out."""
        cart = self._open(cart_id)
        del cart.lines[cart.line(sku).sku]
        return [cart.tell("ItemRemoved", {"sku": sku}, removedAt=self._now())]

    def clear(self, cart_id: str) -> Sequence[Message]:
        """Empty the cart for good, one ItemRemoved per line.

        The real service publishes nothing here and leaves the customer's other tabs wrong; those of
        the demo should be right.
        """
        cart = self._open(
            cart_id, "Cannot clear a cart that has been abandoned, cleared, or checked out"
        )
        skus, now = list(cart.lines), self._now()
        cart.lines.clear()
        cart.status = "Cleared"
        return [cart.tell("ItemRemoved", {"sku": sku}, removedAt=now) for sku in skus]

    def apply_coupon(self, cart_id: str, code: str) -> Sequence[Message]:
        """Take a share off the total as it is now."""
        cart = self._open(cart_id)
        if not cart.lines:
            raise RefusedError("Cannot apply coupon to empty cart")
        if code not in COUPONS:
            raise RefusedError(f"Coupon code '{code}' is invalid")
        cart.coupon = code
        cart.discount = (cart.total * COUPONS[code]).quantize(Decimal("0.01"), ROUND_HALF_EVEN)
        applied = {"couponCode": code, "discountAmount": cart.discount}
        return [cart.tell("CouponApplied", applied, appliedAt=self._now())]

    def remove_coupon(self, cart_id: str) -> Sequence[Message]:
        """Give the discount up."""
        cart = self._open(cart_id)
        if cart.coupon is None:
            raise RefusedError("No coupon applied to cart")
        code, cart.coupon, cart.discount = cart.coupon, None, Decimal(0)
        return [cart.tell("CouponRemoved", {"couponCode": code}, removedAt=self._now())]

    def check_out(self, cart_id: str) -> Cart:
        """Close the cart; Shopping tells Orders about it, which is no message of ours."""
        cart = self._open(
            cart_id,
            "Cannot initiate checkout for a cart that has been abandoned, cleared, or already "
            "checked out",
        )
        if not cart.lines:
            raise RefusedError("Cannot checkout an empty cart")
        cart.status = "CheckedOut"
        return cart

    def _open(self, cart_id: str, refusal: str = _TERMINAL) -> Cart:
        cart = self._by_id.get(cart_id)
        cart.check_open(refusal)
        return cart
