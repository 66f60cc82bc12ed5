"""Every view, from a question to something that can be served: the log's place read first, the
composition within one deadline, the cache asked where there is somebody to keep it for.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any, Protocol
from urllib.parse import quote

import trio

from storefront.domain.ids import CartId, CheckoutId, CustomerId, OrderId
from storefront.downstream.catalog import Product
from storefront.downstream.inventory import Inventory
from storefront.downstream.pricing import Pricing
from storefront.downstream.services import Services
from storefront.queries.carts import Carts
from storefront.queries.checkouts import Checkouts
from storefront.queries.history import compose_history
from storefront.queries.including import NOTHING, Included
from storefront.queries.lines import AskPrices, AskProduct, AskStock, Shelves
from storefront.queries.orders import OrderPages
from storefront.queries.parts import Composed, Part, settle
from storefront.queries.products import Page, compose_listing
from storefront.queries.remembered import Log, Remembered
from storefront.queries.rendering import Rendered, Served, render
from storefront.settings import ViewSettings
from storefront.telemetry.metrics import Reading

Compose = Callable[[float], Awaitable[Rendered]]


AskFresh = Callable[[CustomerId, str], Awaitable[Served | None]]


class Keeper(Protocol):
    """Whoever keeps views for a while (queries/cache.py)."""

    async def view(self, customer: CustomerId | None, key: str, compose: Compose) -> Served:
        """The view under this key: kept, or composed now.

        Args:
            customer: for whom it is kept; None for everybody.
            key: which of their views.
            compose: makes it, until a moment on Trio's clock.

        Raises:
            DownstreamError: from `compose`, where nothing that could be shown is kept.
        """
        ...


class Direct:
    """Keeps nothing: every view comes from the services, within so many seconds. Nor does it know
    of generations, so nobody can say whether an event came meanwhile: it calls no view live.
    """

    def __init__(self, view_deadline: float) -> None:
        self._patience = view_deadline

    async def view(self, _customer: CustomerId | None, _key: str, compose: Compose) -> Served:
        rendered = await compose(trio.current_time() + self._patience)
        return Served(rendered=rendered, freshness="expired", forwarded="bypass")


class Views:
    """The views of the shop.

    Args:
        services: whom to ask.
        log: the store, for places and facts.
        keeper: the cache.
        settings: deadlines and bounds.
        clock: seconds since 1970.
        product: a product by its SKU from a cache of its own; without, Catalog is asked.
        prices: likewise, and Pricing, where it is configured.
        stock: likewise, and Inventory.
        unkept: whoever has views composed that are not kept; without, they are.
        fresh: a view of a customer's by its key, if it lies fresh in this very process.
    """

    def __init__(
        self,
        services: Services,
        log: Log,
        keeper: Keeper,
        settings: ViewSettings,
        *,
        clock: Callable[[], float],
        product: AskProduct | None = None,
        prices: AskPrices | None = None,
        stock: AskStock | None = None,
        unkept: Keeper | None = None,
        fresh: AskFresh | None = None,
    ) -> None:
        self._keeper = keeper
        self._fresh = fresh
        self._outcomes: Counter[tuple[str, str]] = Counter()
        self._unkept = unkept or Direct(settings.view_deadline)
        self._settings = settings
        self._clock = clock
        self._services = services
        self._remembered = Remembered(log, clock=clock)
        self._shelves = Shelves(
            product=product or partial(_known_product, services),
            prices=prices or (partial(_prices, services.pricing) if services.pricing else None),
            stock=stock or (partial(_stock, services.inventory) if services.inventory else None),
        )
        bounds = {"at_once": settings.fan_out, "most_lines": settings.lines_per_cart}
        self._carts = Carts(services.shopping, self._shelves, self._remembered, **bounds)
        self._checkouts = Checkouts(
            services.orders, services.identity.addresses, self._shelves, **bounds
        )
        self._orders = OrderPages(
            services.orders,
            services.payments.of_order if services.payments else None,
            services.fulfillment.shipments if services.fulfillment else None,
            self._shelves,
            self._remembered,
            **bounds,
        )

    async def cart(self, customer: CustomerId, include: Included = NOTHING) -> Served:
        """A customer's own cart, the empty one included.

        Raises:
            DownstreamError: as in every other method here, where there is nothing to show.
        """
        compose = partial(self._carts.of_customer, customer, include)
        return await self._served(customer, "cart", include, compose)

    async def fresh_cart(self, customer: CustomerId) -> Served | None:
        """A customer's own cart, if that is known without asking anybody, and fresh."""
        served = None if self._fresh is None else await self._fresh(customer, "cart")
        if served is not None:
            self._outcomes["cart", _outcome(served)] += 1
        return served

    async def cart_by_id(
        self, cart: CartId, reader: CustomerId | None, include: Included = NOTHING
    ) -> Served:
        """A cart by its id, if it is the reader's; any, for None."""
        compose = partial(self._carts.of_id, cart, reader, include)
        return await self._served(reader, f"cart:{cart}", include, compose)

    async def checkout(
        self, checkout: CheckoutId, reader: CustomerId | None, include: Included = NOTHING
    ) -> Served:
        """A checkout by its id, if it is the reader's; any, for None."""
        compose = partial(self._checkouts.of_id, checkout, reader, include)
        return await self._served(reader, f"checkout:{checkout}", include, compose)

    async def order(
        self, order: OrderId, reader: CustomerId | None, include: Included = NOTHING
    ) -> Served:
        """An order by its id, if it is the reader's; any, for None."""
        compose = partial(self._orders.of_id, order, reader, include)
        return await self._served(reader, f"order:{order}", include, compose)

    async def history(self, customer: CustomerId) -> Served:
        """A customer's orders."""
        compose = partial(compose_history, self._services.orders, customer)
        return await self._served(customer, "history", NOTHING, compose)

    async def listing(self, page: Page) -> Served:
        """What is sold: everybody's, and kept for everybody."""
        compose = partial(
            compose_listing,
            self._services.catalog,
            self._shelves,
            page,
            at_once=self._settings.fan_out,
        )
        key = f"products?{quote(page.category or '', safe='')}&{page.page}&{page.page_size}"
        return await self._counted(self._keeper, None, key, partial(self._rendered, None, compose))

    def readings(self) -> Iterable[Reading]:
        """What was shown since the start, for /metrics."""
        words = "Views by what was shown of them."
        for (view, outcome), count in self._outcomes.items():
            yield "storefront_views_total", words, {"view": view, "outcome": outcome}, count

    async def _served(
        self,
        reader: CustomerId | None,
        key: str,
        include: Collection[str],
        compose: Callable[..., Awaitable[Composed[Any]]],
    ) -> Served:
        # Staff: whose log and whose cache it is would be known only after the answer.
        keeper = self._unkept if reader is None else self._keeper
        named = ":".join([key, ",".join(sorted(include))]) if include else key
        return await self._counted(keeper, reader, named, partial(self._rendered, reader, compose))

    async def _counted(
        self, keeper: Keeper, customer: CustomerId | None, key: str, compose: Compose
    ) -> Served:
        outcome = "unavailable"
        try:
            served = await keeper.view(customer, key, compose)
            outcome = _outcome(served)
        except trio.Cancelled:
            outcome = "left"
            raise
        finally:
            self._outcomes[_KEYED.split(key, 1)[0], outcome] += 1
        return served

    async def _rendered(
        self,
        reader: CustomerId | None,
        compose: Callable[..., Awaitable[Composed[Any]]],
        deadline: float,
    ) -> Rendered:
        # The place first. What happens from here on is told by the stream, if the composition is
        # too early to see it.
        position = None
        if reader is not None:
            position = await self._remembered.position(reader, deadline=deadline)
        began, as_of = trio.current_time(), self._clock()
        composed = await compose(deadline=deadline)
        return render(composed, began=began, as_of=as_of, position=position)


def _outcome(served: Served) -> str:
    if not served.rendered.found:
        return "missing"
    return served.freshness if served.rendered.complete else f"{served.freshness}-partial"


# What follows a view's name in its key.
_KEYED = re.compile("[:?]")


async def _known_product(services: Services, sku: str) -> Part[Product]:
    return await settle(services.catalog.product, sku)


async def _prices(pricing: Pricing, skus: Iterable[str]) -> Part[Mapping[str, Decimal]]:
    return await settle(pricing.prices, skus)


async def _stock(inventory: Inventory, sku: str) -> Part[int]:
    return await settle(inventory.stock, sku)
