"""A Storefront of its own over a market that is shared: other addresses for some services, other numbers, and its
own breakers. And a browser without a pool, which measures.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import trio

from storefront.back_office import Ports as ShopPorts
from storefront.back_office import Shop, run_back_office
from storefront.messaging.memory import MemoryBroker
from storefront.settings import ServicesSettings, ViewSettings
from tests.service.market import Market, serve

# Seconds: a loop that works is late by less all the time.
STALL = 0.01


@dataclass(frozen=True)
class Answer:
    """What came back, and after how many seconds it was there in full."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def meta(self) -> dict[str, Any]:
        return json.loads(self.headers.get("storefront-meta", "null")) or self.json()["meta"]

    def state(self, service: str) -> str:
        return self.meta["sources"][service]["state"]


async def ask(port: int, path: str, token: str) -> Answer:
    """A question on a connection of its own."""
    began = trio.current_time()
    said = bytearray()
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        request = f"GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        await stream.send_all(request.encode())
        async for chunk in stream:
            said += chunk
    seconds = trio.current_time() - began
    head, _, body = bytes(said).partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    named = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in named}
    return Answer(int(first.split()[1]), headers, body, seconds)


@dataclass
class Lag:
    """How late the loop was at worst, in seconds: beyond any deadline, and no deadline's fault.

    Attributes:
        stalls: from when to when nobody ran who should have.
    """

    worst: float = 0.0
    stalls: list[tuple[float, float]] = field(default_factory=list, repr=False)

    async def watch(self) -> None:
        while True:
            due = trio.current_time() + 0.005
            await trio.sleep_until(due)
            now = trio.current_time()
            self.worst = max(self.worst, now - due)
            if now - due >= STALL:
                self.stalls.append((due, now))

    def within(self, began: float, until: float) -> float:
        """Seconds of that time for which the loop was late."""
        return sum(max(0.0, min(to, until) - max(at, began)) for at, to in self.stalls)


@asynccontextmanager
async def lateness() -> AsyncIterator[Lag]:
    """Measured while the block lasts."""
    async with trio.open_nursery() as nursery:
        lag = Lag()
        nursery.start_soon(lag.watch)
        yield lag
        nursery.cancel_scope.cancel()


def _later() -> float:
    # What a view shows just after an event is not kept as usual, and the market was stocked just now.
    return time.time() + 10


@asynccontextmanager
async def open_front(
    market: Market, services: dict[str, Any], views: dict[str, Any]
) -> AsyncIterator[tuple[int, Shop]]:
    """The port of a shop whose settings differ from the market's in this."""
    settings = msgspec.structs.replace(
        market.settings,
        services=msgspec.structs.replace(market.settings.services, **services),
        views=ViewSettings(**views),
    )
    assert isinstance(settings.services, ServicesSettings)
    door = socket.create_server(("127.0.0.1", 0), backlog=128)
    port = door.getsockname()[1]
    async with trio.open_nursery() as nursery:
        broker = MemoryBroker()
        nursery.start_soon(broker.run)
        ports = ShopPorts(store=market.store, broker=broker, clock=_later)
        shop = await nursery.start(run_back_office, settings, ports)
        nursery.start_soon(serve, shop.app, door)
        yield port, shop
        nursery.cancel_scope.cancel()
