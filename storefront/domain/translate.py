"""From what a service says to what a browser hears: one function and one row per message.

Adding a notification is one class in `messages`, one function here, one row in TRANSLATIONS. A
function gets what the message cannot know (`Known`) and does nothing but put it together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from storefront.domain import messages as said
from storefront.domain.events import (
    CartUpdated,
    OrderStatusChanged,
    ShipmentStatusChanged,
    StorefrontEvent,
)
from storefront.domain.ids import CustomerId, cart_id, order_id, shipment_id
from storefront.domain.instants import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What a cart comes to: distinct lines, and the sum of quantity times unit price."""

    item_count: int
    total_amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What had to be found out before a message could be translated."""

    customer: CustomerId
    totals: Totals | None = None


def totals_in(message: said.CartMessage) -> Totals | None:
    """The totals a cart message carries itself; None where Shopping must be asked."""
    if message.item_count is None or message.total_amount is None:
        return None
    return Totals(item_count=message.item_count, total_amount=message.total_amount)


def cart_changed(message: said.CartMessage, known: Known) -> StorefrontEvent:
    totals, moment = known.totals or totals_in(message), message.moment
    if totals is None or moment is None:
        raise ValueError("a cart message is translated once its totals are known")
    return CartUpdated(
        cart_id=cart_id(message.cart_id),
        customer_id=known.customer,
        item_count=totals.item_count,
        total_amount=totals.total_amount,
        occurred_at=moment,
    )


def order_placed(message: said.OrderPlaced, known: Known) -> StorefrontEvent:
    return _order(message, known, "Placed", message.placed_at)


def payment_authorized(message: said.PaymentAuthorized, known: Known) -> StorefrontEvent:
    return _order(message, known, "PaymentAuthorized", message.authorized_at)


def reservation_confirmed(message: said.ReservationConfirmed, known: Known) -> StorefrontEvent:
    return _order(message, known, "InventoryReserved", message.reserved_at)


def shipment_dispatched(message: said.ShipmentDispatched, known: Known) -> StorefrontEvent:
    return ShipmentStatusChanged(
        shipment_id=shipment_id(message.shipment_id),
        order_id=order_id(message.order_id),
        customer_id=known.customer,
        new_status="Dispatched",
        tracking_number=message.tracking_number,
        occurred_at=message.dispatched_at,
    )


def _order(
    message: said.OrderPlaced | said.OrderMessage, known: Known, status: str, moment: Instant
) -> OrderStatusChanged:
    return OrderStatusChanged(
        order_id=order_id(message.order_id),
        customer_id=known.customer,
        new_status=status,
        occurred_at=moment,
    )


@dataclass(frozen=True, slots=True)
class Translation:
    """One row: the type's name after `Messages.Contracts.`, its class, its function."""

    name: str
    message: type[said.Message]
    event: Callable[[Any, Known], StorefrontEvent]


TRANSLATIONS = (
    Translation("Shopping.ItemAdded", said.ItemAdded, cart_changed),
    Translation("Shopping.ItemQuantityChanged", said.ItemQuantityChanged, cart_changed),
    Translation("Shopping.ItemRemoved", said.ItemRemoved, cart_changed),
    Translation("Orders.OrderPlaced", said.OrderPlaced, order_placed),
    Translation("Payments.PaymentAuthorized", said.PaymentAuthorized, payment_authorized),
    Translation("Inventory.ReservationConfirmed", said.ReservationConfirmed, reservation_confirmed),
    Translation("Fulfillment.ShipmentDispatched", said.ShipmentDispatched, shipment_dispatched),
)

NAMESPACE = "Messages.Contracts."

_BY_NAME = {row.name: row for row in TRANSLATIONS} | {
    NAMESPACE + row.name: row for row in TRANSLATIONS
}


def translation_of(type_name: str) -> Translation | None:
    """The row for a message type, by its full .NET name or its last two segments (contracts.md
    section 4.4).
    """
    return _BY_NAME.get(type_name)
