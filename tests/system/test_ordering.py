"""Eight customers, five hundred messages each, published back to back: each sees theirs in order, without hole or double.

Some messages need an answer of Shopping, which takes its time; others carry what they need and could overtake them. An
order's payment comes right behind the order, and is placed without a question. The queue changes hands in the middle.
"""

from __future__ import annotations

import itertools
import json
import random
import re
import signal
from collections.abc import Iterator
from functools import partial

import trio

from storefront.demo.faults import Fault, Faults
from tests.system import shopfloor as shop
from tests.system.servers.sse_client import SseClient
from tests.system.shopfloor import Neighbours

CUSTOMERS = [shop.guid(number) for number in range(101, 109)]
EACH = 500
LONGEST_DELAY = 0.02  # seconds: enough for ten messages to pass by
NUMBER = re.compile(r"\.(\d{7})\+")


class RandomDelays(Faults):
    """Every answer is right, and each takes another time."""

    def __init__(self) -> None:
        super().__init__()
        self._chance = random.Random(11)

    def take(self, *_: str) -> Fault:
        return Fault(latency=self._chance.uniform(0, LONGEST_DELAY))


def messages_of(customer: str, cart: str, chance: random.Random) -> Iterator[tuple[str, bytes]]:
    """Type and body of each; its number is the fraction of the second in which it happened."""
    number = 1
    while number <= EACH:
        kind = chance.choices(["asks", "tells", "order"], weights=[2, 10, 1])[0]
        if kind == "asks":
            yield "Shopping.ItemAdded", happened(shop.item_added(customer, cart), number)
        elif kind == "tells" or number == EACH:
            yield "Shopping.ItemAdded", happened(shop.numbered(customer, number), number)
        else:
            order = shop.guid()
            yield "Orders.OrderPlaced", happened(shop.order_placed(customer, order), number)
            number += 1
            yield "Payments.PaymentAuthorized", happened(shop.payment_authorized(order), number)
        number += 1


def happened(body: bytes, number: int) -> bytes:
    return re.sub(rb"T22:00:0\d(\.\d+)?\+|T21:58:44(\.\d+)?\+", b"T22:00:00.%07d+" % number, body)


def shuffled(neighbours: Neighbours) -> list[tuple[bytes, dict]]:
    """All messages, ready to be published: each customer's in order, the customers mixed."""
    chance, lines = random.Random(7), []
    for customer in CUSTOMERS:
        cart = neighbours.world.carts.initialise(customer)
        price = neighbours.world.products["DOG-BOWL-01"].price
        neighbours.world.carts.add(cart.cart_id, "DOG-BOWL-01", 2, price)
        lines.append(messages_of(customer, cart.cart_id, chance))
    turns = [line for line in lines for _ in range(EACH)]
    chance.shuffle(turns)
    return [
        (body, shop.wolverine_properties(kind, shop.guid()))
        for kind, body in (next(line) for line in turns)
    ]


def faults_of(client: SseClient) -> list[str]:
    """What is wrong with what one customer saw."""
    events = [event for event in client.sse.events if event.type == "message"]
    shown = [int(NUMBER.search(json.loads(event.data)["occurredAt"])[1]) for event in events]
    places = [int(event.id.rpartition("-")[2]) for event in events]
    wrong = [
        f"{earlier} before {later}"
        for earlier, later in itertools.pairwise(shown)
        if later <= earlier
    ]
    if missing := set(range(1, EACH + 1)) - set(shown):
        wrong.append(f"missing: {sorted(missing)}")
    if places != list(range(1, EACH + 1)):
        wrong.append(f"{len(places)} places, up to {places[-1]}")
    return wrong


async def test_eight_customers_see_their_five_hundred_in_order_while_the_queue_changes_hands_twice(
    vhost, redis_server, new_service
):
    async with shop.open_neighbours() as neighbours:
        common = shop.settings(vhost.url, **neighbours.settings, REDIS_URL=redis_server.url)
        leaving, killed, last = (new_service(**common) for _ in range(3))
        await leaving.start()
        await shop.until_consumed(vhost)
        for each in (killed, last):
            await each.start()
        neighbours.desks["shopping"].faults = RandomDelays()
        queued = shuffled(neighbours)
        # Whoever consumes, these hear of it from the store.
        clients = [await shop.open_stream(last.url, customer) for customer in CUSTOMERS]

        def seen() -> int:
            return sum(len(client.sse.events) for client in clients)

        publish = partial(trio.to_thread.run_sync, shop.publish_in_order, vhost.tool)
        async with trio.open_nursery() as nursery:
            for client in clients:
                nursery.start_soon(client.read_to_end)
            third = len(queued) // 3
            await publish(queued[:third])
            await shop.until(lambda: seen() > third // 2, within=60)
            nursery.start_soon(publish, queued[third:])
            leaving.send(signal.SIGTERM)
            await shop.until(lambda: seen() > 2 * third, within=60)
            killed.kill()
            await shop.until(lambda: seen() >= len(queued) + len(clients), within=120)
            await shop.until_settled(vhost)
            nursery.cancel_scope.cancel()
        for client in clients:
            client.vanish()
        assert await leaving.wait(within=5) == 0
        assert {client: wrong for client in clients if (wrong := faults_of(client))} == {}
        assert neighbours.desks["shopping"].ledger.total > len(queued) // 10
        assert neighbours.desks["orders"].ledger.total == 0


async def test_a_payment_whose_order_was_seen_before_a_restart_keeps_its_turn_and_asks_nobody(
    vhost, new_service, tmp_path
):
    customer, orders = CUSTOMERS[0], [shop.guid() for _ in range(20)]

    async def publish(*messages: tuple[str, bytes]) -> None:
        queued = [(body, shop.wolverine_properties(kind, shop.guid())) for kind, body in messages]
        await trio.to_thread.run_sync(shop.publish_in_order, vhost.tool, queued)

    async with shop.open_neighbours() as neighbours:
        common = shop.settings(vhost.url, **neighbours.settings, DATA_DIR=str(tmp_path / "log"))
        service = new_service(**common)
        await service.start()
        await shop.until_consumed(vhost)
        async with await shop.open_stream(service.url, customer) as client:
            await publish(
                *(("Orders.OrderPlaced", shop.order_placed(customer, each)) for each in orders)
            )
            with trio.fail_after(10):
                for _ in orders:
                    await client.read_event("message")
        await service.stop()
        for number, order in enumerate(orders):
            await publish(
                ("Payments.PaymentAuthorized", shop.payment_authorized(order)),
                ("Shopping.ItemAdded", shop.numbered(customer, number)),
            )
        await service.start()
        cursor = client.sse.last_event_id
        async with await shop.open_stream(service.url, customer, cursor) as client:
            with trio.fail_after(10):
                shown = [json.loads((await client.read_event("message")).data) for _ in range(40)]
        assert [each.get("orderId", each.get("itemCount")) for each in shown] == [
            what for number, order in enumerate(orders) for what in (order, number)
        ]
        assert neighbours.desks["orders"].ledger.total == 0
