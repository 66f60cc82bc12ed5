"""`storefront demo`: the real service, with the simulated neighbours beside it, in one process.

Nothing is pretended between the page and the stream: the page calls the Storefront, which passes a
command to a simulated service over HTTP, the service publishes an integration message, the consumer
takes it from the bus, and the log, the hub and Hypercorn do what they do in production. Only the
broker and its queue are in this process.
"""

from __future__ import annotations

import secrets
import socket
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import cast

import msgspec
import structlog
import trio

from storefront.back_office import Ports
from storefront.consumers import usual_queue
from storefront.demo.addresses import SERVICES, ServiceUrls
from storefront.demo.admin_door import admin_door
from storefront.demo.asgi import App
from storefront.demo.backstage import backstage_pages
from storefront.demo.journey import Journeys, Pace
from storefront.demo.lives import Lives
from storefront.demo.page import demo_pages
from storefront.demo.run import Desks, open_desks, serve_services
from storefront.demo.troubles import Troubles
from storefront.demo.world import World
from storefront.errors import SettingsError
from storefront.messaging.amqp import AmqpBroker, open_island
from storefront.messaging.broker import Broker
from storefront.messaging.envelope import wolverine
from storefront.messaging.memory import MemoryBroker
from storefront.service import myself, open_board, open_shelf, open_store, run_shop
from storefront.serving import Drain, open_listening_socket, serve_http
from storefront.serving.server import ASGIApp
from storefront.settings import PREFIX, Settings, from_environment
from storefront.web.admin import admin_cookie
from storefront.web.auth import mint
from storefront.web.parts import Page

log = structlog.get_logger(__name__)

# A token for the page, as a login service would give it.
TOKEN_LIFE = 12 * 3600.0


def demo_settings(environ: Mapping[str, str]) -> Settings:
    """The settings of a demo: what the environment says, and for the rest what a demo needs.

    Raises:
        SettingsError: one line naming the variable.
    """
    data_dir = environ.get(PREFIX + "DATA_DIR", ".data")
    plain_http = {PREFIX + "COOKIE_NAME": "storefront", PREFIX + "DRAIN": "2"}
    given = {**plain_http, **environ}
    if not any(PREFIX + key in environ for key in ("JWT_SECRET", "JWT_PUBLIC_KEY")):
        given[PREFIX + "JWT_SECRET"] = _kept_secret(Path(data_dir))
    settings = from_environment(given)
    if settings.auth.jwt_secret is None:
        raise SettingsError(f"{PREFIX}JWT_PUBLIC_KEY: the demo signs its own tokens, with a secret")
    return settings


async def run_demo(settings: Settings, pace: float, stop: trio.Event) -> None:
    """The whole shop at STOREFRONT_BIND, on an in-process bus.

    Args:
        settings: from `demo_settings`.
        pace: how fast an order moves; 1 is a human's pace, 0.1 ten times as fast.
        stop: set to have everybody leave.
    """
    # Before anything else starts: a taken port is one line, at once. It stays ours while the
    # Storefront is away, so that whoever comes meanwhile waits.
    with open_listening_socket(settings.serving.bind) as listening:
        broker = MemoryBroker()
        # The island is for a shared log in Redis, if one is asked for.
        async with open_island(), trio.open_nursery() as neighbours:
            log.info("opening", neighbours=len(SERVICES), log_in=settings.store.data_dir)
            neighbours.start_soon(broker.run)
            backstage = _Backstage(open_desks(allowed_origins=_page_origins(listening)))
            urls = await neighbours.start(
                partial(_services, settings, broker, pace, (), backstage=backstage)
            )
            lives = Lives(stop)
            troubles = Troubles(
                backstage.desks, cut=broker.cut, mend=broker.mend, restart=lives.restart
            )

            async def live(over: trio.Event) -> None:
                pages = [
                    _pages(settings, urls),
                    backstage_pages(troubles, backstage.take_back),
                    _admin_door(settings),
                ]
                await _live(_joined(settings, urls), broker, pages, listening.dup(), over)

            await lives.run(live)
            neighbours.cancel_scope.cancel()


async def _live(
    settings: Settings,
    broker: MemoryBroker,
    pages: Sequence[Page],
    listening: socket.socket,
    over: trio.Event,
) -> None:
    """One life of the Storefront, from its log on the disk to the last browser that left."""
    async with (
        open_store(settings) as store,
        open_shelf(settings) as shelf,
        open_board(settings) as board,
        trio.open_nursery() as shop,
    ):
        ports = Ports(
            store=store, broker=broker, pages=pages, shelf=shelf, board=board, me=myself()
        )
        shown = await shop.start(partial(run_shop, settings, ports, listening, stop=over))
        log.info("open your shop", url=f"{shown[0]}/", stop="Ctrl+C")
        log.info("look behind it", url=f"{shown[0]}/demo/admin")


@dataclass(slots=True)
class _Backstage:
    """What the page's panel holds of the neighbours."""

    desks: Desks
    journeys: Journeys | None = None

    def at_work(self, journeys: Journeys) -> None:
        self.journeys = journeys

    def take_back(self, order_id: str) -> None:
        if self.journeys is None:
            raise AssertionError("the neighbours are open before the page is")
        self.journeys.take_back(order_id)


async def run_services(settings: Settings, pace: float, host: str, stop: trio.Event) -> None:
    """Only the simulated services, publishing to RabbitMQ, for Docker compose.

    Args:
        settings: from `demo_settings`; the pages of its CORS_ORIGINS may call the services.
        pace: as for `run_demo`.
        host: the address the services listen on.
        stop: set to have everybody leave.

    Raises:
        SettingsError: STOREFRONT_RABBITMQ_URL is not set.
    """
    if settings.messaging.rabbitmq_url is None:
        raise SettingsError(f"{PREFIX}RABBITMQ_URL: needed by demo --only-services")
    async with open_island():
        broker = AmqpBroker(settings.messaging.rabbitmq_url)
        try:
            async with trio.open_nursery() as nursery:
                origins = settings.auth.cors_origins
                serve = partial(_services, settings, broker, pace, origins, host=host)
                urls = await nursery.start(serve)
                log.info("services are open", **urls.by_name())
                await stop.wait()
                nursery.cancel_scope.cancel()
        finally:
            await broker.aclose()


async def _services(
    settings: Settings,
    broker: Broker,
    pace: float,
    origins: Collection[str],
    *,
    host: str = "127.0.0.1",
    backstage: _Backstage | None = None,
    task_status: trio.TaskStatus[ServiceUrls],
) -> None:
    async def publish(kind: str, body: Mapping[str, object]) -> None:
        message = wolverine(
            kind,
            body,
            message_id=str(uuid.uuid4()),
            sent_at=time.time(),
            source=f"{kind.split('.')[-2]}.Api",
        )
        await broker.publish(usual_queue(settings.messaging, message.type), message)

    await serve_services(
        World(),
        publish=publish,
        serve=_serve,
        host=host,
        allowed_origins=origins,
        pace=_paced(pace),
        desks=None if backstage is None else backstage.desks,
        at_work=(lambda _: None) if backstage is None else backstage.at_work,
        task_status=task_status,
    )


async def _serve(app: App, listening: socket.socket) -> None:
    # Two spellings of one protocol: Hypercorn's types name every ASGI message.
    await serve_http(cast("ASGIApp", app), listening, drain=Drain())


def _paced(pace: float) -> Pace:
    usual = Pace()
    return Pace(**{field.name: pace * getattr(usual, field.name) for field in fields(Pace)})


def _pages(settings: Settings, urls: ServiceUrls) -> Page:
    def sign_in(customer: str) -> str:
        return mint(settings.auth, customer=customer, now=time.time(), lifetime=TOKEN_LIFE)

    return demo_pages(
        urls,
        sign_in,
        cookie_name=settings.auth.cookie_name,
        secure=settings.serving.tls_cert is not None,
    )


def _admin_door(settings: Settings) -> Page:
    def mint_staff() -> str:
        roles = ("admin", "support")
        now = time.time()
        return mint(settings.auth, customer=None, now=now, lifetime=TOKEN_LIFE, roles=roles)

    return admin_door(
        mint_staff,
        cookie_name=admin_cookie(settings.auth.cookie_name),
        secure=settings.serving.tls_cert is not None,
    )


def _joined(settings: Settings, urls: ServiceUrls) -> Settings:
    """The settings of a service that asks these neighbours."""
    services = msgspec.structs.replace(
        settings.services,
        shopping_url=urls.shopping,
        orders_url=urls.orders,
        catalog_url=urls.catalog,
        customer_identity_url=urls.identity,
        payments_url=urls.payments,
        fulfillment_url=urls.fulfillment,
        pricing_url=urls.pricing,
        inventory_url=urls.inventory,
    )
    return msgspec.structs.replace(settings, services=services)


def _page_origins(listening: socket.socket) -> set[str]:
    """Where the page may come from: each of the two names is another customer's cookie jar."""
    if listening.family == socket.AF_UNIX:
        return set()
    port = listening.getsockname()[1]
    return {f"http://{name}:{port}" for name in ("127.0.0.1", "localhost")}


def _kept_secret(data_dir: Path) -> str:
    """A secret of this demo's own, kept over restarts so that an open page stays signed in."""
    path = data_dir / "demo-secret"
    try:
        return path.read_text("ascii")
    except FileNotFoundError:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        secret = secrets.token_hex(32)
        path.touch(mode=0o600)
        path.write_text(secret, "ascii")
        return secret
