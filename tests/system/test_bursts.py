"""Five thousand events of 2 kB for one customer within seconds: no healthy stream ends, and nothing is missing."""

from __future__ import annotations

import json
import uuid
from contextlib import AsyncExitStack

import pytest
import trio

from tests.system import shopfloor as shop
from tests.system.servers.sse_client import SseClient
from tests.system.shopfloor import ALICE, BOB, QUEUE

EVENTS = 5_000
EVENT_BYTES = 2_000
EVERY = 100  # one message of the neighbour after so many
WITHIN = 120.0  # seconds for all of it; 45 s with ten others on the machine
BUSY_FOR = 6.0  # seconds at most, of the ten (SEND_TIMEOUT) that one write may take
# Seconds between an event of the neighbour and the other customer's event before it, as two browsers see them.
LAG = 2.0


@pytest.fixture(params=["sqlite", "redis"])
def log_settings(request) -> dict[str, str]:
    if request.param == "sqlite":
        return {}
    return {"REDIS_URL": request.getfixturevalue("redis_server").url}


def burst(order: str) -> tuple[list[tuple[bytes, dict]], list[str]]:
    """The messages in their order, and the shipments in theirs."""
    messages, shipments = [], []
    for number in range(EVENTS):
        shipments.append(shop.guid())
        body = shop.shipment_dispatched(order, shipments[-1])
        body = body.replace(b"1Z999AA10123456784", b"1Z" + b"9" * EVENT_BYTES)
        kind = "Fulfillment.ShipmentDispatched"
        messages.append((body, shop.wolverine_properties(kind, str(uuid.uuid4()))))
        if number % EVERY == EVERY - 1:
            kind, body = "Shopping.ItemAdded", shop.numbered(BOB, (number + 1) // EVERY)
            messages.append((body, shop.wolverine_properties(kind, str(uuid.uuid4()))))
    return messages, shipments


async def open_stream(url: str, customer: str, **more) -> SseClient:
    client = await SseClient.connect(f"{url}/sse/storefront", headers=shop.bearer(customer), **more)
    assert await client.read_head() == 200
    await client.read_event("stream")
    return client


async def read(client: SseClient, number: int) -> None:
    for _ in range(number):
        await client.read_event("message")


def told(client: SseClient, field: str) -> list:
    """A field of every event that came, once their ids have proved that none is missing."""
    events = [event for event in client.sse.events if event.type == "message"]
    numbers = [int(event.id.rpartition("-")[2]) for event in events]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    return [json.loads(event.data).get(field) for event in events]


async def test_a_burst_for_one_customer_ends_no_healthy_stream_and_every_event_arrives(
    vhost, new_service, log_settings
):
    service = new_service(**shop.settings(vhost.url, **log_settings))
    await service.start()
    await shop.until(lambda: vhost.tool.state(QUEUE) is not None)
    order = shop.guid()
    messages, shipments = burst(order)
    async with AsyncExitStack() as stack:

        async def browser(customer: str, **more) -> SseClient:
            return await stack.enter_async_context(await open_stream(service.url, customer, **more))

        quick, other, late = (
            await browser(ALICE),
            await browser(ALICE),
            await browser(ALICE, receive_buffer=128 * 1024),
        )
        neighbour = await browser(BOB)
        placed = shop.order_placed(ALICE, order)
        await trio.to_thread.run_sync(shop.send, vhost.tool, "Orders.OrderPlaced", placed)
        with trio.fail_after(10):
            for client in (quick, other, late):
                await client.read_event("message")
        with trio.fail_after(WITHIN):
            async with trio.open_nursery() as nursery:
                for client in (quick, other):
                    nursery.start_soon(read, client, EVENTS)
                nursery.start_soon(read, neighbour, EVENTS // EVERY)
                nursery.start_soon(
                    trio.to_thread.run_sync,
                    lambda: shop.publish_in_order(vhost.tool, messages),
                )
                # This one is busy with something else until half of it has gone by: more than its channel holds.
                # Not for as long, though, as makes a stream one that does not take its writes.
                with trio.move_on_after(BUSY_FOR):
                    while len(quick.sse.events) < EVENTS // 2:
                        await trio.sleep(0.05)
                await read(late, EVENTS)
        now = await shop.metrics(service.url)
        for client in (quick, other, late):
            assert told(client, "shipmentId") == [None, *shipments]
            assert client.ended is None
        assert told(neighbour, "itemCount") == list(range(1, EVENTS // EVERY + 1))
        assert neighbour.ended is None
        assert max(lags(quick, neighbour)) < LAG
        assert len(quick.raw) > EVENTS * EVENT_BYTES
        caught_up = sum(v for name, v in now.items() if name.startswith("storefront_replays_total"))
        assert caught_up > 0, "nobody fell behind, so nothing was proved"
        assert not [name for name in now if name.startswith("storefront_streams_ended_total")]
    assert await service.stop() == 0


def lags(quick: SseClient, neighbour: SseClient) -> list[float]:
    """How long after the event before it each of the neighbour's came."""
    before = [event.received for event in quick.sse.events if event.type == "message"]
    theirs = [event.received for event in neighbour.sse.events if event.type == "message"]
    return [at - before[(place + 1) * EVERY] for place, at in enumerate(theirs)]
