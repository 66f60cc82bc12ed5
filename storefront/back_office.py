"""Everything behind the front door: the tasks that leave last.

    run_back_office
    ├─ caches        what several wait for: views being composed, products being asked for
    ├─ follower      store notifications → hub
    ├─ keys          the identity service's, where they are fetched
    ├─ sampler       how late the loop is
    ├─ heartbeat     a wheel, and the heads of the logs of those who are due
    ├─ recorder      the way into the log
    ├─ dispatcher    a lane per customer with work in hand
    └─ consumers     one per queue

What is not an expected error leaves through this nursery and ends the process with a traceback.
"""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import trio

from storefront.consumers import keep_consuming, most_unsettled
from storefront.domain.ids import CartId, CustomerId, OrderId
from storefront.domain.translate import Totals
from storefront.downstream.guard import Guard
from storefront.downstream.http import open_http
from storefront.downstream.orders import Orders
from storefront.downstream.services import open_services, policy
from storefront.downstream.shopping import Shopping
from storefront.messaging.broker import Broker
from storefront.messaging.dispatch import Dispatcher
from storefront.messaging.placing import Placing
from storefront.messaging.recorder import Recorder
from storefront.queries.cache import Shelf
from storefront.queries.caches import make_caches
from storefront.queries.views import Direct, Views
from storefront.readings import of_hub, of_neighbours, of_replays
from storefront.realtime.heads import HeadWatch
from storefront.realtime.heartbeat import Heartbeat
from storefront.realtime.hub import Hub
from storefront.realtime.pauses import Pauses
from storefront.realtime.recent import Recent
from storefront.realtime.replay import LogReader
from storefront.settings import MessagingSettings, ServicesSettings, Settings, ViewSettings
from storefront.store.contract import Store
from storefront.telemetry.metrics import Metrics
from storefront.web.app import App, create_app
from storefront.web.auth import Tokens
from storefront.web.commanding import Commands
from storefront.web.loop_lag import LoopLag
from storefront.web.parts import Page, Readiness, WebParts
from storefront.web.rates import Rates
from storefront.web.shedding import Shedding
from storefront.web.tickets import TicketOffice


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What the shop is connected to; a test connects other things.

    Attributes:
        store: the log.
        broker: where messages come from.
        clock: seconds since 1970.
        uniform: chance, for jitter.
        pages: further routes, of the demo.
        shelf: where views lie that were composed before; None for the memory of this process.
    """

    store: Store
    broker: Broker
    clock: Callable[[], float] = time.time
    uniform: Callable[[float, float], float] = random.uniform
    pages: Sequence[Page] = ()
    shelf: Shelf | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """The back office at work, as the front door and its tests see it.

    Attributes:
        app: the ASGI application.
        hub: who is listening.
        pauses: how long a browser is told to wait.
        metrics: what is counted.
        readiness: whether traffic is wanted.
        stopping: set to have the consumers settle what is in hand and leave.
        consumers_left: set once they have.
    """

    app: App
    hub: Hub
    pauses: Pauses
    metrics: Metrics
    readiness: Readiness
    stopping: trio.Event = field(default_factory=trio.Event)
    consumers_left: trio.Event = field(default_factory=trio.Event)


async def run_back_office(
    settings: Settings,
    ports: Ports,
    *,
    task_status: trio.TaskStatus[Shop] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run everything behind the front door until cancelled; `started()` carries the Shop."""
    recent = Recent(window=settings.store.replay_window)
    hub, pauses = _listeners(settings, ports, recent)
    heads = HeadWatch(ports.store, clock=ports.clock, recent=recent)
    heartbeat = Heartbeat(heads.look_at)
    metrics, readiness = Metrics(), Readiness()
    replays = LogReader(ports.store, clock=ports.clock, recent=recent)
    unsettled = most_unsettled(settings.messaging)
    recorder = Recorder(ports.store, clock=ports.clock, room=unsettled)
    readiness.parts["store"] = partial(_condition, ports.store, recorder)
    async with (
        _services(settings.services, ports.uniform) as services,
        open_services(settings.services, uniform=ports.uniform) as neighbours,
        trio.open_nursery() as nursery,
    ):
        dispatcher = Dispatcher(
            recorder=recorder,
            placing=Placing(ports.store, ask_orders=services.customer, clock=ports.clock),
            ask_shopping=services.totals,
            watch=metrics,
            clock=ports.clock,
            in_hand=2 * unsettled,
        )
        caches = make_caches(
            neighbours,
            settings.views,
            generations=ports.store,
            shelf=ports.shelf,
            clock=ports.clock,
            uniform=ports.uniform,
        )
        commands = Commands(neighbours, ports.store, clock=ports.clock)
        tokens = Tokens(settings.auth, clock=ports.clock)
        tickets = TicketOffice(ports.store, clock=ports.clock)
        shedding = _shedding(settings.views, ports.uniform)
        views = Views(
            neighbours,
            ports.store,
            shedding.keeper(caches.views, caches.views.kept),
            settings.views,
            clock=ports.clock,
            product=caches.products.part,
            unkept=shedding.keeper(Direct(settings.views.view_deadline)),
        )
        parts = WebParts(
            auth=settings.auth,
            streams=settings.streams,
            tokens=tokens,
            hub=hub,
            heartbeat=heartbeat,
            log=replays,
            pauses=pauses,
            metrics=metrics,
            readiness=readiness,
            clock=ports.clock,
            pages=ports.pages,
            commands=commands,
            tickets=tickets,
            views=views,
            admit=shedding.admit,
        )
        metrics.read_from(partial(of_hub, hub))
        metrics.read_from(partial(of_replays, replays))
        metrics.read_from(ports.store.readings)
        metrics.read_from(recorder.readings)
        metrics.read_from(partial(of_neighbours, neighbours.guards))
        metrics.read_from(commands.readings)
        metrics.read_from(tickets.readings)
        metrics.read_from(caches.readings)
        metrics.read_from(views.readings)
        metrics.read_from(shedding.readings)
        await nursery.start(ports.store.follow, hub.publish, hub.lost)
        await nursery.start(caches.run)
        if (ring := tokens.ring) is not None:
            readiness.parts["keys"] = ring.condition
            metrics.read_from(ring.readings)
            nursery.start_soon(partial(ring.run, uniform=ports.uniform))
        nursery.start_soon(shedding.run)
        nursery.start_soon(heartbeat.run)
        nursery.start_soon(heads.run)
        nursery.start_soon(recorder.run)
        await nursery.start(dispatcher.run)
        shop = Shop(
            app=create_app(parts), hub=hub, pauses=pauses, metrics=metrics, readiness=readiness
        )
        nursery.start_soon(_consume, settings.messaging, ports.broker, dispatcher, shop)
        task_status.started(shop)


async def _consume(
    settings: MessagingSettings, broker: Broker, dispatcher: Dispatcher, shop: Shop
) -> None:
    await keep_consuming(
        settings, broker, dispatcher, stopping=shop.stopping, parts=shop.readiness.parts
    )
    shop.consumers_left.set()


@dataclass(frozen=True, slots=True)
class _Services:
    """The questions the consumer asks."""

    totals: Callable[[CartId, CustomerId], Awaitable[Totals | None]]
    customer: Callable[[OrderId], Awaitable[CustomerId | None]]


@asynccontextmanager
async def _services(
    settings: ServicesSettings, uniform: Callable[[float, float], float]
) -> AsyncIterator[_Services]:
    # Nobody looks at a screen for these answers: an attempt may take all of the time there is.
    patient = settings.question_timeout
    patience = policy(settings, attempt=patient)
    places = settings.connections_per_service
    opened = partial(open_http, connections=places, connect_timeout=patient)
    async with (
        opened("shopping", settings.shopping_url) as shopping,
        opened("orders", settings.orders_url) as orders,
    ):
        yield _Services(
            Shopping(shopping, Guard("shopping", patience, uniform=uniform)).totals,
            Orders(orders, Guard("orders", patience, uniform=uniform)).customer,
        )


def _condition(store: Store, recorder: Recorder) -> str:
    words = ("durable" if store.durable else "not durable", recorder.condition())
    return ", ".join(filter(None, words))


def _shedding(settings: ViewSettings, uniform: Callable[[float, float], float]) -> Shedding:
    return Shedding(
        LoopLag(settings.query_lag),
        Rates(settings.query_rate),
        most=settings.max_queries,
        uniform=uniform,
    )


def _listeners(settings: Settings, ports: Ports, recent: Recent) -> tuple[Hub, Pauses]:
    pauses = Pauses(ports.uniform)
    hub = Hub(
        max_streams=settings.streams.max_streams,
        max_per_customer=settings.streams.max_streams_per_customer,
        superseded_pause=pauses.superseded,
        recent=recent,
    )
    return hub, pauses
