"""The views, as JSON has them (contracts.md section 3.2 and the design document's section 8).

Money is Decimal and written as a JSON number with its scale kept. What is not known is null, never
0 or true. `isStale` and `meta` stand beside the view's own fields and are written by `rendering`.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

import msgspec

from storefront.domain.ids import CartId, CheckoutId, CustomerId, OrderId

UNKNOWN_PRODUCT = "Unknown Product"


class Shape(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """One JSON object."""


class LineItem(Shape, frozen=True, kw_only=True):
    """A line of a cart or a checkout, in the owning service's order."""

    sku: str
    product_name: str
    product_image_url: str
    quantity: int
    unit_price: Decimal
    line_total: Decimal


class CartView(Shape, frozen=True, kw_only=True):
    """The cart page."""

    cart_id: CartId | None
    customer_id: CustomerId
    items: Sequence[LineItem]
    subtotal: Decimal


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
    """The checkout page. `current_step`: 1 address, 2 shipping method, 3 payment, 4 review."""

    checkout_id: CheckoutId
    customer_id: CustomerId
    current_step: Step
    items: Sequence[LineItem]
    saved_addresses: Sequence[SavedAddress]
    subtotal: Decimal
    shipping_cost: Decimal | None  # null until a method is chosen
    total: Decimal
    can_proceed_to_next_step: bool


class OrderLine(Shape, frozen=True, kw_only=True):
    """A line of a placed order."""

    sku: str
    quantity: int
    unit_price: Decimal
    line_total: Decimal


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
