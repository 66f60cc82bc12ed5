"""Browsers that do not read, or hardly, over HTTP/1.1 and HTTP/2: bounded in memory and time, and nobody's problem but
their own.
"""

from __future__ import annotations

import json
import statistics
import uuid
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial

import h2.config
import h2.connection
import trio

from tests.system import shopfloor as shop
from tests.system.servers.sse_client import SseClient
from tests.system.shopfloor import ALICE, BOB, QUEUE

SEND_TIMEOUT = 4.0
EVENT_BYTES = 2_300  # a dispatched shipment with a tracking number of 2,000 characters
NEVER, HARDLY, SLOWLY, H2_NEVER = 8, 4, 4, 4
EVENTS = 1_200  # times 20 streams times 2.3 kB: 55 MB


class StingyPeer:
    """An HTTP/2 client that grants the first window and never another byte."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.connection = h2.connection.H2Connection(
            h2.config.H2Configuration(header_encoding="utf-8")
        )
        self.received = 0

    @classmethod
    async def connect(cls, url: str, headers: dict[str, str]) -> StingyPeer:
        host, port = url.removeprefix("http://").split(":")
        peer = cls(await trio.open_tcp_stream(host, int(port)))
        peer.connection.initiate_connection()
        head = [
            (":method", "GET"),
            (":path", "/sse/storefront"),
            (":scheme", "http"),
            (":authority", host),
        ]
        peer.connection.send_headers(
            1, head + [(k.lower(), v) for k, v in headers.items()], end_stream=True
        )
        await peer.stream.send_all(peer.connection.data_to_send())
        return peer

    async def read(self) -> None:
        """Take what comes and acknowledge none of it."""
        try:
            while data := await self.stream.receive_some(65_536):
                self.received += len(data)
                self.connection.receive_data(data)
                # Answers to SETTINGS and PING; never a WINDOW_UPDATE, for nothing is acknowledged.
                await self.stream.send_all(self.connection.data_to_send())
        except (trio.BrokenResourceError, h2.exceptions.ProtocolError):
            pass
        finally:
            self.stream.socket.close()


@dataclass
class Neighbour:
    """A customer next door: publishes to itself and measures how long an event takes."""

    tool: object
    client: SseClient
    sent: dict[int, float] = field(default_factory=dict)
    serial: int = 0

    async def measure(self, events: int, pause: float) -> float:
        """Latencies of that many events in seconds, their 99th percentile."""
        first = self.serial + 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._publish, events, pause)
            latencies = []
            while len(latencies) < events:
                event = await self.client.read_event("message")
                number = json.loads(event.data)["itemCount"]
                if number >= first:
                    latencies.append(event.received - self.sent[number])
        return statistics.quantiles(latencies, n=100)[98]

    async def _publish(self, events: int, pause: float) -> None:
        for _ in range(events):
            self.serial += 1
            number = self.serial
            body = shop.numbered(BOB, number)
            properties = shop.wolverine_properties("Shopping.ItemAdded", str(uuid.uuid4()))
            self.sent[number] = trio.current_time()
            await self.tool.publish(body, properties)
            await trio.sleep(pause)


def shipments(order: str, amount: int) -> list[tuple[bytes, dict]]:
    long_number = "1Z" + "9" * 2000
    return [
        (
            shop.shipment_dispatched(order, shop.guid()).replace(
                b"1Z999AA10123456784", long_number.encode()
            ),
            shop.wolverine_properties("Fulfillment.ShipmentDispatched", str(uuid.uuid4())),
        )
        for _ in range(amount)
    ]


async def open_stream(url: str, customer: str, **more) -> SseClient:
    return await SseClient.connect(f"{url}/sse/storefront", headers=shop.bearer(customer), **more)


async def test_fifty_megabytes_at_browsers_that_do_not_read_hurt_nobody_else(vhost, new_service):
    service = new_service(
        **shop.settings(
            vhost.url, SEND_TIMEOUT=str(SEND_TIMEOUT), DRAIN="3", MAX_STREAMS_PER_CUSTOMER="100"
        )
    )
    await service.start()
    await shop.until(lambda: vhost.tool.state(QUEUE) is not None)
    order = shop.guid()
    await trio.to_thread.run_sync(
        lambda: shop.send(vhost.tool, "Orders.OrderPlaced", shop.order_placed(ALICE, order))
    )
    async with (
        shop.open_publisher(vhost.tool.url) as publisher,
        AsyncExitStack() as stack,
        trio.open_nursery() as nursery,
    ):
        bob = await stack.enter_async_context(await open_stream(service.url, BOB))
        # Live from here on: what was recorded before this frame is not among its events.
        await bob.read_event("stream")
        neighbour = Neighbour(publisher, bob)
        await neighbour.measure(50, 0.01)  # warm
        before, rss = await neighbour.measure(400, 0.01), service.rss()

        _never = [
            await stack.enter_async_context(
                await open_stream(service.url, ALICE, receive_buffer=4096)
            )
            for _ in range(NEVER)
        ]
        hardly = [
            await stack.enter_async_context(
                await open_stream(service.url, ALICE, receive_buffer=4096)
            )
            for _ in range(HARDLY)
        ]
        slowly = [
            await stack.enter_async_context(
                await open_stream(service.url, ALICE, receive_buffer=4096)
            )
            for _ in range(SLOWLY)
        ]
        stingy = [
            await StingyPeer.connect(service.url, shop.bearer(ALICE)) for _ in range(H2_NEVER)
        ]
        for client in hardly:
            nursery.start_soon(partial(client.read_to_end, kib_per_second=1))
        for client in slowly:
            nursery.start_soon(partial(client.read_to_end, kib_per_second=20))
        for peer in stingy:
            nursery.start_soon(peer.read)
        await shop.until_async(lambda: streams(service.url), 1 + NEVER + HARDLY + SLOWLY + H2_NEVER)

        most_rss = rss

        async def watch_memory() -> None:
            nonlocal most_rss
            while True:
                most_rss = max(most_rss, service.rss())
                await trio.sleep(0.1)

        nursery.start_soon(watch_memory)
        nursery.start_soon(
            trio.to_thread.run_sync,
            lambda: shop.publish_in_order(vhost.tool, shipments(order, EVENTS)),
        )
        # The first round shares the machine with the publishing of 55 MB; a busy machine may spoil one more.
        with trio.fail_after(60):
            ratios = [await neighbour.measure(400, 0.01) / before for _ in range(3)]

        with trio.fail_after(SEND_TIMEOUT + 10):
            while (await shop.metrics(service.url)).get(
                'storefront_streams_ended_total{reason="slow"}', 0
            ) < NEVER + H2_NEVER:
                await trio.sleep(0.2)
        told = await shop.metrics(service.url)
        written_at = EVENTS * EVENT_BYTES * (NEVER + HARDLY + SLOWLY + H2_NEVER)
        assert written_at >= 50_000_000
        assert told["storefront_http_sends_blocked_total"] > 0
        assert told["storefront_http_slow_aborts_total"] >= NEVER + H2_NEVER
        assert most_rss - rss < 32 * 1024, f"{(most_rss - rss) / 1024:.1f} MiB"
        assert min(ratios) <= 2, (
            f"the neighbour's p99 was {before * 1000:.1f} ms alone, and {ratios} times that beside them"
        )
        so_far = [len(client.raw) for client in slowly]
        await trio.sleep(2 * SEND_TIMEOUT)
        assert all(client.ended is None for client in slowly)
        assert all(len(client.raw) > then for client, then in zip(slowly, so_far, strict=True))
        assert all(peer.received < 500_000 for peer in stingy)
        nursery.cancel_scope.cancel()
    print(
        f"\nslow readers: {written_at / 1e6:.0f} MB at them, RSS +{(most_rss - rss) / 1024:.1f} MiB, p99 {before * 1000:.1f} ms alone, x{min(ratios):.2f} beside them"
    )
    assert await service.stop() == 0


async def streams(url: str) -> float:
    return (await shop.metrics(url))["storefront_streams"]


async def test_sigterm_in_the_middle_of_it_ends_the_process_in_time_and_by_returning(
    vhost, new_service
):
    service = new_service(
        **shop.settings(vhost.url, SEND_TIMEOUT="60", DRAIN="2", MAX_STREAMS_PER_CUSTOMER="100")
    )
    await service.start()
    await shop.until(lambda: vhost.tool.state(QUEUE) is not None)
    order = shop.guid()
    await trio.to_thread.run_sync(
        lambda: shop.send(vhost.tool, "Orders.OrderPlaced", shop.order_placed(ALICE, order))
    )
    async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
        for _ in range(5):
            await stack.enter_async_context(
                await open_stream(service.url, ALICE, receive_buffer=4096)
            )
        slow = await stack.enter_async_context(
            await open_stream(service.url, ALICE, receive_buffer=4096)
        )
        nursery.start_soon(partial(slow.read_to_end, kib_per_second=1))
        for peer in [await StingyPeer.connect(service.url, shop.bearer(ALICE)) for _ in range(3)]:
            nursery.start_soon(peer.read)
        await shop.until_async(lambda: streams(service.url), 9)
        await trio.to_thread.run_sync(
            lambda: shop.publish_in_order(vhost.tool, shipments(order, 600))
        )
        with trio.fail_after(10):
            while (await shop.metrics(service.url))["storefront_http_sends_blocked"] < 9:
                await trio.sleep(0.1)
        asked = trio.current_time()
        assert await service.stop(within=2 + 5) == 0
        assert trio.current_time() - asked < 2 + 5
        nursery.cancel_scope.cancel()
