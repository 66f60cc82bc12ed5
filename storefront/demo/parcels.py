"""Shipments: what Fulfillment keeps and tells. One parcel for each order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from storefront.demo.messages import Message, happened
from storefront.demo.placed import Order
from storefront.demo.shelf import Shelf
from storefront.demo.ticks import Now, timestamp

CARRIER = "UPS"
CENTRE = "WH-01"


@dataclass(slots=True, kw_only=True)
class Parcel:
    """A shipment. `status`: Pending, HandedToCarrier, Delivered."""

    shipment_id: str
    order_id: str
    requested_at: int
    status: str = "Pending"
    carrier: str | None = None
    tracking_number: str | None = None
    handed_at: int | None = None
    delivered_at: int | None = None
    attempts: int = 0


class Parcels:
    """The shipments of the newest 10,000 orders."""

    def __init__(self, now: Now, new_id: Callable[[], str]) -> None:
        self._now = now
        self._new_id = new_id
        self._by_order: Shelf[str, Parcel] = Shelf("Shipment")
        self._labels = 0

    def of_order(self, order_id: str) -> Sequence[Parcel]:
        parcel = self._by_order.find(order_id)
        return [parcel] if parcel else []

    def request(self, order: Order) -> None:
        """Start packing. Nothing is published for the customer yet."""
        parcel = Parcel(
            shipment_id=self._new_id(), order_id=order.order_id, requested_at=self._now()
        )
        self._by_order.put(order.order_id, parcel)

    def dispatch(self, order: Order) -> Sequence[Message]:
        """Hand the parcel to the carrier, with a label."""
        parcel, now = self._by_order.get(order.order_id), self._now()
        self._labels += 1
        parcel.carrier, parcel.handed_at, parcel.status = CARRIER, now, "HandedToCarrier"
        # 18 characters, as UPS writes them: 1Z, shipper, service, number.
        parcel.tracking_number = f"1Z999AA1{self._labels:010d}"
        body = {
            "orderId": parcel.order_id,
            "shipmentId": parcel.shipment_id,
            "carrier": parcel.carrier,
            "trackingNumber": parcel.tracking_number,
        }
        return [happened("Fulfillment", "ShipmentDispatched", body, dispatchedAt=now)]

    def deliver(self, order: Order) -> Sequence[Message]:
        """Leave it with whoever opened the door: nobody's name is taken."""
        parcel, now = self._by_order.get(order.order_id), self._now()
        parcel.status, parcel.delivered_at, parcel.attempts = "Delivered", now, 1
        # The one body whose moment is not its last field.
        body = {
            "orderId": parcel.order_id,
            "shipmentId": parcel.shipment_id,
            "deliveredAt": timestamp(now),
            "recipientName": None,
        }
        return [happened("Fulfillment", "ShipmentDelivered", body)]
