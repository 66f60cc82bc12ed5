"""Product Catalog, simulated (contracts.md section 2.3). Enums are integers here, nulls are
written, and nobody knows a price.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from quart import Response, request
from quart_trio import QuartTrio

from storefront.demo.answers import Route, reply, whole_number
from storefront.demo.counter import open_counter
from storefront.demo.front import Desk, Era
from storefront.demo.products import Product, fixed_guid
from storefront.demo.refusals import NotFoundError
from storefront.demo.ticks import timestamp
from storefront.demo.world import World

_STATUSES = ("active", "discontinued", "comingsoon", "outofseason")


def catalog_app(world: World, desk: Desk | None = None) -> QuartTrio:
    """The service."""
    desk = desk or Desk()
    return open_counter("catalog", desk, _Catalog(world, desk.era).routes())


class _Catalog:
    def __init__(self, world: World, era: Era) -> None:
        self._products = world.products
        self._era = era
        self._since = timestamp(world.now())

    def routes(self) -> Iterable[Route]:
        return (
            Route("GET", "/api/products", self.list_products),
            Route("GET", "/api/products/<sku>", self.get_product),
        )

    async def get_product(self, sku: str) -> Response:
        if sku not in self._products:
            raise NotFoundError("Product not found")
        return reply(self._written(self._products[sku]), nulls=True)

    async def list_products(self) -> Response:
        found = self._matching(request.args.get("category"), request.args.get("status"))
        page = max(1, whole_number(request.args.get("page"), 1))
        size = min(max(1, whole_number(request.args.get("pageSize"), 20)), 100)
        shown = [self._written(p) for p in found[(page - 1) * size : page * size]]
        total = len(found)
        if self._era is Era.SEED:
            listing = {"products": shown, "page": page, "pageSize": size, "totalCount": total}
        else:
            listing = {"items": shown, "totalCount": total, "page": page, "pageSize": size}
        return reply(listing, nulls=True)

    def _matching(self, category: str | None, status: str | None) -> Sequence[Product]:
        wanted = _status(status)
        return sorted(
            (
                product
                for product in self._products.values()
                if (not category or product.category == category)
                and (wanted is None or product.status == wanted)
            ),
            key=lambda product: product.sku,
        )

    def _written(self, product: Product) -> dict[str, object]:
        new = self._era is Era.NEW
        vendor = {"vendorTenantId": None, "assignedBy": None, "assignedAt": None} if new else {}
        image = {"url": product.picture, "altText": product.name, "sortOrder": 0}
        return {
            "id": fixed_guid(f"product/{product.sku}") if new else product.sku,
            "sku": product.sku,
            "name": product.name,
            "description": product.description,
            "longDescription": None,
            "category": product.category,
            "subcategory": None,
            "brand": product.brand,
            "images": [image],
            "tags": list(product.tags),
            "dimensions": None,
            "status": product.status,
            "isDeleted": False,
            **vendor,
            "addedAt": self._since,
            "updatedAt": None,
        }


def _status(text: str | None) -> int | None:
    """A status by name or number, in any case; what is neither counts as not given."""
    wanted = (text or "").lower()
    if wanted in _STATUSES:
        return _STATUSES.index(wanted)
    return int(wanted) if wanted.isdecimal() else None
