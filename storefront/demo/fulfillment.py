"""Fulfillment, simulated: the shipments of an order, NEW only (contracts.md section 2.5)."""

from __future__ import annotations

from collections.abc import Iterable

from quart import Response, request
from quart_trio import QuartTrio

from storefront.demo.answers import Route, guid, reply
from storefront.demo.counter import open_counter
from storefront.demo.front import Desk, Era
from storefront.demo.parcels import CENTRE, Parcel
from storefront.demo.ticks import timestamp
from storefront.demo.world import World


def fulfillment_app(world: World, desk: Desk | None = None) -> QuartTrio:
    """The service. At SEED it answered no question at all."""
    desk = desk or Desk()
    routes = _Fulfillment(world).routes() if desk.era is Era.NEW else ()
    return open_counter("fulfillment", desk, routes)


class _Fulfillment:
    def __init__(self, world: World) -> None:
        self._parcels = world.parcels

    def routes(self) -> Iterable[Route]:
        return (Route("GET", "/api/fulfillment/shipments", self.list_shipments),)

    async def list_shipments(self) -> Response:
        order_id = guid(request.args.get("orderId", ""))
        return reply([_shipment(parcel) for parcel in self._parcels.of_order(order_id)])


def _shipment(parcel: Parcel) -> dict[str, object]:
    return {
        "id": parcel.shipment_id,
        "orderId": parcel.order_id,
        "status": parcel.status,
        "carrier": parcel.carrier,
        "trackingNumber": parcel.tracking_number,
        "assignedFulfillmentCenter": CENTRE,
        "requestedAt": timestamp(parcel.requested_at),
        "handedToCarrierAt": _moment(parcel.handed_at),
        "deliveredAt": _moment(parcel.delivered_at),
        "deliveryAttemptCount": parcel.attempts,
    }


def _moment(ticks: int | None) -> str | None:
    return None if ticks is None else timestamp(ticks)
