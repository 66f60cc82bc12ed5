"""What the system tests of a whole service share: who is who, messages as Wolverine sends them, neighbours on HTTP.

The bodies are written out here, byte for byte as contracts.md has them, and not taken from the code under test.
"""

from __future__ import annotations

import asyncio
import re
import socket
import time
import uuid
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import aiormq
import httpx
import jwt
import trio

from storefront.demo.addresses import Ports, ServiceUrls
from storefront.demo.run import open_desks, serve_services
from storefront.demo.world import World
from storefront.serving import Drain, serve_http
from tests.system.servers.amqp_tool import AmqpTool
from tests.system.servers.rabbitmq import VirtualHost
from tests.system.servers.sse_client import SseClient

SECRET = "a secret for tests, of more than thirty-two bytes"
QUEUE = "storefront-notifications"
ALICE = "11111111-1111-1111-1111-111111111111"
BOB = "22222222-2222-2222-2222-222222222222"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

NAMESPACE = "Messages.Contracts."


def token(customer: str, lifetime: float = 3600.0, **claims: object) -> str:
    """Signed by PyJWT directly, so that the minting under test proves nothing about itself."""
    return jwt.encode({"sub": customer, "exp": time.time() + lifetime, **claims}, SECRET, "HS256")


def bearer(customer: str, **claims: object) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(customer, **claims)}"}


def guid(number: int = 0) -> str:
    return str(uuid.UUID(int=number) if number else uuid.uuid4())


def item_added(customer: str, cart: str) -> bytes:
    return f'{{"cartId":"{cart}","customerId":"{customer}","sku":"DOG-BOWL-01","quantity":2,"unitPrice":19.99,"addedAt":"2026-02-17T21:58:44.1234567+00:00"}}'.encode()


def quantity_changed(customer: str, cart: str) -> bytes:
    return f'{{"cartId":"{cart}","customerId":"{customer}","sku":"DOG-BOWL-01","oldQuantity":2,"newQuantity":5,"changedAt":"2026-02-17T21:58:45.1+00:00"}}'.encode()


def item_removed(customer: str, cart: str) -> bytes:
    return f'{{"cartId":"{cart}","customerId":"{customer}","sku":"DOG-BOWL-01","removedAt":"2026-02-17T21:58:46+00:00"}}'.encode()


def order_placed(customer: str, order: str) -> bytes:
    return (
        f'{{"orderId":"{order}","customerId":"{customer}","lineItems":[{{"sku":"DOG-BOWL-01","quantity":2,"unitPrice":19.99,"lineTotal":39.98}}],'
        '"shippingAddress":{"street":"123 Main St","street2":null,"city":"Seattle","state":"WA","postalCode":"98101","country":"US"},'
        '"shippingMethod":"Standard","paymentMethodToken":"tok_visa_test_12345","totalAmount":45.97,"placedAt":"2026-02-17T22:00:00.5+00:00"}'
    ).encode()


def payment_authorized(order: str) -> bytes:
    return f'{{"paymentId":"{guid()}","orderId":"{order}","amount":45.97,"authorizationId":"auth_12345","authorizedAt":"2026-02-17T22:00:01+00:00","expiresAt":"2026-02-24T22:00:01+00:00"}}'.encode()


def reservation_confirmed(order: str) -> bytes:
    return f'{{"orderId":"{order}","inventoryId":"{guid()}","reservationId":"{guid()}","sku":"DOG-BOWL-01","warehouseId":"WH-01","quantity":2,"reservedAt":"2026-02-17T22:00:02+00:00"}}'.encode()


def shipment_dispatched(order: str, shipment: str) -> bytes:
    return f'{{"orderId":"{order}","shipmentId":"{shipment}","carrier":"UPS","trackingNumber":"1Z999AA10123456784","dispatchedAt":"2026-02-17T22:00:03+00:00"}}'.encode()


def numbered(customer: str, number: int, filling: int = 0) -> bytes:
    """An ItemAdded that carries its totals, so that nobody needs to be asked; its number is its item count."""
    filler = f',"filling":"{"x" * filling}"' if filling else ""
    return f'{{"cartId":"{guid(number + 1)}","customerId":"{customer}","itemCount":{number},"totalAmount":{number}.50,"occurredAt":"2026-02-17T21:58:44+00:00"{filler}}}'.encode()


def send(
    tool: AmqpTool, kind: str, *bodies: bytes, queue: str = QUEUE, confirm: bool = True
) -> list[str]:
    """Publish as Wolverine does (contracts.md section 4.2), each under an id of its own; returns the ids."""
    sent = []
    for body in bodies:
        sent.append(guid())
        tool.publish(queue, body, confirm=confirm, **wolverine_properties(kind, sent[-1]))
    return sent


def publish_in_order(
    tool: AmqpTool, messages: Iterable[tuple[bytes, dict]], queue: str = QUEUE
) -> None:
    """Publish through one channel, so that the order given is the order in the queue; all confirmed."""

    async def publish() -> None:
        connection = await aiormq.connect(tool.url)
        try:
            channel = await connection.channel(publisher_confirms=True)
            await asyncio.gather(
                *(
                    asyncio.ensure_future(
                        channel.basic_publish(
                            body,
                            routing_key=queue,
                            properties=aiormq.spec.Basic.Properties(**properties),
                            mandatory=True,
                        )
                    )
                    for body, properties in messages
                )
            )
        finally:
            await connection.close()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: _run_apart(publish())).result(timeout=60)


def _run_apart(work) -> None:
    """On asyncio's own loop: trio-asyncio, once imported, gives out others."""
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(work)


class Publisher:
    """One connection that stays open, for messages whose moment matters."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._loop = asyncio.SelectorEventLoop()
        self._channel: aiormq.abc.AbstractChannel

    async def publish(self, body: bytes, properties: dict, queue: str = QUEUE) -> None:
        async def publish() -> None:
            await self._channel.basic_publish(
                body, routing_key=queue, properties=aiormq.spec.Basic.Properties(**properties)
            )

        future = asyncio.run_coroutine_threadsafe(publish(), self._loop)
        # Not waited for: the publisher's own confirm is no part of what is measured.
        assert future is not None

    def run(self, opened: trio.Event, token: trio.lowlevel.TrioToken) -> None:
        async def live() -> None:
            connection = await aiormq.connect(self._url)
            self._channel = await connection.channel(publisher_confirms=False)
            token.run_sync_soon(opened.set)
            self._closing = asyncio.Event()
            await self._closing.wait()
            await connection.close()

        try:
            self._loop.run_until_complete(live())
        finally:
            self._loop.close()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._closing.set)


@asynccontextmanager
async def open_publisher(url: str) -> AsyncIterator[Publisher]:
    publisher, opened = Publisher(url), trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            trio.to_thread.run_sync, publisher.run, opened, trio.lowlevel.current_trio_token()
        )
        await opened.wait()
        try:
            yield publisher
        finally:
            publisher.close()


def wolverine_properties(kind: str, message_id: str) -> dict:
    return {
        "content_type": "application/json",
        "message_type": NAMESPACE + kind,
        "message_id": message_id,
        "correlation_id": TRACE[3:35],
        "delivery_mode": 2,
        "headers": {
            "source": f"{kind.split('.', maxsplit=1)[0]}.Api",
            "conversation-id": message_id,
            "parent-id": TRACE,
            "sent-at": "2026-02-17 21:58:44:123456 Z",
            "accepted-content-types": "application/json",
            "attempts": "0",
            "reply-uri": f"rabbitmq://queue/wolverine.response.{message_id}",
            "wolverine-protocol-version": "1.0",
        },
    }


@dataclass(frozen=True)
class Neighbours:
    """Shopping, Orders and the others, on real HTTP in this process."""

    world: World
    urls: ServiceUrls
    desks: dict

    @property
    def settings(self) -> dict[str, str]:
        return {"SHOPPING_URL": self.urls.shopping, "ORDERS_URL": self.urls.orders}


@asynccontextmanager
async def open_neighbours() -> AsyncIterator[Neighbours]:
    world, desks = World(), open_desks()

    async def to_nobody(kind: str, body: object) -> None:
        await trio.lowlevel.checkpoint()

    async def serve(app, listening: socket.socket) -> None:
        await serve_http(app, listening, drain=Drain())

    async with trio.open_nursery() as nursery:
        urls = await nursery.start(
            partial(
                serve_services,
                world,
                publish=to_nobody,
                serve=serve,
                ports=Ports.any(),
                desks=desks,
            )
        )
        yield Neighbours(world, urls, desks)
        nursery.cancel_scope.cancel()


def settings(url: str, **more: str) -> dict[str, str]:
    """The variables of a service on this broker."""
    return {"RABBITMQ_URL": url, "JWT_SECRET": SECRET, "DRAIN": "1", "LOG_FORMAT": "json"} | more


async def until(what, within: float = 10.0) -> None:
    """Wait until `what()` is true.

    Raises:
        trio.TooSlowError: it did not become true in time.
    """
    with trio.fail_after(within):
        while not what():
            await trio.sleep(0.02)


async def until_async(ask, expected, within: float = 10.0) -> None:
    """Wait until the answer is the expected one."""
    with trio.fail_after(within):
        while (await ask()) != expected:
            await trio.sleep(0.05)


async def metrics(url: str) -> dict[str, float]:
    """What /metrics says now, by a sample's name with its labels."""
    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(f"{url}/metrics")).text
    return {
        name: float(value)
        for name, value in re.findall(r"^([a-z_]+(?:\{[^}]*\})?) (\S+)$", text, re.MULTILINE)
    }


async def open_stream(url: str, customer: str = ALICE, cursor: str = "") -> SseClient:
    """The customer's stream, of which the first frame was read; with the cursor of a browser that comes back."""
    headers = bearer(customer) | ({"Last-Event-ID": cursor} if cursor else {})
    client = await SseClient.connect(f"{url}/sse/storefront", headers=headers)
    assert await client.read_head() == 200
    await client.read_event("stream")
    return client


async def until_consumed(vhost: VirtualHost, queue: str = QUEUE, within: float = 20.0) -> None:
    """Wait until somebody consumes the queue."""

    async def consumers() -> int:
        state = await trio.to_thread.run_sync(vhost.tool.state, queue)
        return state.consumers if state is not None else 0

    await until_async(consumers, 1, within)


async def until_settled(vhost: VirtualHost, queue: str = QUEUE, within: float = 20.0) -> None:
    """Wait until nothing of the queue is left, neither in it nor with its consumer."""

    async def left() -> int:
        state = await trio.to_thread.run_sync(vhost.tool.state, queue)
        held = await trio.to_thread.run_sync(vhost.unacknowledged, queue)
        return state.ready + held

    await until_async(left, 0, within)
