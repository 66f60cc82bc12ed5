"""Inventory, simulated: read-only, NEW only (contracts.md section 2.5)."""

from __future__ import annotations

from collections.abc import Iterable

from quart import Response
from quart_trio import QuartTrio

from storefront.demo.answers import Route, reply
from storefront.demo.counter import open_counter
from storefront.demo.front import Desk, Era
from storefront.demo.refusals import NotFoundError
from storefront.demo.warehouse import WAREHOUSE, Stock
from storefront.demo.world import World


def inventory_app(world: World, desk: Desk | None = None) -> QuartTrio:
    """The service. At SEED it answered no question at all."""
    desk = desk or Desk()
    routes = _Inventory(world).routes() if desk.era is Era.NEW else ()
    return open_counter("inventory", desk, routes)


class _Inventory:
    def __init__(self, world: World) -> None:
        self._warehouse = world.warehouse

    def routes(self) -> Iterable[Route]:
        return (
            Route("GET", "/api/inventory/availability/<sku>", self.availability),
            Route("GET", "/api/inventory/<sku>", self.levels),
        )

    async def availability(self, sku: str) -> Response:
        """Of a SKU that no warehouse has: no warehouses, and none available."""
        stock = self._warehouse.stock(sku)
        shelves = [_shelf(stock)] if stock else []
        total = stock.available if stock else 0
        return reply({"sku": sku, "warehouses": shelves, "totalAvailable": total})

    async def levels(self, sku: str) -> Response:
        stock = self._warehouse.stock(sku)
        if stock is None:
            raise NotFoundError("Inventory not found")
        return reply(
            {
                "sku": sku,
                "warehouseId": WAREHOUSE,
                "availableQuantity": stock.available,
                "reservedQuantity": stock.reserved,
                "committedQuantity": stock.committed,
                "totalOnHand": stock.available + stock.reserved + stock.committed,
            }
        )


def _shelf(stock: Stock) -> dict[str, object]:
    return {"warehouseId": WAREHOUSE, "availableQuantity": stock.available}
