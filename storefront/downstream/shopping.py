"""Shopping: carts (contracts.md section 2.1)."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Annotated, ClassVar
from uuid import UUID

import msgspec

from storefront.domain.ids import CartId, CheckoutId, CustomerId, customer_id
from storefront.domain.translate import Totals
from storefront.downstream.answers import Answer, Count, Items, decoder, is_price, read
from storefront.downstream.client import Client, whatever
from storefront.downstream.commands import NOTHING, PassedOn, created
from storefront.downstream.http import Told


class CartLine(Answer, frozen=True, kw_only=True):
    """One SKU of a cart, at the price it had when it was put in first."""

    sku: str
    quantity: Count
    unit_price: Decimal
    line_total: Decimal | None = None


class Cart(Answer, frozen=True, kw_only=True):
    """CartResponse. `customer_id` is None for a visitor who has not signed in."""

    guids: ClassVar[tuple[str, ...]] = ("cart_id", "customer_id")

    cart_id: CartId
    items: Items[CartLine]
    customer_id: CustomerId | None = None
    status: str = "Active"
    total_amount: Decimal | None = None


class _Line(msgspec.Struct, frozen=True, rename="camel"):
    sku: str
    quantity: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
    unit_price: Decimal

    def __post_init__(self) -> None:
        if not is_price(self.unit_price):
            raise ValueError("not a price")


class _Totalled(msgspec.Struct, frozen=True, rename="camel"):
    """What `totals` needs of a cart, and no more: a field that nobody asked for must not keep a
    message from its customer, which `Cart` would.
    """

    cart_id: UUID
    items: list[_Line]
    customer_id: UUID | None = None  # left out for a visitor who has not signed in


class _Initiated(Answer, frozen=True, kw_only=True):
    """Which of the two it is depends on the age of the service."""

    guids: ClassVar[tuple[str, ...]] = ("value", "checkout_id")

    value: CheckoutId | None = None
    checkout_id: CheckoutId | None = None


_carts = decoder(Cart)
_totalled = decoder(_Totalled)
_initiated = decoder(_Initiated)


class Shopping(Client):
    """Questions and commands to Shopping. Each raises DownstreamError when it lets us down, and a
    command also DownstreamRefusedError with its 4xx.
    """

    async def cart(self, cart: CartId, owner: CustomerId | None = None) -> Cart | None:
        """The cart of that id; None for no such cart.

        Args:
            cart: its id.
            owner: whose it is, where that is known, for then another's is no answer; None: it is
                the caller's to look at.
        """
        return await self._ask(partial(self._cart, cart, owner), "api", "carts", cart)

    async def cart_of(self, customer: CustomerId) -> Cart | None:
        """A customer's cart, where Shopping understands a customer's id in the place of a cart's,
        as the design document has it. The real service does not, and says None.
        """
        return await self._ask(partial(self._cart_of, customer), "api", "carts", customer)

    async def totals(self, cart: CartId, customer: CustomerId) -> Totals | None:
        """What this customer's cart comes to: distinct lines, sum of quantity times unit price;
        None for no such cart.
        """
        return await self._ask(partial(self._totals, cart, customer), "api", "carts", cart)

    async def initialize(self, customer: CustomerId, *, passed_on: PassedOn = NOTHING) -> CartId:
        """A new cart for the customer."""
        wish = {"customerId": customer, "sessionId": None}
        made = partial(created, self.name)
        told = await self._tell(made, "POST", "api", "carts", wish=wish, passed_on=passed_on)
        return CartId(told)

    async def add_item(
        self,
        cart: CartId,
        sku: str,
        quantity: int,
        unit_price: Decimal | None = None,
        *,
        passed_on: PassedOn = NOTHING,
    ) -> None:
        """Put some of a SKU in. An older Shopping needs the price from us, a newer asks Pricing."""
        wish: dict[str, object] = {"cartId": cart, "sku": sku, "quantity": quantity}
        if unit_price is not None:
            wish["unitPrice"] = unit_price
        path = ("api", "carts", cart, "items")
        await self._tell(whatever, "POST", *path, wish=wish, passed_on=passed_on)

    async def change_quantity(
        self, cart: CartId, sku: str, quantity: int, *, passed_on: PassedOn = NOTHING
    ) -> None:
        """So many of a SKU that is in the cart."""
        wish = {"cartId": cart, "sku": sku, "newQuantity": quantity}
        path = ("api", "carts", cart, "items", sku, "quantity")
        await self._tell(whatever, "PUT", *path, wish=wish, passed_on=passed_on)

    async def remove_item(self, cart: CartId, sku: str, *, passed_on: PassedOn = NOTHING) -> None:
        """None of a SKU."""
        # An older Shopping reads a body even here, a newer only the path (contracts.md 2.1).
        wish = {"cartId": cart, "sku": sku}
        path = ("api", "carts", cart, "items", sku)
        await self._tell(whatever, "DELETE", *path, wish=wish, passed_on=passed_on)

    async def start_checkout(self, cart: CartId, *, passed_on: PassedOn = NOTHING) -> CheckoutId:
        """A checkout of the cart; Orders may need a moment to know it."""
        path = ("api", "carts", cart, "checkout")
        wish = {"cartId": cart}
        return await self._tell(self._started, "POST", *path, wish=wish, passed_on=passed_on)

    def _cart(self, cart: CartId, owner: CustomerId | None, body: bytes) -> Cart:
        found = read(self.name, _carts, body, "a cart")
        if found.cart_id != cart:
            self._refuse("another cart than the one asked for")
        if owner is not None and found.customer_id != owner:
            self._refuse("another customer's cart")
        return found

    def _cart_of(self, customer: CustomerId, body: bytes) -> Cart:
        found = read(self.name, _carts, body, "a cart")
        if found.customer_id != customer:
            self._refuse("another customer's cart")
        return found

    def _totals(self, cart: CartId, customer: CustomerId, body: bytes) -> Totals:
        found = read(self.name, _totalled, body, "a cart")
        if str(found.cart_id) != cart:
            self._refuse("another cart than the one asked for")
        if found.customer_id is not None and customer_id(found.customer_id) != customer:
            # What it comes to is that customer's business, and goes to nobody else's screen.
            self._refuse("another customer's cart")
        total = sum((line.quantity * line.unit_price for line in found.items), Decimal(0))
        if not is_price(total):
            self._refuse("a cart beyond all prices")
        return Totals(item_count=len(found.items), total_amount=total)

    def _started(self, told: Told) -> CheckoutId:
        found = read(self.name, _initiated, told.body, "a checkout")
        checkout = found.value or found.checkout_id
        if checkout is None:
            self._refuse("a checkout without an id")
        return checkout
