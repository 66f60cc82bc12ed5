"""The caches of one process, joined by their settings: customers' views, and products."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import trio

from storefront.downstream.catalog import Product
from storefront.downstream.services import Services
from storefront.queries.cache import Cache, Shelf
from storefront.queries.memory_shelf import Generations, MemoryShelf
from storefront.queries.product_cache import ProductCache, Terms, one_by_one
from storefront.settings import ViewSettings
from storefront.telemetry.metrics import Reading


@dataclass(frozen=True, slots=True)
class Caches:
    """Both of them. `run` must run beside those who ask."""

    views: Cache
    products: ProductCache[Product]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry what several wait for, until cancelled."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.views.run)
            await nursery.start(self.products.run)
            task_status.started()

    def readings(self) -> Iterable[Reading]:
        """What they count, for /metrics."""
        yield from self.views.readings()
        yield from self.products.readings()


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
    terms = Terms(
        name="catalog",
        fresh=settings.products_fresh,
        kept=settings.products_fresh + settings.cache_kept,
        negative=settings.cache_negative,
        within=settings.view_deadline,
    )
    return Caches(
        views=Cache(lies, settings, clock=clock, uniform=uniform),
        products=ProductCache(one_by_one(services.catalog.product), terms),
    )
