"""A message on a real RabbitMQ becomes an event on its customer's screen, and on nobody else's."""

from __future__ import annotations

import json
import random
import uuid
from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from functools import partial

import pytest
import trio

from tests.system import shopfloor as shop
from tests.system.servers.sse_client import SseClient, open_httpx_stream
from tests.system.servers.sse_wire import SseEvent
from tests.system.shopfloor import ALICE, BOB, QUEUE


async def open_stream(url: str, customer: str, **more) -> SseClient:
    client = await SseClient.connect(f"{url}/sse/storefront", headers=shop.bearer(customer), **more)
    assert await client.read_head() == 200
    await client.read_event("stream")
    return client


async def test_all_seven_kinds_published_byte_for_byte_reach_the_stream_of_their_customer(
    vhost, new_service
):
    async with shop.open_neighbours() as neighbours:
        cart = neighbours.world.carts.initialise(ALICE)
        neighbours.world.carts.add(cart.cart_id, "DOG-BOWL-01", 2, Decimal("19.99"))
        service = new_service(**shop.settings(vhost.url, **neighbours.settings))
        await service.start()
        order, shipment = shop.guid(), shop.guid()
        with trio.fail_after(20):
            async with (
                await open_stream(service.url, ALICE) as alice,
                await open_stream(service.url, BOB) as bob,
            ):
                await shop.until(lambda: vhost.tool.state(QUEUE) is not None)
                published = trio.current_time()
                for kind, body in (
                    ("Shopping.ItemAdded", shop.item_added(ALICE, cart.cart_id)),
                    ("Shopping.ItemQuantityChanged", shop.quantity_changed(ALICE, cart.cart_id)),
                    ("Shopping.ItemRemoved", shop.item_removed(ALICE, cart.cart_id)),
                    ("Orders.OrderPlaced", shop.order_placed(ALICE, order)),
                    ("Payments.PaymentAuthorized", shop.payment_authorized(order)),
                    ("Inventory.ReservationConfirmed", shop.reservation_confirmed(order)),
                    ("Fulfillment.ShipmentDispatched", shop.shipment_dispatched(order, shipment)),
                ):
                    await trio.to_thread.run_sync(partial(shop.send, vhost.tool, kind, body))
                seven = [(await alice.read_event()).data for _ in range(7)]
                assert trio.current_time() - published < 7, "one second each, at most"
                cart_event = '{{"eventType":"cart-updated","cartId":"{}","customerId":"{}","itemCount":1,"totalAmount":39.98,"occurredAt":"{}"}}'
                order_event = '{{"eventType":"order-status-changed","orderId":"{}","customerId":"{}","newStatus":"{}","occurredAt":"{}"}}'
                assert seven == [
                    cart_event.format(cart.cart_id, ALICE, "2026-02-17T21:58:44.1234567+00:00"),
                    cart_event.format(cart.cart_id, ALICE, "2026-02-17T21:58:45.1+00:00"),
                    cart_event.format(cart.cart_id, ALICE, "2026-02-17T21:58:46+00:00"),
                    order_event.format(order, ALICE, "Placed", "2026-02-17T22:00:00.5+00:00"),
                    order_event.format(
                        order, ALICE, "PaymentAuthorized", "2026-02-17T22:00:01+00:00"
                    ),
                    order_event.format(
                        order, ALICE, "InventoryReserved", "2026-02-17T22:00:02+00:00"
                    ),
                    f'{{"eventType":"shipment-status-changed","shipmentId":"{shipment}","orderId":"{order}","customerId":"{ALICE}","newStatus":"Dispatched","trackingNumber":"1Z999AA10123456784","occurredAt":"2026-02-17T22:00:03+00:00"}}',
                ]
                assert all(
                    event.type == "message" for event in alice.sse.events if event.type != "stream"
                )
                assert b"tok_visa" not in alice.raw
                with trio.move_on_after(0.5):
                    await bob.read_event()
                assert [event.type for event in bob.sse.events] == ["stream"]
        # Totals were asked of Shopping, three times; whose order it was, of nobody.
        assert neighbours.desks["shopping"].ledger.asked(f"/api/carts/{cart.cart_id}") == 3
        assert neighbours.desks["orders"].ledger.total == 0
        await shop.until(lambda: vhost.unacknowledged(QUEUE) == 0)
        assert await service.stop() == 0


def crossings(tabs: dict[str, list[list[SseEvent]]], published: dict[str, list[int]]) -> list[str]:
    """What is wrong with what the tabs of each customer saw; judged by the payload alone."""
    wrong = []
    for customer, theirs in tabs.items():
        for number, events in enumerate(theirs):
            seen = [json.loads(event.data) for event in events if event.type == "message"]
            if strangers := [
                each
                for each in seen
                if each["customerId"] != customer
                or each["itemCount"] not in set(published[customer])
            ]:
                wrong.append(f"tab {number} of {customer} saw {len(strangers)} events of others")
            if [each["itemCount"] for each in seen] != published[customer]:
                wrong.append(f"tab {number} of {customer} is not complete and in order")
            sequence = [
                int(event.id.rpartition("-")[2]) for event in events if event.type == "message"
            ]
            if sequence != list(range(1, len(published[customer]) + 1)):
                wrong.append(f"tab {number} of {customer} cannot prove that nothing is missing")
    return wrong


async def interleave(vhost, service, amount: int) -> tuple[dict, dict]:
    """Several tabs of two customers, and that many messages of both, adjacent in the same batches."""
    published: dict[str, list[int]] = defaultdict(list)
    bodies = []
    chance = random.Random(7)
    for number in range(1, amount + 1):
        customer = chance.choice([ALICE, BOB])
        published[customer].append(number)
        bodies.append(shop.numbered(customer, number))
    clients = {
        ALICE: [await open_stream(service.url, ALICE) for _ in range(3)],
        BOB: [await open_stream(service.url, BOB) for _ in range(3)],
    }

    async def read(client: SseClient, expected: int) -> None:
        with trio.move_on_after(20):
            for _ in range(expected):
                await client.read_event("message")
        # What came although nobody expected it must be seen too.
        with trio.move_on_after(0.3):
            await client.read_event("message")

    def publish() -> None:
        # One connection and one channel: the order of the calls is the order in the queue.
        shop.publish_in_order(
            vhost.tool,
            [
                (body, shop.wolverine_properties("Shopping.ItemAdded", str(uuid.uuid4())))
                for body in bodies
            ],
        )

    async with trio.open_nursery() as nursery:
        for customer, theirs in clients.items():
            for client in theirs:
                nursery.start_soon(read, client, len(published[customer]))
        nursery.start_soon(trio.to_thread.run_sync, publish)
    for client in (*clients[ALICE], *clients[BOB]):
        client.vanish()
    return {
        customer: [client.sse.events for client in theirs] for customer, theirs in clients.items()
    }, published


async def test_a_thousand_interleaved_messages_reach_every_tab_of_their_customer_and_cross_nowhere(
    vhost, new_service
):
    service = new_service(**shop.settings(vhost.url))
    await service.start()
    await shop.until(lambda: vhost.tool.state(QUEUE) is not None)
    tabs, published = await interleave(vhost, service, 1000)
    assert crossings(tabs, published) == []
    assert sum(map(len, published.values())) == 1000
    assert await service.stop() == 0


async def test_the_checker_sees_a_service_that_takes_the_customer_from_the_previous_message(
    vhost, new_service, tmp_path
):
    """The control: were this green, the test above would prove nothing."""
    sabotage = tmp_path / "sabotage"
    sabotage.mkdir()
    (sabotage / "sitecustomize.py").write_text(
        "from storefront.messaging import dispatch\n"
        "honest = dispatch.Dispatcher._to_customer\n"
        "def previous(self, work, customer):\n"
        "    last, self.__dict__['last'] = self.__dict__.get('last', customer), customer\n"
        "    honest(self, work, last)\n"
        "dispatch.Dispatcher._to_customer = previous\n"
    )
    service = new_service(**shop.settings(vhost.url))
    service._environment["PYTHONPATH"] += f":{sabotage}"
    await service.start()
    await shop.until(lambda: vhost.tool.state(QUEUE) is not None)
    tabs, published = await interleave(vhost, service, 100)
    wrong = crossings(tabs, published)
    assert any("events of others" in each for each in wrong)
    assert any("is not complete and in order" in each for each in wrong)


async def test_somebody_elses_client_reads_the_same_events(vhost, new_service):
    service = new_service(**shop.settings(vhost.url))
    await service.start()
    await shop.until(lambda: vhost.tool.state(QUEUE) is not None)
    seen = []
    with trio.fail_after(15):
        async with (
            open_httpx_stream(f"{service.url}/sse/storefront", **shop.bearer(ALICE)) as source,
            trio.open_nursery() as nursery,
        ):
            # Read to the end, which the service makes by leaving: httpx's generators want to be exhausted.
            async for event in source.aiter_sse():
                # httpx-sse also hands out blocks of only `retry:` or `id:`, which a browser does not dispatch.
                if not event.data:
                    continue
                seen.append(event)
                if event.event == "stream":
                    await trio.to_thread.run_sync(
                        lambda: shop.send(vhost.tool, "Shopping.ItemAdded", shop.numbered(ALICE, 7))
                    )
                elif event.event == "message":
                    nursery.start_soon(service.stop)
    assert [event.event for event in seen] == ["stream", "message", "shutdown"]
    assert (seen[1].json()["itemCount"], seen[1].id.rpartition("-")[2]) == (7, "1")


def described(letters: Iterable) -> list[tuple[bytes, str]]:
    return [(letter.body, letter.headers["x-storefront-reason"]) for letter in letters]


async def test_what_nobody_can_read_is_dead_lettered_with_its_reason_and_the_next_is_not_delayed(
    vhost, new_service
):
    service = new_service(**shop.settings(vhost.url))
    await service.start()
    await shop.until(lambda: vhost.tool.state(QUEUE) is not None)
    poison = [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"cartId":"x"}',
        shop.numbered(ALICE, 1).replace(b'"itemCount":1', b'"itemCount":"one"'),
    ]
    async with await open_stream(service.url, ALICE) as client:
        await trio.to_thread.run_sync(
            lambda: shop.send(vhost.tool, "Shopping.ItemAdded", *poison, shop.numbered(ALICE, 2))
        )
        with trio.fail_after(2):
            assert json.loads((await client.read_event()).data)["itemCount"] == 2
    await shop.until(lambda: vhost.tool.state("wolverine-dead-letter-queue").ready == len(poison))
    letters = vhost.tool.get("wolverine-dead-letter-queue", limit=10)
    assert sorted(described(letters)) == sorted(
        [
            (body, "not-json" if body in (b"", b"{", b"\xff\xfe") else "not-this-message")
            for body in poison
        ]
    )
    for letter in letters:
        assert letter.properties["message_type"] == "Messages.Contracts.Shopping.ItemAdded"
        assert letter.headers["original-destination"] == QUEUE
        assert letter.headers["source"] == "Shopping.Api"
        assert letter.headers["failed-at"] > 1_700_000_000_000


async def test_unknown_types_pings_anonymous_carts_are_acknowledged_and_nothing_more(
    vhost, new_service
):
    service = new_service(**shop.settings(vhost.url))
    await service.start()
    await shop.until(lambda: vhost.tool.state(QUEUE) is not None)
    async with await open_stream(service.url, ALICE) as client:

        def publish() -> None:
            shop.send(vhost.tool, "Returns.CrossProductExchangeRequested", b'{"x":1}')
            vhost.tool.publish(
                QUEUE, b"\1\2\3\4", message_type="wolverine-ping", content_type="wolverine/ping"
            )
            vhost.tool.publish(QUEUE, b"no type at all")
            shop.send(
                vhost.tool,
                "Shopping.ItemAdded",
                shop.numbered("00000000-0000-0000-0000-000000000000", 1),
                shop.numbered(ALICE, 9),
            )

        await trio.to_thread.run_sync(publish)
        with trio.fail_after(5):
            assert json.loads((await client.read_event()).data)["itemCount"] == 9
    await shop.until(lambda: vhost.unacknowledged(QUEUE) == 0)
    assert vhost.tool.state(QUEUE).ready == 0
    assert vhost.tool.state("wolverine-dead-letter-queue").ready == 0


async def test_header_values_may_be_bytes_and_the_type_may_be_short(vhost, new_service):
    service = new_service(**shop.settings(vhost.url))
    await service.start()
    await shop.until(lambda: vhost.tool.state(QUEUE) is not None)
    async with await open_stream(service.url, ALICE) as client:

        def publish() -> None:
            vhost.tool.publish(
                QUEUE,
                shop.numbered(ALICE, 1),
                headers={
                    "message-type": bytearray(b"Messages.Contracts.Shopping.ItemAdded"),
                    "id": bytearray(b"one"),
                },
            )
            vhost.tool.publish(
                QUEUE,
                shop.numbered(ALICE, 2),
                message_type="Shopping.ItemAdded",
                headers={"odd": None, "table": {"a": 1}},
            )
            vhost.tool.publish(
                QUEUE,
                shop.numbered(ALICE, 3)
                .replace(b"customerId", b"CustomerID")
                .replace(b"itemCount", b"ItemCount"),
                message_type="Shopping.ItemAdded",
            )

        await trio.to_thread.run_sync(publish)
        with trio.fail_after(5):
            assert [
                json.loads((await client.read_event()).data)["itemCount"] for _ in range(3)
            ] == [1, 2, 3]


@pytest.mark.parametrize("asked", [BOB, BOB.upper()])
async def test_another_customers_id_in_the_query_is_403_and_no_stream(vhost, new_service, asked):
    service = new_service(**shop.settings(vhost.url))
    await service.start()
    async with await SseClient.connect(
        f"{service.url}/sse/storefront?customerId={asked}", headers=shop.bearer(ALICE)
    ) as client:
        assert await client.read_head() == 403
        assert client.headers["content-type"] == "application/problem+json"


async def test_a_browser_that_leaves_while_nothing_happens_is_off_the_books_at_once(new_service):
    """Its task sleeps and nobody reads for it: the connection itself has to say so."""
    service = new_service(**shop.settings("amqp://127.0.0.1:9"))
    await service.start()

    async def open_now() -> float:
        return (await shop.metrics(service.url))["storefront_streams"]

    async with await open_stream(service.url, ALICE):
        assert await open_now() == 1
    await shop.until_async(open_now, 0.0, within=5)
