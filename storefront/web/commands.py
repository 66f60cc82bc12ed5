"""The commands of the existing front end (contracts.md section 3.1), passed on with the caller's
identity and never twice.

In this order: who asks, whether they may, what they want, whose thing it is, the command. What is
somebody else's is answered as what does not exist, to the byte.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

import structlog
from quart import Blueprint, Response

from storefront.downstream import orders
from storefront.downstream.identity import NewAddress
from storefront.errors import DownstreamError, DownstreamRefusedError, NoSuchThingError
from storefront.web.command_bodies import (
    AddItem,
    CancelOrder,
    ChangeQuantity,
    InitializeCart,
    InvalidBodyError,
    PaymentMethod,
    SaveAddress,
    ShippingAddress,
    ShippingMethod,
)
from storefront.web.command_outcomes import done, failed, missing
from storefront.web.commanding import Commands
from storefront.web.errands import Errand, errand_of
from storefront.web.parts import WebParts
from storefront.web.problems import problem

log = structlog.get_logger(__name__)

# Shopping's bound for a SKU, which is wider than Catalog's: what got into a cart comes out again.
LONGEST_SKU = 50

Act = Callable[..., Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """One command: `missing` are the words where there is no such thing for this caller."""

    method: str
    path: str
    name: str
    missing: str
    act: Act


CART, CHECKOUT = "/api/storefront/carts/<cart_id>", "/api/storefront/checkouts/<checkout_id>"
ORDER = "/api/storefront/orders/<order_id>"
ITEM, ADDRESSES = f"{CART}/items/<sku>", "/api/storefront/customers/<customer>/addresses"
NO_CART, NO_ITEM = "Cart not found", "Cart or item not found"
NO_CHECKOUT, NO_CUSTOMER, NO_ORDER = "Checkout not found", "Customer not found", "Order not found"


async def initialize(errand: Errand) -> Response:
    """A new cart; its id, bare."""
    customer = errand.own((await errand.body(InitializeCart)).customer_id)
    shopping, along = errand.commands.services.shopping, errand.passed_on
    return done(await errand.tell(lambda: shopping.initialize(customer, passed_on=along)))


async def add_item(errand: Errand, cart_id: str) -> Response:
    """Put some of a SKU in."""
    wish = await errand.body(AddItem)
    cart = await errand.own_cart(cart_id)
    shopping, along = errand.commands.services.shopping, errand.passed_on
    line = (cart, wish.sku, wish.quantity, wish.unit_price)
    await errand.tell(lambda: shopping.add_item(*line, passed_on=along))
    return done(status=HTTPStatus.NO_CONTENT)


async def change_quantity(errand: Errand, cart_id: str, sku: str) -> Response:
    """So many of it."""
    wish = await errand.body(ChangeQuantity)
    _check_sku(sku)
    cart = await errand.own_cart(cart_id)
    shopping, along = errand.commands.services.shopping, errand.passed_on
    line = (cart, sku, wish.new_quantity)
    await errand.tell(lambda: shopping.change_quantity(*line, passed_on=along))
    return done(status=HTTPStatus.NO_CONTENT)


async def remove_item(errand: Errand, cart_id: str, sku: str) -> Response:
    """None of it."""
    _check_sku(sku)
    cart = await errand.own_cart(cart_id)
    shopping, along = errand.commands.services.shopping, errand.passed_on
    await errand.tell(lambda: shopping.remove_item(cart, sku, passed_on=along))
    return done(status=HTTPStatus.NO_CONTENT)


async def start_checkout(errand: Errand, cart_id: str) -> Response:
    """A checkout of the cart; Orders may need a moment to know it."""
    cart = await errand.own_cart(cart_id)
    shopping, along = errand.commands.services.shopping, errand.passed_on
    checkout = await errand.tell(lambda: shopping.start_checkout(cart, passed_on=along))
    return done({"checkoutId": checkout})


async def shipping_address(errand: Errand, checkout_id: str) -> Response:
    """Where it goes."""
    wish = await errand.body(ShippingAddress)
    address = orders.ShippingAddress(
        address_line1=wish.address_line1,
        address_line2=wish.address_line2 or None,
        city=wish.city,
        state_or_province=wish.state_or_province,
        postal_code=wish.postal_code,
        country=wish.country,
    )
    checkout = await errand.own_checkout(checkout_id)
    service, along = errand.commands.services.orders, errand.passed_on
    await errand.tell(lambda: service.shipping_address(checkout, address, passed_on=along))
    return done()


async def shipping_method(errand: Errand, checkout_id: str) -> Response:
    """How it goes."""
    wish = await errand.body(ShippingMethod)
    checkout = await errand.own_checkout(checkout_id)
    service, along = errand.commands.services.orders, errand.passed_on
    choice = (checkout, wish.shipping_method, wish.shipping_cost)
    await errand.tell(lambda: service.shipping_method(*choice, passed_on=along))
    return done()


async def payment_method(errand: Errand, checkout_id: str) -> Response:
    """Who pays."""
    wish = await errand.body(PaymentMethod)
    checkout = await errand.own_checkout(checkout_id)
    service, along = errand.commands.services.orders, errand.passed_on
    token = wish.payment_method_token
    await errand.tell(lambda: service.payment_method(checkout, token, passed_on=along))
    return done()


async def complete(errand: Errand, checkout_id: str) -> Response:
    """Order it."""
    checkout = await errand.own_checkout(checkout_id)
    service, along = errand.commands.services.orders, errand.passed_on
    order = await errand.tell(lambda: service.complete(checkout, passed_on=along))
    return done({"orderId": order})


async def cancel_order(errand: Errand, order_id: str) -> Response:
    """Call it off. No part of section 3.1: Orders offers it, and the shop page has a button."""
    wish = await errand.body(CancelOrder)
    order = await errand.own_order(order_id)
    service, along = errand.commands.services.orders, errand.passed_on
    await errand.tell(lambda: service.cancel(order, wish.reason, passed_on=along))
    return done(status=HTTPStatus.ACCEPTED)


async def save_address(errand: Errand, customer: str) -> Response:
    """An address to keep."""
    owner = errand.own(customer)
    wish = await errand.body(SaveAddress)
    errand.own(wish.customer_id)
    address = NewAddress(
        nickname=wish.nickname,
        address_line1=wish.address_line1,
        address_line2=wish.address_line2 or None,
        city=wish.city,
        state_or_province=wish.state_or_province,
        postal_code=wish.postal_code,
        country=wish.country,
    )
    identity, along = errand.commands.services.identity, errand.passed_on
    saved = await errand.tell(lambda: identity.save_address(owner, address, passed_on=along))
    where = f"/api/storefront/customers/{owner}/addresses/{saved}"
    return done({"addressId": saved}, HTTPStatus.CREATED, location=where)


ROUTES = (
    Route("POST", "/api/storefront/carts/initialize", "initialize", NO_CUSTOMER, initialize),
    Route("POST", f"{CART}/items", "add-item", NO_CART, add_item),
    Route("PUT", f"{ITEM}/quantity", "change-quantity", NO_ITEM, change_quantity),
    Route("PATCH", ITEM, "change-quantity", NO_ITEM, change_quantity),
    Route("DELETE", ITEM, "remove-item", NO_ITEM, remove_item),
    Route("POST", f"{CART}/checkout", "start-checkout", NO_CART, start_checkout),
    Route("POST", f"{CHECKOUT}/shipping-address", "address", NO_CHECKOUT, shipping_address),
    Route("POST", f"{CHECKOUT}/shipping-method", "method", NO_CHECKOUT, shipping_method),
    Route("POST", f"{CHECKOUT}/payment-method", "payment", NO_CHECKOUT, payment_method),
    Route("POST", f"{CHECKOUT}/complete", "complete", NO_CHECKOUT, complete),
    Route("POST", f"{ORDER}/cancel", "cancel-order", NO_ORDER, cancel_order),
    Route("POST", ADDRESSES, "save-address", NO_CUSTOMER, save_address),
)


def command_routes(parts: WebParts, commands: Commands) -> Blueprint:
    """The commands' routes."""
    blueprint = Blueprint("commands", __name__)
    for route in ROUTES:
        name = f"{route.method} {route.name}".replace(" ", "-").lower()
        view = _view(route, parts, commands)
        blueprint.add_url_rule(route.path, name, view, methods=[route.method])
    return blueprint


def _view(route: Route, parts: WebParts, commands: Commands) -> Act:
    async def answer(**ids: str) -> Response:
        errand = errand_of(route.name, parts, commands)
        try:
            return await route.act(errand, **ids)
        except NoSuchThingError:
            return missing(route.missing)
        except InvalidBodyError as error:
            return problem(400, "bad-request", str(error), errors=error.errors)
        except DownstreamError as error:
            if not isinstance(error, DownstreamRefusedError):
                reason = type(error).__name__
                log.warning("command failed", command=route.name, reason=reason, sent=errand.sent)
            return failed(error, sent=errand.sent, not_there=route.missing)

    return answer


def _check_sku(sku: str) -> None:
    if not sku.isprintable() or len(sku) > LONGEST_SKU:
        raise NoSuchThingError
