"""The composition root and the tree of tasks.

    run_shop                     root nursery, ours and never Quart's
    ├─ back office               leaves last: back_office.py
    └─ front door                leaves first: Hypercorn, a task per connection

What is not an expected error leaves through these nurseries and ends the process with a traceback:
a consumer that died of a bug must not be followed by a server that answers 200.
"""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import structlog
import trio

from storefront.back_office import Ports, Shop, run_back_office
from storefront.consumers import most_unsettled
from storefront.errors import SettingsError
from storefront.messaging.amqp import AmqpBroker, open_island
from storefront.readings import of_serving
from storefront.realtime.drain import end_streams
from storefront.serving import Drain, ServingWatch, Tls, serve_http
from storefront.settings import Settings
from storefront.store.contract import Store
from storefront.store.redis import open_redis_store
from storefront.store.redis_shelf import RedisShelf, open_redis_shelf
from storefront.store.sqlite import open_sqlite_store
from storefront.web.auth import Tokens

log = structlog.get_logger(__name__)

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
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """The service in production: RabbitMQ, and the log in the data folder.

    Raises:
        SettingsError: something that `serve` needs is not set.
    """
    check(settings)
    async with open_island(), open_store(settings) as store, open_shelf(settings) as shelf:
        broker = AmqpBroker(str(settings.messaging.rabbitmq_url))
        try:
            ports = Ports(store=store, broker=broker, shelf=shelf)
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


def _tls(settings: Settings) -> Tls | None:
    cert, key = settings.serving.tls_cert, settings.serving.tls_key
    return Tls(cert, key) if cert is not None and key is not None else None
