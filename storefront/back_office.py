"""Everything behind the front door: the tasks that leave last.

    run_back_office
    ├─ follower      store notifications → hub
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
from storefront.downstream.services import policy
from storefront.downstream.shopping import Shopping
from storefront.messaging.broker import Broker
from storefront.messaging.dispatch import Dispatcher
from storefront.messaging.placing import Placing
from storefront.messaging.recorder import Recorder
from storefront.readings import of_hub, of_replays
from storefront.realtime.heads import HeadWatch
from storefront.realtime.heartbeat import Heartbeat
from storefront.realtime.hub import Hub
from storefront.realtime.pauses import Pauses
from storefront.realtime.recent import Recent
from storefront.realtime.replay import LogReader
from storefront.settings import MessagingSettings, ServicesSettings, Settings
from storefront.store.contract import Store
from storefront.telemetry.metrics import Metrics
from storefront.web.app import App, create_app
from storefront.web.auth import Tokens
from storefront.web.parts import Page, Readiness, WebParts


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What the shop is connected to; a test connects other things.

    Attributes:
        store: the log.
        broker: where messages come from.
        clock: seconds since 1970.
        uniform: chance, for jitter.
        pages: further routes, of the demo.
    """

    store: Store
    broker: Broker
    clock: Callable[[], float] = time.time
    uniform: Callable[[float, float], float] = random.uniform
    pages: Sequence[Page] = ()


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
        parts = WebParts(
            auth=settings.auth,
            streams=settings.streams,
            tokens=Tokens(settings.auth, clock=ports.clock),
            hub=hub,
            heartbeat=heartbeat,
            log=replays,
            pauses=pauses,
            metrics=metrics,
            readiness=readiness,
            clock=ports.clock,
            pages=ports.pages,
        )
        metrics.read_from(partial(of_hub, hub))
        metrics.read_from(partial(of_replays, replays))
        metrics.read_from(ports.store.readings)
        metrics.read_from(recorder.readings)
        await nursery.start(ports.store.follow, hub.publish, hub.lost)
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


def _listeners(settings: Settings, ports: Ports, recent: Recent) -> tuple[Hub, Pauses]:
    pauses = Pauses(ports.uniform)
    hub = Hub(
        max_streams=settings.streams.max_streams,
        max_per_customer=settings.streams.max_streams_per_customer,
        superseded_pause=pauses.superseded,
        recent=recent,
    )
    return hub, pauses
