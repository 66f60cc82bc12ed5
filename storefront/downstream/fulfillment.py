"""Fulfillment: the shipments of an order, where one may ask (contracts.md section 2.5)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

import msgspec

from storefront.domain.ids import OrderId, ShipmentId
from storefront.domain.instants import Instant
from storefront.downstream.answers import Answer, Count, Items, decoder, read
from storefront.downstream.client import Client


class Shipment(Answer, frozen=True, kw_only=True):
    """One shipment; an order may have several. `shipment_id` is the service's `id`."""

    guids: ClassVar[tuple[str, ...]] = ("shipment_id", "order_id")

    shipment_id: ShipmentId = msgspec.field(name="id")
    order_id: OrderId
    status: str
    carrier: str | None = None
    tracking_number: str | None = None
    assigned_fulfillment_center: str | None = None
    requested_at: Instant | None = None
    handed_to_carrier_at: Instant | None = None
    delivered_at: Instant | None = None
    delivery_attempt_count: Count = 0


_shipments = decoder(Items[Shipment])


class Fulfillment(Client):
    """Questions to Fulfillment. Each raises DownstreamError when it lets us down, and
    DownstreamAbsentError where it is too old for the question or keeps the answer from us.
    """

    async def shipments(self, order: OrderId) -> Sequence[Shipment]:
        """The shipments of an order."""
        path = ("api", "fulfillment", "shipments")
        meaning = partial(self._shipments, order)
        return await self._ask_if_there(meaning, *path, query={"orderId": order})

    def _shipments(self, order: OrderId, body: bytes) -> Sequence[Shipment]:
        found = read(self.name, _shipments, body, "a list of shipments")
        if any(shipment.order_id != order for shipment in found):
            self._refuse("another order's shipment")
        return found
