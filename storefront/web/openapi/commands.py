"""The commands' routes (web/commands.py), described."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from storefront.domain.ids import CartId, CheckoutId, OrderId
from storefront.queries.shapes import Shape
from storefront.web.command_bodies import (
    AddItem,
    CancelOrder,
    ChangeQuantity,
    InitializeCart,
    PaymentMethod,
    SaveAddress,
    ShippingAddress,
    ShippingMethod,
)
from storefront.web.openapi.describing import (
    SIGNED_IN,
    Answer,
    Operation,
    Parameter,
    guid_in_path,
)

# What any command may come to, besides a no of the service.
_TOLD = (*SIGNED_IN, "refused", "bad-gateway", "not-available", "outcome-unknown")
_OF_A_BODY = ("http-413", "http-415")
_NOT_NOW = "It cannot be done as things are."

_KEY = Parameter(
    name="Idempotency-Key",
    place="header",
    words="Passed on to the service, which may know by it that it was told before.",
    # As a header travels: no blanks at its ends.
    schema={"type": "string", "pattern": "^[!-~]([ -~]{0,253}[!-~])?$"},
)
_CART = guid_in_path("cartId", "The caller's cart.")
_CHECKOUT = guid_in_path("checkoutId", "The caller's checkout.")
_SKU = Parameter(
    name="sku",
    words="Of a line of the cart.",
    place="path",
    required=True,
    schema={"type": "string", "pattern": "^[A-Za-z0-9-]{1,50}$"},
)
_ITEM = "/api/storefront/carts/{cartId}/items/{sku}"


class Started(Shape, frozen=True, kw_only=True):
    """A checkout that was started. Its view may be unknown for a moment."""

    checkout_id: CheckoutId


class Placed(Shape, frozen=True, kw_only=True):
    """An order that was placed."""

    order_id: OrderId


class Saved(Shape, frozen=True, kw_only=True):
    """An address that was saved."""

    address_id: str


_Method = Literal["post", "put", "patch", "delete"]


def _command(
    method: _Method,
    path: str,
    name: str,
    summary: str,
    *parameters: Parameter,
    answer: Answer,
    body: Any = None,
    messages: Mapping[int, str] | None = None,
) -> Operation:
    return Operation(
        method=method,
        paths=(path,),
        name=name,
        summary=summary,
        words="Carried out once at most: a 504 says that nobody knows whether it was.",
        tag="commands",
        parameters=(*parameters, _KEY),
        body=body,
        answers=(answer,),
        problems=(*_TOLD, *(_OF_A_BODY if body is not None else ())),
        messages={400: _NOT_NOW, 404: "There is no such thing.", 409: _NOT_NOW, **(messages or {})},
    )


_DONE = Answer(status=200, words="It was done.")
_NOTHING_TO_TELL = Answer(status=204, words="It was done.")

_CHANGES: tuple[tuple[_Method, str, str], ...] = (
    ("put", f"{_ITEM}/quantity", "changeQuantity"),
    ("patch", _ITEM, "changeQuantity2"),
)

_OF_CARTS = (
    _command(
        "post",
        "/api/storefront/carts/initialize",
        "initializeCart",
        "A new cart",
        body=InitializeCart,
        answer=Answer(status=200, words="Its id, bare.", shape=CartId),
    ),
    _command(
        "post",
        "/api/storefront/carts/{cartId}/items",
        "addItem",
        "Put something into a cart",
        _CART,
        body=AddItem,
        answer=_NOTHING_TO_TELL,
    ),
    *(
        _command(
            method,
            path,
            name,
            "So many of it from now on",
            _CART,
            _SKU,
            body=ChangeQuantity,
            answer=_NOTHING_TO_TELL,
        )
        for method, path, name in _CHANGES
    ),
    _command(
        "delete",
        _ITEM,
        "removeItem",
        "Take something out of a cart",
        _CART,
        _SKU,
        answer=_NOTHING_TO_TELL,
    ),
    _command(
        "post",
        "/api/storefront/carts/{cartId}/checkout",
        "startCheckout",
        "A checkout of a cart",
        _CART,
        answer=Answer(status=200, words="It was started.", shape=Started),
    ),
)

_OF_CHECKOUTS = (
    *(
        _command(
            "post",
            f"/api/storefront/checkouts/{{checkoutId}}/{step}",
            name,
            summary,
            _CHECKOUT,
            body=body,
            answer=_DONE,
        )
        for step, name, summary, body in (
            ("shipping-address", "shippingAddress", "Where it goes", ShippingAddress),
            ("shipping-method", "shippingMethod", "How it goes", ShippingMethod),
            ("payment-method", "paymentMethod", "Who pays", PaymentMethod),
        )
    ),
    _command(
        "post",
        "/api/storefront/checkouts/{checkoutId}/complete",
        "completeCheckout",
        "Order it",
        _CHECKOUT,
        answer=Answer(status=200, words="It was ordered.", shape=Placed),
    ),
)

_OF_ORDERS = (
    _command(
        "post",
        "/api/storefront/orders/{orderId}/cancel",
        "cancelOrder",
        "Call an order off",
        guid_in_path("orderId", "The caller's order."),
        body=CancelOrder,
        answer=Answer(status=202, words="It is being called off; the stream tells of it."),
    ),
)

_OF_CUSTOMERS = (
    _command(
        "post",
        "/api/storefront/customers/{customerId}/addresses",
        "saveAddress",
        "Keep an address for later",
        guid_in_path("customerId", "The caller's own."),
        body=SaveAddress,
        answer=Answer(status=201, words="It is kept.", shape=Saved, headers=("Location",)),
        messages={409: "The nickname is taken."},
    ),
)

COMMANDS = (*_OF_CARTS, *_OF_CHECKOUTS, *_OF_ORDERS, *_OF_CUSTOMERS)
