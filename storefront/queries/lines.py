"""The lines of a cart or a checkout, with the products they name. A product that nobody knows, or
that could not be asked for, keeps its line: what the customer chose is never taken off the page.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol, TypeVar

from msgspec import UNSET, UnsetType

from storefront.downstream.catalog import Product
from storefront.queries.asking import Asked, Asking
from storefront.queries.including import Included
from storefront.queries.parts import Part, Source, together
from storefront.queries.shapes import UNKNOWN_PRODUCT, Details, LineItem

T = TypeVar("T")

# A product by its SKU; a Part without a value and without a hole is a SKU that Catalog does not
# know.
AskProduct = Callable[[str], Awaitable[Part[Product]]]
# Of several SKUs; what has no price is left out. Both settle their failures likewise.
AskPrices = Callable[[Iterable[str]], Awaitable[Part[Mapping[str, Decimal]]]]
AskStock = Callable[[str], Awaitable[Part[int]]]


class Line(Protocol):
    """What Shopping and Orders say of a line."""

    @property
    def sku(self) -> str: ...
    @property
    def quantity(self) -> int: ...
    @property
    def unit_price(self) -> Decimal: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelves:
    """Whom to ask about products.

    Attributes:
        product: by its SKU.
        prices: of SKUs; None where Pricing is not configured.
        stock: of a SKU; None where Inventory is not configured.
    """

    product: AskProduct
    prices: AskPrices | None = None
    stock: AskStock | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Enquiry:
    """What is being asked about the SKUs of some lines, to be read once that is over."""

    products: Mapping[str, Asked[Product]]
    prices: Asked[Mapping[str, Decimal]] | None
    stock: Mapping[str, Asked[int]] | None
    details: bool

    def sources(self) -> dict[str, Source]:
        """What to say of those who were asked."""
        prices = [] if self.prices is None else [self.prices]
        said = {
            "catalog": together(asked.part.source for asked in self.products.values()),
            "pricing": together(asked.part.source for asked in prices),
            "inventory": together(asked.part.source for asked in (self.stock or {}).values()),
        }
        return {name: source for name, source in said.items() if source is not None}

    def item(self, line: Line) -> LineItem:
        """The line as the view shows it."""
        product = self.products[line.sku].part.value
        return LineItem(
            sku=line.sku,
            product_name=UNKNOWN_PRODUCT if product is None else product.name,
            product_image_url="" if product is None else product.primary_image,
            quantity=line.quantity,
            unit_price=line.unit_price,
            line_total=line.quantity * line.unit_price,
            details=_details(product) if self.details else UNSET,
            current_price=self._price(line.sku),
            stock=self._stock(line.sku),
        )

    def _price(self, sku: str) -> Decimal | UnsetType | None:
        if self.prices is None:
            return UNSET
        known = self.prices.part.value
        return None if known is None else known.get(sku)

    def _stock(self, sku: str) -> int | UnsetType | None:
        return UNSET if self.stock is None else self.stock[sku].part.value


def enquire(asking: Asking, shelves: Shelves, lines: Iterable[Line], include: Included) -> Enquiry:
    """Ask about the products of these lines: one question per distinct SKU."""
    skus = list(dict.fromkeys(line.sku for line in lines))
    return Enquiry(
        products={sku: asking.take(shelves.product, sku) for sku in skus},
        prices=asking.take(shelves.prices, skus) if "prices" in include and skus else None,
        stock={sku: asking.take(shelves.stock, sku) for sku in skus}
        if "stock" in include
        else None,
        details="details" in include,
    )


def subtotal_of(lines: Iterable[Line]) -> Decimal:
    """What the lines come to, at the prices they hold; 0 of none."""
    return sum((line.quantity * line.unit_price for line in lines), Decimal(0))


def shown(lines: Sequence[T], most: int) -> tuple[Sequence[T], int | UnsetType]:
    """The first `most` lines, and how many are left out where any are."""
    beyond = len(lines) - most
    return (lines[:most], beyond) if beyond > 0 else (lines, UNSET)


def _details(product: Product | None) -> Details | None:
    if product is None:
        return None
    return Details(description=product.description, category=product.category, brand=product.brand)
