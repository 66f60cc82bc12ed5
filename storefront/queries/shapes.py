"""The views, as JSON has them (contracts.md section 3.2 and the design document's section 8).

Money is Decimal and written as a JSON number with its scale kept. What is not known is null, never
0 or true. `isStale` and `meta` stand beside the view's own fields and are written by `rendering`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from storefront.domain.ids import CartId, CheckoutId, CustomerId, OrderId
from storefront.queries.parts import State

UNKNOWN_PRODUCT = "Unknown Product"


class Shape(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """One JSON object."""


class SourceState(Shape, frozen=True, kw_only=True):
    """How one service's share of a view came about, and how many milliseconds ago it was asked."""

    state: State
    age_ms: int


class Meta(Shape, frozen=True, kw_only=True):
    """How fresh a view is, and how whole.

    `stream_position` is the id to open the stream with, so that nothing is missed between the view
    and the stream; null where the log could not say, and then the view is to be asked for again
    once the stream is open.
    """

    freshness: Literal["live", "cached", "expired"]
    complete: bool
    as_of: str  # ISO 8601, when the composition began
    stream_position: str | None
    sources: Mapping[str, SourceState]


class Details(Shape, frozen=True, kw_only=True):
    """More of a product than a cart shows."""

    description: str | None
    category: str | None
    brand: str | None


class LineItem(Shape, frozen=True, kw_only=True):
    """A line of a cart or a checkout, in the owning service's order.

    The last three are there where `?include=` asked for them, and null where nobody knows.
    """

    sku: str
    product_name: str
    product_image_url: str
    quantity: int
    unit_price: Decimal
    line_total: Decimal
    details: Details | UnsetType | None = UNSET
    current_price: Decimal | UnsetType | None = UNSET
    stock: int | UnsetType | None = UNSET


class CartView(Shape, frozen=True, kw_only=True):
    """The cart page. `cart_id` is null where the customer has no cart.

    Of a cart with too many lines the first are shown; `subtotal` is of all of them, and
    `lines_left_out` is there and says how many are not shown.
    """

    cart_id: CartId | None
    customer_id: CustomerId
    items: Sequence[LineItem]
    subtotal: Decimal
    lines_left_out: int | UnsetType = UNSET


class SavedAddress(Shape, frozen=True, kw_only=True):
    """An address to choose from; the single fields where the service tells them."""

    address_id: str
    nickname: str
    display_line: str
    address_line1: str | None = None
    city: str | None = None
    state_or_province: str | None = None
    postal_code: str | None = None
    country: str | None = None


Step = Annotated[int, msgspec.Meta(ge=1, le=4)]


class CheckoutView(Shape, frozen=True, kw_only=True):
    """The checkout page. `current_step`: 1 address, 2 shipping method, 3 payment, 4 review.

    `can_proceed_to_next_step` is false where there is nothing to go on with: a checkout without
    items, or one that is completed. `lines_left_out` as in a cart.
    """

    checkout_id: CheckoutId
    customer_id: CustomerId
    current_step: Step
    items: Sequence[LineItem]
    saved_addresses: Sequence[SavedAddress]
    subtotal: Decimal
    shipping_cost: Decimal | None  # null until a method is chosen
    total: Decimal
    can_proceed_to_next_step: bool
    lines_left_out: int | UnsetType = UNSET


class OrderLine(Shape, frozen=True, kw_only=True):
    """A line of a placed order. The last two are there where `?include=products` asked."""

    sku: str
    quantity: int
    unit_price: Decimal
    line_total: Decimal
    product_name: str | UnsetType = UNSET
    product_image_url: str | UnsetType = UNSET


class PaymentPart(Shape, frozen=True, kw_only=True):
    """How the payment of an order stands."""

    status: str
    amount: Decimal | None = None


class ShipmentPart(Shape, frozen=True, kw_only=True):
    """One shipment of an order."""

    shipment_id: str
    status: str
    tracking_number: str | None
    occurred_at: str | None = None


class OrderView(Shape, frozen=True, kw_only=True):
    """The order page: status from Orders, payment and shipments where anybody knows of them."""

    order_id: OrderId
    customer_id: CustomerId
    status: str
    placed_at: str
    total_amount: Decimal
    items: Sequence[OrderLine]
    payment: PaymentPart | None
    shipments: Sequence[ShipmentPart] | None


class OrderSummary(Shape, frozen=True, kw_only=True):
    """One line of the order history."""

    order_id: OrderId
    customer_id: CustomerId
    placed_at: str
    status: str
    total_amount: Decimal
    item_count: int


class ListedProduct(Shape, frozen=True, kw_only=True):
    """A product in a listing; price and stock are null where nobody who knows is configured."""

    sku: str
    name: str
    price: Decimal | None
    primary_image_url: str
    category: str
    is_in_stock: bool | None


class ProductListingView(Shape, frozen=True, kw_only=True):
    """One page of the catalogue."""

    products: Sequence[ListedProduct]
    total_count: int
    page: int
    page_size: int


# All of them, for whoever describes them.
VIEWS = (CartView, CheckoutView, OrderView, OrderSummary, ProductListingView)
