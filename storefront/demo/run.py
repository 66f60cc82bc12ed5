"""The whole shop on real HTTP: eight services, the outbox, and the journeys of the orders.

Everything runs in one nursery of our own, for as long as the caller lets it. The HTTP server is
handed in, for only serving/ may know it.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import cast

import trio

from storefront.demo.addresses import SERVICES, Ports, ServiceUrls, listening
from storefront.demo.asgi import App
from storefront.demo.catalog import catalog_app
from storefront.demo.front import Desk, Era
from storefront.demo.fulfillment import fulfillment_app
from storefront.demo.identity import identity_app
from storefront.demo.inventory import inventory_app
from storefront.demo.journey import Journeys, Pace
from storefront.demo.orders import orders_app
from storefront.demo.outbox import Outbox, Publish
from storefront.demo.payments import payments_app
from storefront.demo.pricing import pricing_app
from storefront.demo.shopping import shopping_app
from storefront.demo.world import World

# Serves an app on a listening socket until cancelled, and owns the socket from the call on: a
# server that wants a descriptor takes `sock.detach()`.
Serve = Callable[[App, socket.socket], Awaitable[None]]

# The name of each service; a test's own desk goes in by it.
Desks = Mapping[str, Desk]


def open_desks(*, era: Era = Era.NEW, allowed_origins: Collection[str] = ()) -> dict[str, Desk]:
    """A desk for each service: keep it to read the ledgers and turn the faults."""
    return {name: Desk(era=era, allowed_origins=allowed_origins) for name in SERVICES}


def services(world: World, outbox: Outbox, journeys: Journeys, desks: Desks) -> Mapping[str, App]:
    """The eight apps, by name."""
    apps = {
        "shopping": shopping_app(world, outbox, desks["shopping"]),
        "orders": orders_app(world, outbox, desks["orders"], begin=journeys.begin),
        "catalog": catalog_app(world, desks["catalog"]),
        "identity": identity_app(world, desks["identity"]),
        "payments": payments_app(world, desks["payments"]),
        "inventory": inventory_app(world, desks["inventory"]),
        "fulfillment": fulfillment_app(world, desks["fulfillment"]),
        "pricing": pricing_app(world, desks["pricing"]),
    }
    # Quart's own type of itself is Hypercorn's.
    return cast("Mapping[str, App]", apps)


async def serve_services(
    world: World,
    *,
    publish: Publish,
    serve: Serve,
    host: str = "127.0.0.1",
    ports: Ports | None = None,
    allowed_origins: Collection[str] = (),
    advertised_host: str | None = None,
    pace: Pace | None = None,
    desks: Desks | None = None,
    at_work: Callable[[Journeys], None] = lambda _: None,
    task_status: trio.TaskStatus[ServiceUrls] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run the simulated services until cancelled; started() carries their URLs.

    Args:
        world: the shop. A test keeps it to look into, or to stock it.
        publish: takes each integration message; see `outbox.Publish`.
        serve: the HTTP server; see `Serve`.
        host: the address to listen on.
        ports: a port that is taken is replaced by one the system chooses, and that is logged.
        allowed_origins: of the pages that may call from a browser; read at each request, so a set
            may be filled once the page's port is known. Not used with `desks`, which have theirs.
        advertised_host: what the URLs call this machine, when `host` is 0.0.0.0.
        pace: seconds between the steps of an order.
        desks: made by `open_desks`, when somebody wants to hold them.
        at_work: told of what moves the orders on, when somebody wants to send one back.
        task_status: Trio's; started() is called once all eight listen.

    Raises:
        ListenError: the host is not an address of this machine.
    """
    outbox = Outbox(publish)
    journeys = Journeys(world, outbox, pace)
    at_work(journeys)
    apps = services(world, outbox, journeys, desks or open_desks(allowed_origins=allowed_origins))
    with listening(host, ports or Ports()) as sockets:
        urls = _urls(advertised_host or host, sockets)
        async with trio.open_nursery() as shop:
            shop.start_soon(outbox.run)
            shop.start_soon(journeys.run)
            for name, app in apps.items():
                shop.start_soon(_serve, serve, app, sockets, name)
            # The sockets listen already, so whoever connects now waits for milliseconds at most.
            task_status.started(urls)


async def _serve(serve: Serve, app: App, sockets: dict[str, socket.socket], name: str) -> None:
    await serve(app, sockets.pop(name))


def _urls(host: str, sockets: Mapping[str, socket.socket]) -> ServiceUrls:
    named = f"[{host}]" if ":" in host else host
    return ServiceUrls(
        **{name: f"http://{named}:{sock.getsockname()[1]}" for name, sock in sockets.items()}
    )
