"""Orders, simulated: checkouts and orders over HTTP (contracts.md section 2.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus

from quart import Response, request
from quart_trio import QuartTrio

from storefront.demo.answers import Command, Route, guid, read, reply
from storefront.demo.checkout_routes import CheckoutRoutes
from storefront.demo.counter import open_counter
from storefront.demo.front import Desk
from storefront.demo.outbox import Outbox
from storefront.demo.placed import Order
from storefront.demo.refusals import RefusedError
from storefront.demo.ticks import timestamp
from storefront.demo.world import World


class CancelOrder(Command, frozen=True, kw_only=True):
    reason: str


def orders_app(
    world: World,
    outbox: Outbox,
    desk: Desk | None = None,
    *,
    begin: Callable[[str], None] = lambda _order_id: None,
) -> QuartTrio:
    """The service. `begin` is told the id of each placed order, to send it on its way; without it
    an order stays Placed, which is what most tests want.
    """
    desk = desk or Desk()
    checkouts = CheckoutRoutes(world, outbox, desk.era, begin)
    orders = _OrderRoutes(world, outbox)
    return open_counter("orders", desk, (*checkouts.routes(), *orders.routes()))


class _OrderRoutes:
    """`/api/orders` and what is below it."""

    def __init__(self, world: World, outbox: Outbox) -> None:
        self._world = world
        self._orders = world.orders
        self._outbox = outbox

    def routes(self) -> Iterable[Route]:
        return (
            Route("GET", "/api/orders", self.list_orders),
            Route("GET", "/api/orders/search", self.search),
            Route("GET", "/api/orders/<order_id>", self.get_order),
            Route("POST", "/api/orders/<order_id>/cancel", self.cancel),
            Route("GET", "/api/orders/<order_id>/returnable-items", self.returnable_items),
        )

    async def list_orders(self) -> Response:
        customer = request.args.get("customerId", "")
        if not customer:
            return reply({"error": "customerId is required"}, HTTPStatus.BAD_REQUEST)
        return reply([_summary(order) for order in self._orders.of_customer(guid(customer))])

    async def search(self) -> Response:
        query = request.args.get("query", "")
        order = self._orders.find(guid(query))
        found = [_summary(order)] if order else []
        return reply({"query": query, "totalCount": len(found), "orders": found})

    async def get_order(self, order_id: str) -> Response:
        return reply(_order(self._orders.get(guid(order_id))))

    async def cancel(self, order_id: str) -> Response:
        self._outbox.check_room()
        wish = await read(CancelOrder)
        if not wish.reason.strip():
            raise RefusedError("Cancellation reason is required")
        self._outbox.add(self._world.cancel(guid(order_id), wish.reason))
        return Response(b"", HTTPStatus.ACCEPTED)

    async def returnable_items(self, order_id: str) -> Response:
        order = self._orders.get(guid(order_id))
        if order.status != "Delivered":
            raise RefusedError("Order must be in Delivered status for returnable items query")
        items = [line.written() for line in order.lines]
        return reply({"orderId": order.order_id, "items": items})


def _summary(order: Order) -> dict[str, object]:
    return {
        "orderId": order.order_id,
        "customerId": order.customer_id,
        "placedAt": timestamp(order.placed_at),
        "status": order.status,
        "totalAmount": order.total,
        "itemCount": len(order.lines),
    }


def _order(order: Order) -> dict[str, object]:
    return {
        "orderId": order.order_id,
        "customerId": order.customer_id,
        "lineItems": [line.written() for line in order.lines],
        "shippingAddress": order.address(),
        "shippingMethod": order.shipping_method,
        "totalAmount": order.total,
        "status": order.status,
        "placedAt": timestamp(order.placed_at),
    }
