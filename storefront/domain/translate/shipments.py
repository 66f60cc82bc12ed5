"""`shipment-status-changed`, in the one vocabulary of contracts.md sections 1.2, 1.2b and 1.3."""

from __future__ import annotations

from storefront.domain import messages as said
from storefront.domain.events import ShipmentStatusChanged
from storefront.domain.ids import order_id, shipment_id
from storefront.domain.instants import Instant
from storefront.domain.translate.known import Known

# The third attempt is the last one a carrier makes.
LAST_ATTEMPT = 3


def dispatched(message: said.ShipmentDispatched, known: Known) -> ShipmentStatusChanged:
    number = message.tracking_number
    return _shipment(message, known, "Dispatched", message.dispatched_at, number)


def handed_to_carrier(message: said.ShipmentHandedToCarrier, known: Known) -> ShipmentStatusChanged:
    number = message.tracking_number
    return _shipment(message, known, "Shipped", message.handed_at, number)


def tracking_number_assigned(
    message: said.TrackingNumberAssigned, known: Known
) -> ShipmentStatusChanged:
    number = message.tracking_number
    return _shipment(message, known, "Label created", message.assigned_at, number)


def delivered(message: said.ShipmentDelivered, known: Known) -> ShipmentStatusChanged:
    return _shipment(message, known, "Delivered", message.delivered_at)


def delivery_failed(message: said.ShipmentDeliveryFailed, known: Known) -> ShipmentStatusChanged:
    return _shipment(message, known, "Delivery failed", message.failed_at)


def attempt_failed(message: said.DeliveryAttemptFailed, known: Known) -> ShipmentStatusChanged:
    number = message.attempt_number
    status = (
        "Final delivery attempt failed"
        if number >= LAST_ATTEMPT
        else f"Delivery attempt {number} failed"
    )
    return _shipment(message, known, status, message.attempt_date)


def returning_to_sender(
    message: said.ReturnToSenderInitiated, known: Known
) -> ShipmentStatusChanged:
    return _shipment(message, known, "Returning to sender", message.initiated_at)


def backordered(message: said.BackorderCreated, known: Known) -> ShipmentStatusChanged:
    return _shipment(message, known, "Backordered", message.created_at)


def lost(message: said.ShipmentLostInTransit, known: Known) -> ShipmentStatusChanged:
    # The dash is the contract's.
    status = "Lost in transit \N{EM DASH} under investigation"
    return _shipment(message, known, status, message.detected_at)


def _shipment(
    message: said.ShipmentMessage,
    known: Known,
    status: str,
    moment: Instant,
    tracking_number: str | None = None,
) -> ShipmentStatusChanged:
    return ShipmentStatusChanged(
        shipment_id=shipment_id(message.shipment_id),
        order_id=order_id(message.order_id),
        customer_id=known.customer,
        new_status=status,
        tracking_number=tracking_number,
        occurred_at=moment,
    )
