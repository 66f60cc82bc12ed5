"""The composition root and the tree of tasks.

    run_shop                     root nursery, ours and never Quart's
    ├─ back office               leaves last: follower, recorder, dispatcher, consumer, heartbeat
    └─ front door                leaves first: Hypercorn, a task per connection

What is not an expected error leaves through these nurseries and ends the process with a traceback:
a consumer that died of a bug must not be followed by a server that answers 200.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import structlog
import trio

from storefront.domain.ids import CartId, CustomerId, OrderId
from storefront.domain.translate import Totals
from storefront.downstream.guard import Guard
from storefront.downstream.http import open_http
from storefront.downstream.orders import Orders
from storefront.downstream.shopping import Shopping
from storefront.errors import BrokerError, SettingsError
from storefront.messaging.amqp import AmqpBroker, open_island
from storefront.messaging.broker import Broker, Queue
from storefront.messaging.consumer import State, stand_by
from storefront.messaging.dispatch import Dispatcher
from storefront.messaging.placing import Placing
from storefront.messaging.recorder import Recorder
from storefront.realtime.drain import end_streams
from storefront.realtime.heads import HeadWatch
from storefront.realtime.heartbeat import Heartbeat
from storefront.realtime.hub import Hub
from storefront.realtime.pauses import Pauses
from storefront.realtime.replay import LogReader
from storefront.serving import Drain, ServingWatch, Tls, serve_http
from storefront.settings import MessagingSettings, ServicesSettings, Settings
from storefront.store.contract import Store
from storefront.store.redis import open_redis_store
from storefront.store.sqlite import open_sqlite_store
from storefront.supervise import keep_running
from storefront.telemetry.metrics import Metrics, Reading
from storefront.web.app import App, create_app
from storefront.web.auth import Tokens
from storefront.web.parts import Page, Readiness, WebParts

log = structlog.get_logger(__name__)

# Of the drain, the share that settling messages in hand may take; the streams have the rest.
SETTLING_SHARE = 0.25


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
        stopping: set to have the consumer settle what is in hand and leave.
        consumer_left: set once it has.
    """

    app: App
    hub: Hub
    pauses: Pauses
    metrics: Metrics
    readiness: Readiness
    stopping: trio.Event
    consumer_left: trio.Event


async def run_back_office(
    settings: Settings,
    ports: Ports,
    *,
    task_status: trio.TaskStatus[Shop] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run everything behind the front door until cancelled; `started()` carries the Shop."""
    hub, pauses = _listeners(settings, ports)
    heads = HeadWatch(ports.store, clock=ports.clock)
    heartbeat = Heartbeat(heads.look_at)
    metrics, readiness = Metrics(), Readiness()
    readiness.parts["store"] = lambda: "durable" if ports.store.durable else "not durable"
    recorder = Recorder(ports.store, clock=ports.clock, room=settings.messaging.prefetch)
    stopping, consumer_left = trio.Event(), trio.Event()
    async with _services(settings.services) as services, trio.open_nursery() as nursery:
        dispatcher = Dispatcher(
            recorder=recorder,
            placing=Placing(ports.store, ask_orders=services.customer, clock=ports.clock),
            ask_shopping=services.totals,
            watch=metrics,
            clock=ports.clock,
            in_hand=2 * settings.messaging.prefetch,
        )
        parts = WebParts(
            auth=settings.auth,
            streams=settings.streams,
            tokens=Tokens(settings.auth, clock=ports.clock),
            hub=hub,
            heartbeat=heartbeat,
            log=LogReader(ports.store, clock=ports.clock),
            pauses=pauses,
            metrics=metrics,
            readiness=readiness,
            clock=ports.clock,
            pages=ports.pages,
        )
        metrics.read_from(partial(_readings, hub))
        await nursery.start(ports.store.follow, hub.publish, hub.lost)
        nursery.start_soon(heartbeat.run)
        nursery.start_soon(heads.run)
        nursery.start_soon(recorder.run)
        await nursery.start(dispatcher.run)
        nursery.start_soon(
            partial(
                _keep_consuming,
                settings.messaging,
                ports.broker,
                dispatcher,
                stopping=stopping,
                left=consumer_left,
                readiness=readiness,
            )
        )
        task_status.started(
            Shop(
                app=create_app(parts),
                hub=hub,
                pauses=pauses,
                metrics=metrics,
                readiness=readiness,
                stopping=stopping,
                consumer_left=consumer_left,
            )
        )


async def run_shop(
    settings: Settings,
    ports: Ports,
    listening: socket.socket,
    *,
    stop: trio.Event,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run the shop until `stop` is set and everybody has left; `started()` carries the URLs."""
    watch, drain = ServingWatch(), Drain()
    async with trio.open_nursery() as back_office:
        shop = await back_office.start(run_back_office, settings, ports)
        shop.metrics.read_from(partial(_serving_readings, watch))
        async with trio.open_nursery() as front_door:
            urls = await front_door.start(
                partial(
                    serve_http,
                    shop.app,
                    listening,
                    send_timeout=settings.serving.send_timeout,
                    drain=drain,
                    tls=_tls(settings),
                    watch=watch,
                )
            )
            shop.readiness.phase.value = "ready"
            for url in urls:
                log.info("listening", url=url)
            task_status.started(urls)
            await stop.wait()
            await leave(shop, drain, over=settings.serving.drain)
        back_office.cancel_scope.cancel()


async def leave(shop: Shop, drain: Drain, *, over: float) -> None:
    """Not ready; messages in hand settled; streams ended over the drain window; the door shut.

    Args:
        shop: what to leave.
        drain: the front door's.
        over: seconds all of this may take.
    """
    ends_at = trio.current_time() + over
    shop.readiness.phase.value = "draining"
    shop.stopping.set()
    drain.begin(over)
    with trio.move_on_after(over * SETTLING_SHARE):
        await shop.consumer_left.wait()
    left = max(0.0, ends_at - trio.current_time())
    await end_streams(shop.hub, over=left, pause=shop.pauses.usual)
    drain.close_listeners()


def check(settings: Settings) -> None:
    """What `serve` needs besides defaults.

    Raises:
        SettingsError: one line naming the variable.
    """
    if settings.messaging.rabbitmq_url is None:
        raise SettingsError("STOREFRONT_RABBITMQ_URL: needed by serve")
    Tokens(settings.auth, clock=time.time)
    if settings.serving.workers > 1:
        raise SettingsError("STOREFRONT_WORKERS: one process serves, for now")


async def serve(
    settings: Settings,
    listening: socket.socket,
    *,
    stop: trio.Event,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """The service in production: RabbitMQ, and the log in the data folder.

    Raises:
        SettingsError: something that `serve` needs is not set.
    """
    check(settings)
    async with open_island(), open_store(settings) as store:
        broker = AmqpBroker(str(settings.messaging.rabbitmq_url))
        try:
            ports = Ports(store=store, broker=broker)
            await run_shop(settings, ports, listening, stop=stop, task_status=task_status)
        finally:
            await broker.aclose()


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[Store]:
    """The log the settings ask for; one in Redis lives on the island, which must be open."""
    window, kept_ids = settings.store.replay_window, 2 * settings.messaging.prefetch
    url = settings.store.redis_url
    opening: AbstractAsyncContextManager[Store]
    if url is None:
        path = Path(settings.store.data_dir) / "storefront.sqlite"
        opening = open_sqlite_store(path, window=window, kept_ids=kept_ids)
    else:
        opening = open_redis_store(url, window=window, kept_ids=kept_ids)
    async with opening as store:
        yield store


async def _keep_consuming(
    settings: MessagingSettings,
    broker: Broker,
    dispatcher: Dispatcher,
    *,
    stopping: trio.Event,
    left: trio.Event,
    readiness: Readiness,
) -> None:
    queue = Queue(
        name=settings.queue_notifications,
        arguments=settings.queue_notifications_arguments,
        dead_letters=settings.dead_letter_queue,
        exchanges=settings.queue_notifications_exchanges,
    )
    states: dict[str, State] = {queue.name: "unreachable"}
    readiness.parts["consumer"] = lambda: states[queue.name]
    consume = partial(
        stand_by,
        broker,
        queue,
        dispatcher,
        prefetch=settings.prefetch,
        stopping=stopping,
        tell=partial(states.__setitem__, queue.name),
    )
    await keep_running("consumer", consume, on=BrokerError, stopping=stopping)
    left.set()


@dataclass(frozen=True, slots=True)
class _Services:
    """The questions the consumer asks."""

    totals: Callable[[CartId, CustomerId], Awaitable[Totals | None]]
    customer: Callable[[OrderId], Awaitable[CustomerId | None]]


@asynccontextmanager
async def _services(settings: ServicesSettings) -> AsyncIterator[_Services]:
    async with (
        open_http("shopping", settings.shopping_url) as shopping,
        open_http("orders", settings.orders_url) as orders,
    ):
        yield _Services(
            Shopping(shopping, Guard("shopping", budget=settings.question_timeout)).totals,
            Orders(orders, Guard("orders", budget=settings.question_timeout)).customer,
        )


def _listeners(settings: Settings, ports: Ports) -> tuple[Hub, Pauses]:
    pauses = Pauses(ports.uniform)
    hub = Hub(
        max_streams=settings.streams.max_streams,
        max_per_customer=settings.streams.max_streams_per_customer,
        superseded_pause=pauses.superseded,
    )
    return hub, pauses


def _tls(settings: Settings) -> Tls | None:
    cert, key = settings.serving.tls_cert, settings.serving.tls_key
    return Tls(cert, key) if cert is not None and key is not None else None


def _readings(hub: Hub) -> Iterable[Reading]:
    now = hub.statistics()
    yield "storefront_streams", "Streams open now.", {}, now.streams
    yield "storefront_stream_customers", "Customers with a stream open now.", {}, now.customers
    yield "storefront_events_published_total", "Events that had a listener.", {}, now.published
    yield "storefront_streams_refused_total", "Streams there was no room for.", {}, now.refused
    for reason, ended in now.ended.items():
        labels: dict[str, str] = {"reason": reason}
        yield "storefront_streams_ended_total", "Streams that ended, by reason.", labels, ended


def _serving_readings(watch: ServingWatch) -> Iterable[Reading]:
    for name, value in asdict(watch.statistics()).items():
        yield f"storefront_http_{name}", f"Of the HTTP server: {name.replace('_', ' ')}.", {}, value
