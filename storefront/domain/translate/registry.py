"""The rows: which message is read by which class and told by which function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from storefront.domain import messages as said
from storefront.domain.events import StorefrontEvent
from storefront.domain.translate import carts, orders, returns, shipments
from storefront.domain.translate.known import Known


@dataclass(frozen=True, slots=True)
class Translation:
    """One row: the type's name after `Messages.Contracts.`, its class, its function."""

    name: str
    message: type[said.Message]
    event: Callable[[Any, Known], StorefrontEvent]


TRANSLATIONS = (
    Translation("Shopping.ItemAdded", said.ItemAdded, carts.cart_changed),
    Translation("Shopping.ItemQuantityChanged", said.ItemQuantityChanged, carts.cart_changed),
    Translation("Shopping.ItemRemoved", said.ItemRemoved, carts.cart_changed),
    Translation("Shopping.CouponApplied", said.CouponApplied, carts.cart_changed),
    Translation("Shopping.CouponRemoved", said.CouponRemoved, carts.cart_changed),
    Translation("Orders.OrderPlaced", said.OrderPlaced, orders.order_placed),
    Translation("Orders.OrderCancelled", said.OrderCancelled, orders.order_cancelled),
    Translation("Payments.PaymentAuthorized", said.PaymentAuthorized, orders.payment_authorized),
    Translation("Payments.PaymentCaptured", said.PaymentCaptured, orders.payment_captured),
    Translation("Payments.PaymentFailed", said.PaymentFailed, orders.payment_failed),
    Translation("Payments.RefundCompleted", said.RefundCompleted, orders.refund_completed),
    Translation("Payments.RefundFailed", said.RefundFailed, orders.refund_failed),
    Translation(
        "Inventory.ReservationConfirmed", said.ReservationConfirmed, orders.reservation_confirmed
    ),
    Translation(
        "Inventory.ReservationCommitted", said.ReservationCommitted, orders.reservation_committed
    ),
    Translation("Inventory.ReservationFailed", said.ReservationFailed, orders.reservation_failed),
    Translation("Fulfillment.ShipmentDispatched", said.ShipmentDispatched, shipments.dispatched),
    Translation(
        "Fulfillment.ShipmentHandedToCarrier",
        said.ShipmentHandedToCarrier,
        shipments.handed_to_carrier,
    ),
    Translation(
        "Fulfillment.TrackingNumberAssigned",
        said.TrackingNumberAssigned,
        shipments.tracking_number_assigned,
    ),
    Translation("Fulfillment.ShipmentDelivered", said.ShipmentDelivered, shipments.delivered),
    Translation(
        "Fulfillment.ShipmentDeliveryFailed",
        said.ShipmentDeliveryFailed,
        shipments.delivery_failed,
    ),
    Translation(
        "Fulfillment.DeliveryAttemptFailed", said.DeliveryAttemptFailed, shipments.attempt_failed
    ),
    Translation(
        "Fulfillment.ReturnToSenderInitiated",
        said.ReturnToSenderInitiated,
        shipments.returning_to_sender,
    ),
    Translation("Fulfillment.BackorderCreated", said.BackorderCreated, shipments.backordered),
    Translation("Fulfillment.ShipmentLostInTransit", said.ShipmentLostInTransit, shipments.lost),
    Translation("Returns.ReturnRequested", said.ReturnRequested, returns.requested),
    Translation("Returns.ReturnApproved", said.ReturnApproved, returns.approved),
    Translation("Returns.ReturnDenied", said.ReturnDenied, returns.denied),
    Translation("Returns.ReturnReceived", said.ReturnReceived, returns.received),
    Translation("Returns.ReturnRejected", said.ReturnRejected, returns.rejected),
    Translation("Returns.ReturnExpired", said.ReturnExpired, returns.expired),
    Translation("Returns.ReturnCompleted", said.ReturnCompleted, returns.completed),
)

NAMESPACE = "Messages.Contracts."

_BY_NAME = {row.name: row for row in TRANSLATIONS} | {
    NAMESPACE + row.name: row for row in TRANSLATIONS
}


def translation_of(type_name: str) -> Translation | None:
    """The row for a message type: its full .NET name, or the last two segments of it.

    Contracts.md section 4.4.
    """
    return _BY_NAME.get(type_name)
