"""The product listing: Catalog's page, with prices and stock where somebody who knows is there.

The listing is everybody's, and holds nothing of anybody's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from storefront.downstream.catalog import Product, ProductPage
from storefront.queries.asking import asking
from storefront.queries.lines import Shelves
from storefront.queries.parts import Composed, insist, together
from storefront.queries.shapes import ListedProduct, ProductListingView

CATALOG = "catalog"
# Contracts.md section 3.1: a page below 1 is the first, no size is twenty, and a hundred is most.
FIRST_PAGE = 1
USUAL_SIZE = 20
LARGEST_SIZE = 100
# Catalog's pages are numbers of .NET; beyond the last there is nothing anyway.
_LAST_PAGE = 2**31 - 1


class AskCatalog(Protocol):
    """What the listing asks of Catalog (downstream/catalog.py)."""

    async def products(self, category: str | None, page: int, page_size: int) -> ProductPage: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which products: clamped, so that no number is refused."""

    category: str | None
    page: int
    page_size: int

    @classmethod
    def clamped(cls, category: str | None, page: int, page_size: int) -> Page:
        """The page that is meant."""
        return cls(
            category=category or None,
            page=min(max(page, FIRST_PAGE), _LAST_PAGE),
            page_size=min(page_size, LARGEST_SIZE) if page_size > 0 else USUAL_SIZE,
        )


async def compose_listing(
    catalog: AskCatalog, shelves: Shelves, wanted: Page, *, at_once: int, deadline: float
) -> Composed[ProductListingView]:
    """One page of what is sold; beyond the last, an empty one.

    Raises:
        DownstreamError: Catalog let us down.
    """
    question = (wanted.category, wanted.page, wanted.page_size)
    page, source = await insist(deadline, CATALOG, catalog.products, *question)
    # A page is what was asked for, whatever the service thinks of sizes.
    products = page.products[: wanted.page_size]
    skus = list(dict.fromkeys(product.sku for product in products))
    async with asking(deadline, at_once=at_once) as ask:
        prices = ask.take(shelves.prices, skus)
        stock = {sku: ask.take(shelves.stock, sku) for sku in skus}
    known = prices.part.value or {}
    view = ProductListingView(
        products=[_listed(p, known, stock[p.sku].part.value) for p in products],
        total_count=page.total_count,
        page=wanted.page,
        page_size=wanted.page_size,
    )
    sources = {
        CATALOG: source,
        "pricing": prices.part.source,
        "inventory": together(asked.part.source for asked in stock.values()),
    }
    told = {name: said for name, said in sources.items() if said is not None}
    return Composed(view=view, owner=None, sources=told)


def _listed(product: Product, prices: Mapping[str, Decimal], stock: int | None) -> ListedProduct:
    return ListedProduct(
        sku=product.sku,
        name=product.name,
        price=prices.get(product.sku),
        primary_image_url=product.primary_image,
        category=product.category or "",
        is_in_stock=None if stock is None else stock > 0,
    )
