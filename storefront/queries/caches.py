"""The caches of one process, joined by their settings: customers' views, and what is the same for
everybody: products, and their prices and stock where somebody who knows is configured.

A price is the shop's and changes seldom: it is fresh for as long as a view, and where Pricing fails
the old one is shown and said to be old. Stock changes with every sale: it is known for seconds, so
that a page of twenty products that all look at is one question each and not one for each reader,
and an old one is never shown, for "in stock" that is no longer so is worse than not known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import trio

from storefront.downstream.catalog import Product
from storefront.downstream.pricing import MOST_AT_ONCE
from storefront.downstream.services import Services
from storefront.queries.cache import Cache, Shelf
from storefront.queries.memory_shelf import Generations, MemoryShelf
from storefront.queries.product_cache import ProductCache, one_by_one
from storefront.queries.product_known import Terms
from storefront.settings import ViewSettings
from storefront.telemetry.metrics import Reading


@dataclass(frozen=True, slots=True)
class Caches:
    """All of them. `run` must run beside those who ask."""

    views: Cache
    products: ProductCache[Product]
    prices: ProductCache[Decimal] | None = None
    stock: ProductCache[int] | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry what several wait for, until cancelled."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.views.run)
            for by_sku in self._by_sku():
                await nursery.start(by_sku.run)
            task_status.started()

    def readings(self) -> Iterable[Reading]:
        """What they count, for /metrics."""
        yield from self.views.readings()
        for by_sku in self._by_sku():
            yield from by_sku.readings()

    def _by_sku(self) -> Iterable[ProductCache[Any]]:
        return filter(None, (self.products, self.prices, self.stock))


def make_caches(
    services: Services,
    settings: ViewSettings,
    *,
    generations: Generations,
    shelf: Shelf | None,
    clock: Callable[[], float],
    uniform: Callable[[float, float], float],
) -> Caches:
    """The caches in front of these services.

    Args:
        services: who is asked for products.
        settings: how long what is kept.
        generations: the store.
        shelf: where views lie; None for the memory of this process, which is right only where all
            events are recorded in it.
        clock: seconds since 1970.
        uniform: chance, for jitter.
    """
    lies = shelf or MemoryShelf(generations, most=settings.cache_bytes)
    products = Terms(
        name="catalog",
        fresh=settings.products_fresh,
        kept=settings.products_fresh + settings.cache_kept,
        negative=settings.cache_negative,
        within=settings.view_deadline,
    )
    pricing, inventory = services.pricing, services.inventory
    return Caches(
        views=Cache(lies, settings, clock=clock, uniform=uniform),
        products=ProductCache(one_by_one(services.catalog.product), products),
        prices=ProductCache(pricing.prices, _of_prices(products, settings)) if pricing else None,
        stock=ProductCache(one_by_one(inventory.stock), _of_stock(products, settings))
        if inventory
        else None,
    )


def _of_prices(products: Terms, settings: ViewSettings) -> Terms:
    return replace(
        products,
        name="pricing",
        fresh=settings.prices_fresh,
        kept=settings.prices_fresh + settings.cache_kept,
        negative=min(settings.cache_negative, settings.prices_fresh),
        together=MOST_AT_ONCE,
    )


def _of_stock(products: Terms, settings: ViewSettings) -> Terms:
    return replace(
        products,
        name="inventory",
        fresh=settings.stock_fresh,
        kept=settings.stock_fresh,
        negative=min(settings.cache_negative, settings.stock_fresh),
    )
