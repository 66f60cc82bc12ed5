"""Pricing: what products cost, fifty at a time (contracts.md section 2.3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import islice

from storefront.downstream.answers import Answer, Items, decoder, read
from storefront.downstream.client import Client

# As many as Pricing looks up at once; more are refused.
MOST_AT_ONCE = 50
_WITHOUT_A_PRICE = "Unpriced"


class _Price(Answer, frozen=True, kw_only=True):
    """`base_price` is 0 of what has no price: the status says so."""

    sku: str
    base_price: Decimal | None = None
    status: str = "Published"


_prices = decoder(Items[_Price])


class Pricing(Client):
    """Questions to Pricing. Each raises DownstreamError when it lets us down, and
    DownstreamAbsentError where it keeps the answer from us.
    """

    async def prices(self, skus: Iterable[str]) -> Mapping[str, Decimal]:
        """The prices of these SKUs, fifty to a question; what has none is left out."""
        # A comma separates, so a SKU that holds one cannot be asked for.
        pending = iter([sku for sku in dict.fromkeys(skus) if sku and "," not in sku])
        found: dict[str, Decimal] = {}
        while asked := list(islice(pending, MOST_AT_ONCE)):
            query = {"skus": ",".join(asked)}
            prices = await self._ask_if_there(
                self._prices, "api", "pricing", "products", query=query
            )
            found |= {sku: prices[sku.upper()] for sku in asked if sku.upper() in prices}
        return found

    def _prices(self, body: bytes) -> Mapping[str, Decimal]:
        return {
            price.sku.upper(): price.base_price
            for price in read(self.name, _prices, body, "a list of prices")
            if price.base_price is not None and price.status != _WITHOUT_A_PRICE
        }
