"""What a browser hears: the StorefrontEvent union, `eventType` first (contracts.md section 1.5).

Money is Decimal from the wire to the wire, and written as a JSON number with its scale kept: 39.90
stays 39.90.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from storefront.domain.ids import CartId, CustomerId, OrderId, ReturnId, ShipmentId
from storefront.domain.instants import Instant


class _Event(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="eventType", rename="camel", gc=False
):
    """One thing that a customer may know, addressed to exactly one customer."""


class CartUpdated(_Event, frozen=True, kw_only=True, gc=False, tag="cart-updated"):
    """The cart is now this. `item_count` counts distinct lines, not pieces (contracts.md section
    1.2).
    """

    cart_id: CartId
    customer_id: CustomerId
    item_count: int
    total_amount: Decimal
    occurred_at: Instant


class OrderStatusChanged(_Event, frozen=True, kw_only=True, gc=False, tag="order-status-changed"):
    """The order has come to `new_status`, one word of contracts.md sections 1.2 and 1.2b."""

    order_id: OrderId
    customer_id: CustomerId
    new_status: str
    occurred_at: Instant


class ShipmentStatusChanged(
    _Event, frozen=True, kw_only=True, gc=False, tag="shipment-status-changed"
):
    """One shipment of an order has come to `new_status`; an order may have several shipments."""

    shipment_id: ShipmentId
    order_id: OrderId
    customer_id: CustomerId
    new_status: str
    tracking_number: str | None
    occurred_at: Instant


class ReturnStatusChanged(_Event, frozen=True, kw_only=True, gc=False, tag="return-status-changed"):
    """One return of an order has come to `new_status`; `details` is a sentence for the customer."""

    return_id: ReturnId
    order_id: OrderId
    customer_id: CustomerId
    new_status: str
    details: str | None
    occurred_at: Instant


StorefrontEvent = CartUpdated | OrderStatusChanged | ShipmentStatusChanged | ReturnStatusChanged


def _write_instant(value: object) -> str:
    if isinstance(value, Instant):
        return value.text
    # What msgspec asks an enc_hook to raise for a type that is not its business: a bug of ours.
    raise NotImplementedError(type(value).__name__)


_encoder = msgspec.json.Encoder(enc_hook=_write_instant, decimal_format="number")


def encode(event: StorefrontEvent) -> bytes:
    """The event as one line of JSON."""
    return _encoder.encode(event)


_OPENING = b'{"eventType":"'
_OCCURRED = b'"occurredAt":"'


def event_type(encoded: bytes) -> str:
    """The `eventType` of an encoded event, which stands first; "" where it does not."""
    if not encoded.startswith(_OPENING):
        return ""
    start = len(_OPENING)
    return encoded[start : encoded.index(b'"', start)].decode("ascii", "replace")


def occurred_at(encoded: bytes) -> float | None:
    """When an encoded event occurred, by its sender's word, in seconds since 1970; None where it
    does not tell.
    """
    # It stands last, so the way there is short. Inside a text its quotation marks would be escaped.
    start = encoded.rfind(_OCCURRED)
    if start < 0:
        return None
    start += len(_OCCURRED)
    try:
        return Instant(encoded[start : encoded.index(b'"', start)].decode()).at.timestamp()
    except ValueError:
        return None
