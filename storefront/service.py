"""The composition root and the tree of tasks.

    run_shop                     root nursery, ours and never Quart's
    ├─ back office               leaves last: back_office.py
    └─ front door                leaves first: Hypercorn, a task per connection

What is not an expected error leaves through these nurseries and ends the process with a traceback:
a consumer that died of a bug must not be followed by a server that answers 200.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import cast

import structlog
import trio

from storefront.back_office import Ports, Shop, run_back_office
from storefront.consumers import most_unsettled
from storefront.dashboard.board import Alone, Board
from storefront.dashboard.reports import Process
from storefront.errors import ListenError, SettingsError
from storefront.messaging.amqp import AmqpBroker, open_island
from storefront.readings import of_serving
from storefront.realtime.drain import end_streams
from storefront.serving import Drain, ServingWatch, Tls, open_listening_socket, serve_http
from storefront.serving.server import ASGIApp
from storefront.settings import Settings, metrics_address
from storefront.store.contract import Store
from storefront.store.redis import open_redis_store
from storefront.store.redis_board import open_redis_board
from storefront.store.redis_shelf import RedisShelf, open_redis_shelf
from storefront.store.sqlite import open_sqlite_store
from storefront.telemetry.metrics import Metrics
from storefront.web.auth import Tokens
from storefront.web.metrics_port import metrics_app

log = structlog.get_logger(__name__)

# Whoever reads metrics is one or two.
METRICS_BACKLOG = 16
# Of the drain, the share that settling messages in hand may take; the streams have the rest.
SETTLING_SHARE = 0.25


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
        shop.metrics.read_from(partial(of_serving, watch))
        if (bind := settings.serving.metrics_bind) is not None:
            address = metrics_address(bind, ports.me.worker)
            await back_office.start(_serve_metrics, shop.metrics, address)
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
        await shop.consumers_left.wait()
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


async def serve(
    settings: Settings,
    listening: socket.socket,
    *,
    stop: trio.Event,
    worker: int = 0,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """The service in production: RabbitMQ, and the log in the data folder.

    Args:
        settings: of all.
        listening: where to serve.
        stop: set to have everybody leave.
        worker: the number of this process among several, 0 where it is the only one.
        task_status: Trio's.

    Raises:
        SettingsError: something that `serve` needs is not set.
    """
    check(settings)
    async with (
        open_island(),
        open_store(settings) as store,
        open_shelf(settings) as shelf,
        open_board(settings) as board,
    ):
        broker = AmqpBroker(str(settings.messaging.rabbitmq_url))
        try:
            ports = Ports(store=store, broker=broker, shelf=shelf, board=board, me=myself(worker))
            await run_shop(settings, ports, listening, stop=stop, task_status=task_status)
        finally:
            await broker.aclose()


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[Store]:
    """The log the settings ask for; one in Redis lives on the island, which must be open."""
    window, kept_ids = settings.store.replay_window, 2 * most_unsettled(settings.messaging)
    url = settings.store.redis_url
    opening: AbstractAsyncContextManager[Store]
    if url is None:
        path = Path(settings.store.data_dir) / "storefront.sqlite"
        opening = open_sqlite_store(path, window=window, kept_ids=kept_ids)
    else:
        opening = open_redis_store(url, window=window, kept_ids=kept_ids)
    async with opening as store:
        yield store


@asynccontextmanager
async def open_shelf(settings: Settings) -> AsyncIterator[RedisShelf | None]:
    """Where views lie for all processes; None where there is one, which has its own memory."""
    url, views = settings.store.redis_url, settings.views
    if url is None:
        yield None
        return
    async with open_redis_shelf(
        url, read_within=views.cache_read_timeout, write_within=views.cache_write_timeout
    ) as shelf:
        yield shelf


@asynccontextmanager
async def open_board(settings: Settings) -> AsyncIterator[Board]:
    """Where the processes tell each other how they are; one that shares nothing is alone."""
    url = settings.store.redis_url
    if url is None:
        yield Alone()
        return
    async with open_redis_board(url) as board:
        yield board


def myself(worker: int = 0) -> Process:
    """This process, under a name that no other one has had lately."""
    name = f"{socket.gethostname()}:{os.getpid()}"
    return Process(name=name, worker=worker, version=version("storefront"), started_at=time.time())


async def _serve_metrics(
    metrics: Metrics,
    address: str,
    *,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """/metrics at an address of their own, until cancelled: they are wanted to the end."""
    try:
        listening = open_listening_socket(address, backlog=METRICS_BACKLOG)
    except ListenError as exc:
        raise ListenError(str(exc).replace("STOREFRONT_BIND", "STOREFRONT_METRICS_BIND")) from exc
    # Two spellings of one protocol: Hypercorn's types name every ASGI message.
    app = cast("ASGIApp", metrics_app(metrics))
    await serve_http(app, listening, drain=Drain(), task_status=task_status)


def _tls(settings: Settings) -> Tls | None:
    cert, key = settings.serving.tls_cert, settings.serving.tls_key
    return Tls(cert, key) if cert is not None and key is not None else None
