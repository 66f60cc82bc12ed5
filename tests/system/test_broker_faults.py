"""RabbitMQ dies, cancels, deletes and disagrees; consumption goes on by itself, and HTTP never stops."""

from __future__ import annotations

import json
import uuid

import httpx
import pytest
import trio

from storefront.demo.faults import Failing, Fault
from tests.system import shopfloor as shop
from tests.system.servers.amqp_tool import WOLVERINE_ARGUMENTS
from tests.system.servers.sse_client import SseClient
from tests.system.shopfloor import ALICE, QUEUE


async def open_stream(url: str, customer: str = ALICE, **headers: str) -> SseClient:
    client = await SseClient.connect(
        f"{url}/sse/storefront", headers=shop.bearer(customer) | headers
    )
    assert await client.read_head() == 200
    await client.read_event("stream")
    return client


def numbers(client: SseClient) -> list[int]:
    return [
        json.loads(event.data)["itemCount"]
        for event in client.sse.events
        if event.type == "message"
    ]


async def publish(vhost, *which: int) -> None:
    await trio.to_thread.run_sync(
        lambda: shop.send(
            vhost.tool, "Shopping.ItemAdded", *(shop.numbered(ALICE, number) for number in which)
        )
    )


async def consuming(vhost) -> None:
    async def look() -> bool:
        state = await trio.to_thread.run_sync(vhost.tool.state, QUEUE)
        return state is not None and state.consumers == 1

    with trio.fail_after(20):
        while not await look():
            await trio.sleep(0.05)


async def read_until(client: SseClient, number: int, within: float = 20.0) -> None:
    with trio.fail_after(within):
        while number not in numbers(client):
            await client.read_some()


async def keep_asking(url: str, answers: list[int]) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=2.0) as client:
        while True:
            answers.append((await client.get(f"{url}/health/ready")).status_code)
            await trio.sleep(0.1)


async def test_a_broker_that_is_killed_for_ten_seconds_under_traffic_loses_nothing_and_stops_nothing(
    rabbit, vhost, new_service
):
    service = new_service(**shop.settings(vhost.url))
    await service.start()
    await consuming(vhost)
    answers: list[int] = []
    confirmed: list[int] = []
    finished = trio.Event()

    async def keep_publishing(stop: trio.Event) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                await publish(vhost, number)
            except Exception:  # noqa: BLE001 - whatever aiormq says of a broker that is gone
                await trio.sleep(0.2)
            else:
                confirmed.append(number)
        finished.set()

    async with await open_stream(service.url) as client, trio.open_nursery() as nursery:
        stop = trio.Event()
        nursery.start_soon(keep_asking, service.url, answers)
        nursery.start_soon(keep_publishing, stop)
        nursery.start_soon(client.read_to_end)
        await shop.until(lambda: len(confirmed) > 20)
        rabbit.kill()
        killed_at = trio.current_time()
        before = len(confirmed)
        await trio.sleep(10)
        assert client.ended is None
        await rabbit.start()
        down_for = trio.current_time() - killed_at
        await shop.until(lambda: len(confirmed) > before + 20, within=30)
        stop.set()
        await finished.wait()
        await shop.until(lambda: set(confirmed) <= set(numbers(client)), within=30)
        nursery.cancel_scope.cancel()
    seen = numbers(client)
    assert down_for >= 10
    # A message whose confirm was lost may be there as well: it was published, and is shown once.
    assert len(seen) == len(set(seen))
    assert [number for number in seen if number in set(confirmed)] == confirmed
    assert len(answers) > 80
    assert set(answers) == {200}
    assert await service.stop() == 0


async def test_what_was_not_acknowledged_when_the_broker_went_comes_again(
    rabbit, vhost, new_service
):
    """Shopping never answers, so the message stays in hand; the broker dies with it and has it still."""
    async with shop.open_neighbours() as neighbours:
        cart = neighbours.world.carts.initialise(ALICE)
        neighbours.world.carts.add(
            cart.cart_id, "DOG-BOWL-01", 2, neighbours.world.products["DOG-BOWL-01"].price
        )
        hang = neighbours.desks["shopping"].faults
        service = new_service(
            **shop.settings(vhost.url, **neighbours.settings, QUESTION_TIMEOUT="8")
        )
        await service.start()
        await consuming(vhost)
        async with await open_stream(service.url) as client:
            set_hanging(hang)
            await trio.to_thread.run_sync(
                lambda: shop.send(
                    vhost.tool, "Shopping.ItemAdded", shop.item_added(ALICE, cart.cart_id)
                )
            )
            await shop.until(lambda: vhost.unacknowledged(QUEUE) == 1)
            rabbit.kill()
            hang.clear()
            await rabbit.start()
            with trio.fail_after(40):
                event = await client.read_event("message")
            assert json.loads(event.data)["totalAmount"] == 39.98
            await consuming(vhost)
            await shop.until(lambda: vhost.unacknowledged(QUEUE) == 0)
            with trio.move_on_after(1):
                await client.read_event("message")
            assert len(numbers(client)) == 1


def set_hanging(faults) -> None:
    faults.set(Fault(failing=Failing.HANG))


async def test_a_queue_that_is_deleted_is_declared_and_consumed_again(vhost, new_service):
    service = new_service(**shop.settings(vhost.url))
    await service.start()
    await consuming(vhost)
    async with await open_stream(service.url) as client:
        await publish(vhost, 1)
        await read_until(client, 1)
        await trio.to_thread.run_sync(vhost.tool.delete, QUEUE)
        await consuming(vhost)
        # The canary: not that a consumer stands there, but that messages flow through it.
        await publish(vhost, 2)
        await read_until(client, 2)
        assert client.ended is None


async def test_a_connection_that_an_operator_closes_is_made_again(vhost, new_service):
    service = new_service(**shop.settings(vhost.url))
    await service.start()
    await consuming(vhost)
    async with await open_stream(service.url) as client:
        for number in (1, 2, 3):
            await publish(vhost, number)
            await read_until(client, number)
            await trio.to_thread.run_sync(vhost.close_connections)
            await consuming(vhost)
        await publish(vhost, 4)
        await read_until(client, 4)
        assert numbers(client) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "arguments",
    [{}, {"x-dead-letter-exchange": "another"}, {"x-max-length": 1000}],
    ids=["none", "another", "more"],
)
async def test_a_queue_declared_with_other_arguments_is_consumed_as_it_is(
    vhost, new_service, arguments
):
    await trio.to_thread.run_sync(lambda: vhost.tool.declare(QUEUE, arguments=arguments))
    service = new_service(**shop.settings(vhost.url))
    await service.start()
    await consuming(vhost)
    async with await open_stream(service.url) as client:
        await publish(vhost, 1)
        await read_until(client, 1)


async def test_a_queue_is_declared_as_wolverine_declares_it_whoever_comes_first(vhost, new_service):
    service = new_service(**shop.settings(vhost.url))
    await service.start()
    await consuming(vhost)
    # Other arguments than the same would be refused with 406.
    await trio.to_thread.run_sync(vhost.tool.declare_as_wolverine, QUEUE)
    assert WOLVERINE_ARGUMENTS == {"x-dead-letter-exchange": "wolverine-dead-letter-queue"}


async def test_a_broker_that_is_not_there_at_the_start_does_not_keep_the_shop_closed(
    vhost, new_service, rabbit
):
    await rabbit.stop()
    service = new_service(**shop.settings(vhost.url))
    await service.start()
    async with httpx.AsyncClient(trust_env=False) as client:
        told = (await client.get(f"{service.url}/health/ready?verbose")).json()
        queues = ("notifications", "fulfillment", "returns")
        consumers = {f"consumer.{queue}": "unreachable" for queue in queues}
        assert told == {"status": "ready", "parts": {"store": "durable", **consumers}}
        async with await open_stream(service.url) as stream:
            await rabbit.start()
            await consuming(vhost)
            await publish(vhost, 1)
            await read_until(stream, 1)
        told = (await client.get(f"{service.url}/health/ready?verbose")).json()
        assert told["parts"]["consumer.notifications"] == "consuming"


async def test_a_second_process_stands_by_and_takes_over_where_the_first_left_off(
    vhost, new_service
):
    one = new_service(**shop.settings(vhost.url))
    two = new_service(**shop.settings(vhost.url))
    await one.start()
    await consuming(vhost)
    await two.start()
    async with await open_stream(one.url) as first, await open_stream(two.url) as second:
        await publish(vhost, *range(1, 51))
        await read_until(first, 50)
        assert numbers(second) == []
        left_at = trio.current_time()
        assert await one.stop() == 0
        await publish(vhost, 51)
        await read_until(second, 51)
        assert trio.current_time() - left_at < 1 + 2 + 1, (
            "the drain, the takeover, and a busy machine"
        )
        assert numbers(second) == [51]


async def test_messages_in_one_queue_arrive_in_its_order_in_spite_of_a_task_per_delivery(
    vhost, new_service
):
    service = new_service(**shop.settings(vhost.url))
    await service.start()
    await consuming(vhost)
    async with await open_stream(service.url) as client:
        await trio.to_thread.run_sync(
            lambda: shop.publish_in_order(
                vhost.tool,
                [
                    (
                        shop.numbered(ALICE, number),
                        shop.wolverine_properties("Shopping.ItemAdded", str(uuid.UUID(int=number))),
                    )
                    for number in range(1, 2001)
                ],
            )
        )
        await read_until(client, 2000, within=30)
        assert numbers(client) == list(range(1, 2001))
