"""All neighbours, each with a pool, a limiter and a breaker of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from storefront.downstream.breaker import Patience
from storefront.downstream.catalog import Catalog
from storefront.downstream.client import Client
from storefront.downstream.fulfillment import Fulfillment
from storefront.downstream.guard import Guard, Policy
from storefront.downstream.http import open_http
from storefront.downstream.identity import Identity
from storefront.downstream.inventory import Inventory
from storefront.downstream.orders import Orders
from storefront.downstream.payments import Payments
from storefront.downstream.pricing import Pricing
from storefront.downstream.shopping import Shopping
from storefront.settings import ServicesSettings

Uniform = Callable[[float, float], float]
C = TypeVar("C", bound=Client)


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """A client of each service that is configured; `guards` by the same names, for metrics."""

    shopping: Shopping
    orders: Orders
    catalog: Catalog
    identity: Identity
    payments: Payments | None = None
    fulfillment: Fulfillment | None = None
    pricing: Pricing | None = None
    inventory: Inventory | None = None
    guards: Mapping[str, Guard]


@asynccontextmanager
async def open_services(settings: ServicesSettings, *, uniform: Uniform) -> AsyncIterator[Services]:
    """Clients whose connections stay open until the block is left.

    Args:
        settings: where they are, and the numbers.
        uniform: chance, for pauses.

    Raises:
        SettingsError: one line that names the URL that cannot be used.
    """
    guards: dict[str, Guard] = {}
    async with AsyncExitStack() as stack:

        async def opened(kind: type[C], name: str, url: str, attempt: float) -> C:
            http = await stack.enter_async_context(
                open_http(
                    name,
                    url,
                    connections=settings.connections_per_service,
                    connect_timeout=settings.connect_timeout,
                )
            )
            guards[name] = Guard(name, policy(settings, attempt=attempt), uniform=uniform)
            return kind(http, guards[name])

        async def perhaps(kind: type[C], name: str, url: str | None) -> C | None:
            if url is None:
                return None
            return await opened(kind, name, url, settings.enrichment_timeout)

        central, around = settings.attempt_timeout, settings.enrichment_timeout
        identity = "customer_identity"
        yield Services(
            shopping=await opened(Shopping, "shopping", settings.shopping_url, central),
            orders=await opened(Orders, "orders", settings.orders_url, central),
            catalog=await opened(Catalog, "catalog", settings.catalog_url, around),
            identity=await opened(Identity, identity, settings.customer_identity_url, around),
            payments=await perhaps(Payments, "payments", settings.payments_url),
            fulfillment=await perhaps(Fulfillment, "fulfillment", settings.fulfillment_url),
            pricing=await perhaps(Pricing, "pricing", settings.pricing_url),
            inventory=await perhaps(Inventory, "inventory", settings.inventory_url),
            guards=guards,
        )


def policy(settings: ServicesSettings, *, attempt: float) -> Policy:
    """The numbers as they are set, for a service that may take `attempt` seconds to answer."""
    return Policy(
        budget=settings.question_timeout,
        attempt=attempt,
        command=settings.command_timeout,
        places=settings.connections_per_service,
        retry_share=settings.retry_share,
        patience=Patience(
            share=settings.breaker_share,
            calls=settings.breaker_calls,
            window=settings.breaker_window,
            connections=settings.breaker_connections,
            pause=settings.breaker_open,
            longest=settings.breaker_longest,
            probes=settings.breaker_probes,
        ),
    )
