"""Inventory: how many are there, where one may ask (contracts.md section 2.5)."""

from __future__ import annotations

from functools import partial

from storefront.downstream.answers import Answer, Count, Items, decoder, read
from storefront.downstream.client import Client


class _Shelf(Answer, frozen=True, kw_only=True):
    warehouse_id: str | None = None


class _Availability(Answer, frozen=True, kw_only=True):
    sku: str
    total_available: Count
    warehouses: Items[_Shelf] = ()


_availabilities = decoder(_Availability)


class Inventory(Client):
    """Questions to Inventory. Each raises DownstreamError when it lets us down, and
    DownstreamAbsentError where it is too old for the question or keeps the answer from us.
    """

    async def stock(self, sku: str) -> int | None:
        """How many can be had; None of a SKU that no warehouse knows, which is not 0."""
        path = ("api", "inventory", "availability", sku)
        found = await self._ask_if_there(partial(self._availability, sku), *path)
        return found.total_available if found.warehouses else None

    def _availability(self, sku: str, body: bytes) -> _Availability:
        found = read(self.name, _availabilities, body, "an availability")
        if found.sku.casefold() != sku.casefold():
            self._refuse("another product than the one asked for")
        return found
