"""The views' routes (web/views.py), described."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from storefront.queries.including import OF_LINES, OF_ORDERS, Included
from storefront.queries.products import FIRST_PAGE, LARGEST_SIZE, USUAL_SIZE
from storefront.queries.shapes import (
    CartView,
    CheckoutView,
    OrderSummary,
    OrderView,
    ProductListingView,
)
from storefront.web.openapi.describing import (
    SIGNED_IN,
    Answer,
    Operation,
    Parameter,
    guid_in_path,
)
from storefront.web.openapi.schemas import GUID

_COMPOSED = ("not-acceptable", "not-available", "overloaded")
_OF_A_VIEW = ("ETag", "Cache-Status", "Cache-Control")
# The numbers that `page` and `pageSize` may be; beyond what exists they are clamped.
_NUMBER = {"type": "integer", "minimum": -(10**18) + 1, "maximum": 10**18 - 1}


def _include(offered: Included) -> Parameter:
    return Parameter(
        name="include",
        words="More of it, at the price of more services that can be slow.",
        schema={"type": "array", "items": {"type": "string", "enum": sorted(offered)}},
        extra={"style": "form", "explode": False},
    )


def _shown(shape: Any, words: str) -> tuple[Answer, ...]:
    unchanged = "What the caller has still holds."
    return (
        Answer(status=200, words=words, shape=shape, view=True, headers=_OF_A_VIEW),
        Answer(status=304, words=unchanged, headers=_OF_A_VIEW),
    )


_IF_NONE_MATCH = Parameter(
    name="If-None-Match",
    place="header",
    words="The ETag of what the caller has.",
    schema={"type": "string"},
)

VIEWS = (
    Operation(
        method="get",
        paths=("/api/carts/{customerId}/view",),
        name="cartOfCustomer",
        summary="A customer's cart",
        words="A customer without a cart gets an empty one.",
        tag="views",
        parameters=(
            guid_in_path("customerId", "Whose; anybody's with the role `support`."),
            _include(OF_LINES),
            _IF_NONE_MATCH,
        ),
        answers=_shown(CartView, "The cart."),
        problems=(*SIGNED_IN, *_COMPOSED),
    ),
    Operation(
        method="get",
        paths=("/api/storefront/carts/{cartId}",),
        name="cart",
        summary="A cart by its id",
        tag="views",
        parameters=(
            guid_in_path("cartId", "The cart."),
            _include(OF_LINES),
            _IF_NONE_MATCH,
        ),
        answers=_shown(CartView, "The cart."),
        problems=(*SIGNED_IN, "not-found", *_COMPOSED),
    ),
    Operation(
        method="get",
        paths=("/api/checkouts/{checkoutId}/view", "/api/storefront/checkouts/{checkoutId}"),
        name="checkout",
        summary="A checkout: its lines, the saved addresses, and which step is next",
        tag="views",
        parameters=(
            guid_in_path("checkoutId", "The checkout."),
            _include(OF_LINES),
            _IF_NONE_MATCH,
        ),
        answers=_shown(CheckoutView, "The checkout."),
        problems=(*SIGNED_IN, "not-found", *_COMPOSED),
    ),
    Operation(
        method="get",
        paths=("/api/orders/{orderId}/view", "/api/storefront/orders/{orderId}"),
        name="order",
        summary="An order: its status, payment and shipments",
        tag="views",
        parameters=(
            guid_in_path("orderId", "The order."),
            _include(OF_ORDERS),
            _IF_NONE_MATCH,
        ),
        answers=_shown(OrderView, "The order."),
        problems=(*SIGNED_IN, "not-found", *_COMPOSED),
    ),
    Operation(
        method="get",
        paths=("/api/orders", "/api/storefront/orders"),
        name="orderHistory",
        summary="A customer's orders, newest first",
        tag="views",
        parameters=(
            Parameter(
                name="customerId",
                words="Whose; left out, the caller's own. Anybody's with the role `support`.",
                schema=GUID,
            ),
            _IF_NONE_MATCH,
        ),
        answers=(
            Answer(
                status=200,
                words="The orders: a bare array, whose `meta` travels in a header.",
                shape=Sequence[OrderSummary],
                headers=(*_OF_A_VIEW, "Storefront-Meta"),
            ),
            Answer(
                status=304,
                words="What the caller has still holds.",
                headers=(*_OF_A_VIEW, "Storefront-Meta"),
            ),
        ),
        problems=(*SIGNED_IN, *_COMPOSED),
    ),
    Operation(
        method="get",
        paths=("/api/products", "/api/storefront/products"),
        name="products",
        summary="What is sold, a page at a time",
        words="Price and stock are null where nobody who knows is configured.",
        tag="views",
        parameters=(
            Parameter(
                name="category",
                words="Only of this category.",
                schema={"type": "string", "maxLength": 100},
            ),
            Parameter(
                name="page",
                words="From 1; below it, the first.",
                schema={**_NUMBER, "default": FIRST_PAGE},
            ),
            Parameter(
                name="pageSize",
                words=f"At most {LARGEST_SIZE}; below 1, the usual size.",
                schema={**_NUMBER, "default": USUAL_SIZE},
            ),
            _IF_NONE_MATCH,
        ),
        answers=_shown(ProductListingView, "The page; beyond the last, an empty one."),
        problems=("bad-request", *_COMPOSED),
        public=True,
    ),
)
