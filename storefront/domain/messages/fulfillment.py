"""Fulfillment: where a parcel is (contracts.md sections 1.1 and 1.3).

An order may travel in several parcels, so a shipment's id says which. All of it names the order
only.
"""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec

from storefront.domain.instants import Instant
from storefront.domain.messages.base import OrderMessage


class ShipmentMessage(OrderMessage, frozen=True, kw_only=True, gc=False):
    """A message about one parcel of an order."""

    shipment_id: UUID


class ShipmentDispatched(ShipmentMessage, frozen=True, kw_only=True, gc=False):
    tracking_number: str | None = None
    dispatched_at: Instant


class ShipmentHandedToCarrier(ShipmentMessage, frozen=True, kw_only=True, gc=False):
    tracking_number: str | None = None
    handed_at: Instant


class TrackingNumberAssigned(ShipmentMessage, frozen=True, kw_only=True, gc=False):
    tracking_number: str
    assigned_at: Instant


class ShipmentDelivered(ShipmentMessage, frozen=True, kw_only=True, gc=False):
    delivered_at: Instant


class ShipmentDeliveryFailed(ShipmentMessage, frozen=True, kw_only=True, gc=False):
    failed_at: Instant


class DeliveryAttemptFailed(ShipmentMessage, frozen=True, kw_only=True, gc=False):
    attempt_number: Annotated[int, msgspec.Meta(ge=1, le=1000)]
    attempt_date: Instant


class ReturnToSenderInitiated(ShipmentMessage, frozen=True, kw_only=True, gc=False):
    initiated_at: Instant


class BackorderCreated(ShipmentMessage, frozen=True, kw_only=True, gc=False):
    created_at: Instant


class ShipmentLostInTransit(ShipmentMessage, frozen=True, kw_only=True, gc=False):
    detected_at: Instant
