"""What a page asks for: views, commands, tickets, and who may ask."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import trio

from storefront.back_office.shop import Ports
from storefront.downstream.services import Services, open_services
from storefront.queries.caches import Caches, make_caches
from storefront.queries.views import Views
from storefront.readings import of_neighbours
from storefront.settings import Settings, ViewSettings
from storefront.telemetry.metrics import Reading
from storefront.web.auth import Tokens
from storefront.web.commanding import Commands
from storefront.web.loop_lag import LoopLag
from storefront.web.rates import Rates
from storefront.web.shedding import Shedding
from storefront.web.tickets import TicketOffice


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """Opened by `open_pages`; `run` keeps it going."""

    neighbours: Services
    caches: Caches
    views: Views
    commands: Commands
    tokens: Tokens
    tickets: TicketOffice
    shedding: Shedding
    uniform: Callable[[float, float], float]

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Refresh and sample until cancelled."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.caches.run)
            nursery.start_soon(self.shedding.run)
            if (ring := self.tokens.ring) is not None:
                nursery.start_soon(partial(ring.run, uniform=self.uniform))
            task_status.started()

    def readings(self) -> Iterable[Reading]:
        """For /metrics."""
        yield from of_neighbours(self.neighbours.guards)
        yield from self.views.readings()
        yield from self.caches.readings()
        yield from self.shedding.readings()
        yield from self.commands.readings()
        yield from self.tickets.readings()
        if (ring := self.tokens.ring) is not None:
            yield from ring.readings()


@asynccontextmanager
async def open_pages(settings: Settings, ports: Ports) -> AsyncIterator[Pages]:
    """The rooms of queries/ and of web/'s requests, joined, with those whom they ask."""
    shedding = _shedding(settings.views, ports.uniform)
    async with open_services(settings.services, uniform=ports.uniform) as neighbours:
        caches = make_caches(
            neighbours,
            settings.views,
            generations=ports.store,
            shelf=ports.shelf,
            clock=ports.clock,
            uniform=ports.uniform,
        )
        yield Pages(
            neighbours=neighbours,
            caches=caches,
            views=Views(
                neighbours,
                ports.store,
                shedding.keeper(caches.views, caches.views.kept),
                settings.views,
                clock=ports.clock,
                product=caches.products.part,
                prices=caches.prices.parts if caches.prices else None,
                stock=caches.stock.part if caches.stock else None,
                unkept=shedding.keeper(caches.views.unkept),
                # In Redis a view that is not there would be looked for twice.
                fresh=caches.views.fresh if ports.shelf is None else None,
            ),
            commands=Commands(neighbours, ports.store, clock=ports.clock),
            tokens=Tokens(settings.auth, clock=ports.clock),
            tickets=TicketOffice(ports.store, clock=ports.clock),
            shedding=shedding,
            uniform=ports.uniform,
        )


def _shedding(settings: ViewSettings, uniform: Callable[[float, float], float]) -> Shedding:
    return Shedding(
        LoopLag(settings.query_lag),
        Rates(settings.query_rate),
        most=settings.max_queries,
        uniform=uniform,
    )
