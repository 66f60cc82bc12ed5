"""Pricing, simulated: what products cost, one by one or fifty at a time (contracts.md section
2.3). It exists in NEW only; at SEED nobody could ask.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from http import HTTPStatus

from quart import Response, request
from quart_trio import QuartTrio

from storefront.demo.answers import Route, reply
from storefront.demo.counter import open_counter
from storefront.demo.front import Desk
from storefront.demo.products import Product
from storefront.demo.ticks import timestamp
from storefront.demo.world import World

# As many as the real service looks up at once.
MOST = 50

_BAD = HTTPStatus.BAD_REQUEST


def pricing_app(world: World, desk: Desk | None = None) -> QuartTrio:
    """The service."""
    return open_counter("pricing", desk or Desk(), _Pricing(world).routes())


class _Pricing:
    def __init__(self, world: World) -> None:
        self._products = world.products
        self._since = timestamp(world.now())

    def routes(self) -> Iterable[Route]:
        return (
            Route("GET", "/api/pricing/products", self.get_prices),
            Route("GET", "/api/pricing/products/<sku>", self.get_price),
        )

    async def get_price(self, sku: str) -> Response:
        product = self._products.get(sku.upper())
        if product is None:
            message = f"SKU '{sku}' has not been registered in Pricing yet."
            return reply({"message": message}, HTTPStatus.NOT_FOUND)
        return reply(self._written(product))

    async def get_prices(self) -> Response:
        """What is unknown is left out; a bare array."""
        asked = [sku.strip().upper() for sku in request.args.get("skus", "").split(",")]
        skus = [sku for sku in dict.fromkeys(asked) if sku]
        if not skus:
            return reply({"message": "Query parameter 'skus' is required."}, _BAD)
        if len(skus) > MOST:
            message = f"Maximum {MOST} SKUs per request. Received: {len(skus)}"
            return reply({"message": message}, _BAD)
        known = (self._products.get(sku) for sku in skus)
        return reply([self._written(product) for product in known if product])

    def _written(self, product: Product) -> dict[str, object]:
        unpriced = product.price is None
        return {
            "id": product.sku,
            "sku": product.sku,
            "basePrice": Decimal(0) if unpriced else product.price,
            "currency": "USD",
            "status": "Unpriced" if unpriced else "Published",
            "hasPendingSchedule": False,
            "lastUpdatedAt": self._since,
        }
