"""Product Catalog: what is sold, and never for how much (contracts.md section 2.3)."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import msgspec

from storefront.downstream.answers import Answer, Count, Items, decoder, read
from storefront.downstream.client import Client

# Catalog's enums travel as numbers; another age of it may write the words.
STATUSES = ("Active", "Discontinued", "ComingSoon", "OutOfSeason")

Page = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]


class Image(Answer, frozen=True, kw_only=True):
    """A picture of a product."""

    url: str
    alt_text: str | None = None
    sort_order: int = 0


class Product(Answer, frozen=True, kw_only=True):
    """A product. `status` is one of STATUSES, or a word or number that we do not know."""

    sku: str
    name: str
    description: str | None = None
    long_description: str | None = None
    category: str | None = None
    subcategory: str | None = None
    brand: str | None = None
    images: Items[Image] | None = None
    tags: Items[str] | None = None
    status: str | int = "Active"
    is_deleted: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.status, int):
            known = 0 <= self.status < len(STATUSES)
            word = STATUSES[self.status] if known else str(self.status)
            msgspec.structs.force_setattr(self, "status", word)

    @property
    def primary_image(self) -> str:
        """The URL of its first picture, in Catalog's order; "" where there is none."""
        return self.images[0].url if self.images else ""


class ProductPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a listing, ordered by SKU."""

    products: tuple[Product, ...]
    page: int
    page_size: int
    total_count: int


class _Listing(Answer, frozen=True, kw_only=True):
    """An older Catalog says `products`, a newer `items`."""

    page: Page
    page_size: Page
    total_count: Count
    items: Items[Product] | None = None
    products: Items[Product] | None = None


_products = decoder(Product)
_listings = decoder(_Listing)


class Catalog(Client):
    """Questions to Catalog. Each raises DownstreamError when it lets us down."""

    async def product(self, sku: str) -> Product | None:
        """The product; None for no such SKU."""
        return await self._ask(partial(self._product, sku), "api", "products", sku)

    async def products(self, category: str | None, page: int, page_size: int) -> ProductPage:
        """One page, counted from 1, of at most 100 products.

        Args:
            category: as Catalog spells it; None for all.
            page: from 1.
            page_size: 1 to 100.
        """
        query = {"page": str(page), "pageSize": str(page_size)}
        if category:
            query["category"] = category
        found = await self._ask(self._page, "api", "products", query=query)
        if found is None:
            return ProductPage(products=(), page=page, page_size=page_size, total_count=0)
        return found

    def _product(self, sku: str, body: bytes) -> Product:
        found = read(self.name, _products, body, "a product")
        if found.sku.casefold() != sku.casefold():
            self._refuse("another product than the one asked for")
        return found

    def _page(self, body: bytes) -> ProductPage:
        found = read(self.name, _listings, body, "a page of products")
        products = found.products if found.items is None else found.items
        if products is None:
            self._refuse("a page without products")
        return ProductPage(
            products=products,
            page=found.page,
            page_size=found.page_size,
            total_count=found.total_count,
        )
