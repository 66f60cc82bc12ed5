"""The checkout half of Orders: address, method, payment, and the order that comes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Annotated

from msgspec import Meta
from quart import Response

from storefront.demo.answers import Command, Route, address_lines, guid, read, refused, reply
from storefront.demo.checkouts import Checkout, Destination
from storefront.demo.front import Era
from storefront.demo.outbox import Outbox
from storefront.demo.refusals import InvalidError, RefusedError
from storefront.demo.ticks import timestamp
from storefront.demo.world import World

Words = Annotated[str, Meta(min_length=1, max_length=100)]
AddressLine = Annotated[str, Meta(min_length=1, max_length=200)]

# A sender beyond this has lost its decimal point.
_DEAREST_SHIPPING = 10**6


class ProvideShippingAddress(Command, frozen=True, kw_only=True):
    address_line1: AddressLine
    address_line2: Annotated[str, Meta(max_length=200)] | None = None
    city: Words
    state_or_province: Words
    postal_code: Annotated[str, Meta(min_length=1, max_length=20)]
    country: Words


class SelectShippingMethod(Command, frozen=True, kw_only=True):
    shipping_method: Words
    shipping_cost: Decimal


class ProvidePaymentMethod(Command, frozen=True, kw_only=True):
    payment_method_token: Annotated[str, Meta(min_length=1, max_length=500)]


class CheckoutRoutes:
    """`/api/checkouts/{id}` and what is below it."""

    def __init__(
        self, world: World, outbox: Outbox, era: Era, begin: Callable[[str], None]
    ) -> None:
        self._world = world
        self._outbox = outbox
        self._era = era
        self._begin = begin

    def routes(self) -> Iterable[Route]:
        checkout = "/api/checkouts/<checkout_id>"
        return (
            Route("GET", checkout, self.get_checkout),
            Route("POST", f"{checkout}/shipping-address", self.provide_address),
            Route("POST", f"{checkout}/shipping-method", self.select_method),
            Route("POST", f"{checkout}/payment-method", self.provide_payment),
            Route("POST", f"{checkout}/complete", self.complete),
        )

    async def get_checkout(self, checkout_id: str) -> Response:
        return reply(_checkout(self._world.checkouts.get(guid(checkout_id))))

    async def provide_address(self, checkout_id: str) -> Response:
        wish = await read(ProvideShippingAddress)
        destination = Destination(
            line1=wish.address_line1,
            line2=wish.address_line2,
            city=wish.city,
            state=wish.state_or_province,
            postal_code=wish.postal_code,
            country=wish.country,
        )
        self._world.checkouts.provide_address(guid(checkout_id), destination)
        return self._recorded(address_lines(destination), "providedAt")

    async def select_method(self, checkout_id: str) -> Response:
        wish = await read(SelectShippingMethod)
        if not 0 <= wish.shipping_cost < _DEAREST_SHIPPING:
            raise InvalidError({"ShippingCost": ["'Shipping Cost' must be at least '0'."]})
        self._world.checkouts.select_method(
            guid(checkout_id), wish.shipping_method, wish.shipping_cost
        )
        event = {"shippingMethod": wish.shipping_method, "shippingCost": wish.shipping_cost}
        return self._recorded(event, "selectedAt")

    async def provide_payment(self, checkout_id: str) -> Response:
        wish = await read(ProvidePaymentMethod)
        self._world.checkouts.provide_payment(guid(checkout_id), wish.payment_method_token)
        return self._recorded({"paymentMethodToken": wish.payment_method_token}, "providedAt")

    async def complete(self, checkout_id: str) -> Response:
        self._outbox.check_room()
        try:
            order, messages = self._world.complete_checkout(guid(checkout_id))
        except RefusedError as error:
            # In NEW this endpoint writes its refusals by hand.
            if self._era is Era.NEW:
                return reply({"detail": str(error)}, error.status)
            return refused(error)
        self._outbox.add(messages)
        self._begin(order.order_id)
        if self._era is Era.SEED:
            return self._recorded({"orderId": order.order_id}, "completedAt")
        return reply({"orderId": order.order_id})

    def _recorded(self, event: dict[str, object], moment: str) -> Response:
        """200 with the recorded event as body, which no caller reads."""
        return reply({**event, moment: timestamp(self._world.now())})


def _checkout(checkout: Checkout) -> dict[str, object]:
    return {
        "checkoutId": checkout.checkout_id,
        "cartId": checkout.cart_id,
        "customerId": checkout.customer_id,
        "items": [line.written() for line in checkout.lines],
        "startedAt": timestamp(checkout.started_at),
        "shippingAddress": address_lines(checkout.destination) if checkout.destination else None,
        "shippingMethod": checkout.shipping_method,
        "shippingCost": checkout.shipping_cost,
        "hasPaymentMethod": checkout.payment_token is not None,
        "isCompleted": checkout.completed,
        "subtotal": checkout.subtotal,
        "total": checkout.total,
    }
