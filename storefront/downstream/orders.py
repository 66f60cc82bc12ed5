"""Orders: checkouts, and the orders that come of them (contracts.md section 2.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import ClassVar
from uuid import UUID

import msgspec

from storefront.domain.ids import CartId, CheckoutId, CustomerId, OrderId, customer_id
from storefront.domain.instants import Instant
from storefront.downstream.answers import Answer, Count, Items, decoder, read
from storefront.downstream.client import Client, whatever
from storefront.downstream.commands import NOTHING, PassedOn
from storefront.downstream.http import Told


class OrderLine(Answer, frozen=True, kw_only=True):
    """One SKU of a checkout or an order."""

    sku: str
    quantity: Count
    unit_price: Decimal
    line_total: Decimal | None = None


class ShippingAddress(Answer, frozen=True, kw_only=True):
    """Where a checkout goes, as read and as sent."""

    address_line1: str
    city: str
    state_or_province: str
    postal_code: str
    country: str
    address_line2: str | None = None


class Checkout(Answer, frozen=True, kw_only=True):
    """CheckoutResponse. `customer_id` is None for a visitor who has not signed in."""

    guids: ClassVar[tuple[str, ...]] = ("checkout_id", "cart_id", "customer_id")

    checkout_id: CheckoutId
    items: Items[OrderLine]
    has_payment_method: bool
    is_completed: bool
    cart_id: CartId | None = None
    customer_id: CustomerId | None = None
    shipping_address: ShippingAddress | None = None
    shipping_method: str | None = None
    shipping_cost: Decimal | None = None
    subtotal: Decimal | None = None
    total: Decimal | None = None


class OrderSummary(Answer, frozen=True, kw_only=True):
    """One order of a customer's history."""

    guids: ClassVar[tuple[str, ...]] = ("order_id", "customer_id")

    order_id: OrderId
    customer_id: CustomerId
    placed_at: Instant
    status: str
    total_amount: Decimal
    item_count: Count


class Destination(Answer, frozen=True, kw_only=True):
    """Where an order goes; other names than a checkout's."""

    street: str
    city: str
    state: str
    postal_code: str
    country: str
    street2: str | None = None


class Order(Answer, frozen=True, kw_only=True):
    """OrderResponse."""

    guids: ClassVar[tuple[str, ...]] = ("order_id", "customer_id")

    order_id: OrderId
    customer_id: CustomerId
    line_items: Items[OrderLine]
    total_amount: Decimal
    status: str
    placed_at: Instant
    shipping_address: Destination | None = None
    shipping_method: str | None = None


class _Owned(msgspec.Struct, frozen=True, rename="camel"):
    """What `customer` needs of an order, and no more; as `shopping._Totalled`."""

    order_id: UUID
    customer_id: UUID


class _Completed(Answer, frozen=True, kw_only=True):
    guids: ClassVar[tuple[str, ...]] = ("order_id",)

    order_id: OrderId


_checkouts = decoder(Checkout)
_histories = decoder(Items[OrderSummary])
_orders = decoder(Order)
_owned = decoder(_Owned)
_completed = decoder(_Completed)


class Orders(Client):
    """Questions and commands to Orders. Each raises DownstreamError when it lets us down, and a
    command also DownstreamRefusedError with its 4xx.
    """

    async def checkout(self, checkout: CheckoutId) -> Checkout | None:
        """The checkout of that id; None for no such checkout, or none yet. Whose it is, is the
        caller's to look at: no event tells, and nobody else knows.
        """
        meaning = partial(self._checkout, checkout)
        return await self._ask(meaning, "api", "checkouts", checkout)

    async def history(self, customer: CustomerId) -> Sequence[OrderSummary]:
        """A customer's orders, newest first."""
        meaning = partial(self._history, customer)
        query = {"customerId": customer}
        return await self._ask(meaning, "api", "orders", query=query) or ()

    async def order(self, order: OrderId, owner: CustomerId | None = None) -> Order | None:
        """The order of that id; None for no such order.

        Args:
            order: its id.
            owner: whose it is, where that is known, for then another's is no answer; None: it is
                the caller's to look at.
        """
        return await self._ask(partial(self._order, order, owner), "api", "orders", order)

    async def customer(self, order: OrderId) -> CustomerId | None:
        """Whose order it is; None where Orders knows no such order."""
        return await self._ask(partial(self._customer, order), "api", "orders", order)

    async def shipping_address(
        self, checkout: CheckoutId, address: ShippingAddress, *, passed_on: PassedOn = NOTHING
    ) -> None:
        """Where the checkout goes."""
        wish = {"checkoutId": checkout, **msgspec.to_builtins(address)}
        await self._step(checkout, "shipping-address", wish, passed_on)

    async def shipping_method(
        self,
        checkout: CheckoutId,
        method: str,
        cost: Decimal,
        *,
        passed_on: PassedOn = NOTHING,
    ) -> None:
        """How it goes, and for how much."""
        wish = {"checkoutId": checkout, "shippingMethod": method, "shippingCost": cost}
        await self._step(checkout, "shipping-method", wish, passed_on)

    async def payment_method(
        self, checkout: CheckoutId, token: str, *, passed_on: PassedOn = NOTHING
    ) -> None:
        """Who pays: a token of the payment provider's, of which nothing is ever logged."""
        wish = {"checkoutId": checkout, "paymentMethodToken": token}
        await self._step(checkout, "payment-method", wish, passed_on)

    async def complete(self, checkout: CheckoutId, *, passed_on: PassedOn = NOTHING) -> OrderId:
        """Order it. The answer's id is the order's, and another than the checkout's."""
        path = ("api", "checkouts", checkout, "complete")
        wish = {"checkoutId": checkout}
        return await self._tell(self._completed, "POST", *path, wish=wish, passed_on=passed_on)

    async def cancel(self, order: OrderId, reason: str, *, passed_on: PassedOn = NOTHING) -> None:
        """Call an order off, while that can be done; the no is a 409."""
        path = ("api", "orders", order, "cancel")
        await self._tell(whatever, "POST", *path, wish={"reason": reason}, passed_on=passed_on)

    async def _step(
        self, checkout: CheckoutId, step: str, wish: Mapping[str, object], passed_on: PassedOn
    ) -> None:
        # The body of the answer is the recorded event, which is none of ours.
        path = ("api", "checkouts", checkout, step)
        await self._tell(whatever, "POST", *path, wish=wish, passed_on=passed_on)

    def _checkout(self, checkout: CheckoutId, body: bytes) -> Checkout:
        found = read(self.name, _checkouts, body, "a checkout")
        if found.checkout_id != checkout:
            self._refuse("another checkout than the one asked for")
        return found

    def _history(self, customer: CustomerId, body: bytes) -> Sequence[OrderSummary]:
        found = read(self.name, _histories, body, "a list of orders")
        if any(summary.customer_id != customer for summary in found):
            self._refuse("another customer's order")
        return found

    def _order(self, order: OrderId, owner: CustomerId | None, body: bytes) -> Order:
        found = read(self.name, _orders, body, "an order")
        if found.order_id != order:
            self._refuse("another order than the one asked for")
        if owner not in {None, found.customer_id}:
            self._refuse("another customer's order")
        return found

    def _customer(self, order: OrderId, body: bytes) -> CustomerId:
        found = read(self.name, _owned, body, "an order")
        if str(found.order_id) != order:
            self._refuse("another order than the one asked for")
        return customer_id(found.customer_id)

    def _completed(self, told: Told) -> OrderId:
        return read(self.name, _completed, told.body, "an order id").order_id
