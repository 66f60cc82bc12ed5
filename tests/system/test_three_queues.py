"""Three queues on one connection: each has a channel and a fate of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress

import httpx
import pytest
import trio

from storefront.errors import BrokerError, QueueHeldError
from storefront.messaging import amqp_connection, amqp_session, amqp_topology
from storefront.messaging.amqp import AmqpBroker, open_island
from storefront.messaging.broker import Ack, Queue
from tests.system import shopfloor as shop
from tests.system.servers.amqp_tool import WOLVERINE_ARGUMENTS, WOLVERINE_DEAD_LETTERS
from tests.system.servers.sse_client import SseClient
from tests.system.shopfloor import ALICE

NAMES = ("storefront-notifications", "storefront-fulfillment-events", "storefront-returns-events")
NOTIFICATIONS, FULFILLMENT, RETURNS = QUEUES = [
    Queue(name=name, arguments=WOLVERINE_ARGUMENTS, dead_letters=WOLVERINE_DEAD_LETTERS)
    for name in NAMES
]


async def apart(call, *arguments):
    """What a publisher or an operator does meanwhile."""
    return await trio.to_thread.run_sync(call, *arguments)


@asynccontextmanager
async def a_broker(url: str):
    async with open_island():
        broker = AmqpBroker(url)
        try:
            yield broker
        finally:
            await broker.aclose()


async def flows(vhost, session, queue: Queue) -> None:
    """The canary: not that a consumer stands there, but that a message comes and is settled."""
    await apart(lambda: vhost.tool.publish(queue.name, b"{}", message_id=queue.name))
    with trio.fail_after(10):
        delivery = await session.receive()
        assert delivery.queue == queue.name
        await session.acknowledge([Ack(delivery.tag, multiple=False)])
    await shop.until(lambda: vhost.unacknowledged(queue.name) == 0)


# --- one of them, and the other two ----------------------------------------------------------------


async def test_a_queue_declared_otherwise_with_dead_letters_of_another_kind_stops_nobody(vhost):
    """Each is refused with 406, which closes the channel it was declared on."""
    await apart(lambda: vhost.tool.declare_exchange(WOLVERINE_DEAD_LETTERS, "direct"))
    await apart(lambda: vhost.tool.declare(FULFILLMENT.name, arguments={"x-max-length": 1000}))
    async with a_broker(vhost.url) as broker, AsyncExitStack() as sessions:
        for queue in QUEUES:
            session = await sessions.enter_async_context(broker.consuming(queue, prefetch=10))
            await flows(vhost, session, queue)


async def test_an_exchange_that_is_not_there_stops_the_queue_that_is_to_be_bound_to_it_alone(vhost):
    unbound = Queue(
        name=RETURNS.name,
        arguments=WOLVERINE_ARGUMENTS,
        dead_letters=WOLVERINE_DEAD_LETTERS,
        exchanges=["returns-events"],
    )
    async with (
        a_broker(vhost.url) as broker,
        broker.consuming(NOTIFICATIONS, prefetch=10) as session,
    ):
        with pytest.raises(BrokerError, match="returns-events"):
            async with broker.consuming(unbound, prefetch=10):
                pass
        await flows(vhost, session, NOTIFICATIONS)
        await apart(lambda: vhost.tool.declare_exchange("returns-events", "fanout"))
        async with broker.consuming(unbound, prefetch=10) as bound:
            await apart(
                lambda: vhost.tool.publish("x", b"{}", exchange="returns-events", confirm=False)
            )
            with trio.fail_after(5):
                assert (await bound.receive()).queue == RETURNS.name


async def test_a_queue_that_is_deleted_and_one_that_is_held_are_two_lives_among_three(vhost):
    async with a_broker(vhost.url) as broker, AsyncExitStack() as sessions:
        one = await sessions.enter_async_context(broker.consuming(NOTIFICATIONS, prefetch=10))
        async with broker.consuming(FULFILLMENT, prefetch=10) as two:
            await apart(vhost.tool.delete, FULFILLMENT.name)
            with trio.fail_after(5), pytest.raises(BrokerError, match="cancelled"):
                await two.receive()
        await apart(vhost.tool.declare_as_wolverine, RETURNS.name)
        with vhost.tool.holding(RETURNS.name, exclusive=True):
            for _ in range(3):
                with pytest.raises(QueueHeldError):
                    async with broker.consuming(RETURNS, prefetch=10):
                        pass
            await flows(vhost, one, NOTIFICATIONS)
            async with broker.consuming(FULFILLMENT, prefetch=10) as again:
                await flows(vhost, again, FULFILLMENT)
        three = await sessions.enter_async_context(broker.consuming(RETURNS, prefetch=10))
        await flows(vhost, three, RETURNS)
        await flows(vhost, one, NOTIFICATIONS)


# --- a broker that answers heartbeats and delivers nothing ------------------------------------------


@contextmanager
def suspended(rabbit, processes: str) -> Iterator[None]:
    """These processes of the broker answer nobody; those that are still there go on at the end."""
    rabbit.evaluate(f"[sys:suspend(P) || P <- {processes}].")
    try:
        yield
    finally:
        with suppress(Exception):
            rabbit.evaluate(f"[sys:resume(P) || P <- {processes}].")


def channel_of(vhost, queue: Queue) -> str:
    return (
        f'[rabbit_misc:pget(channel_pid, C) || C <- rabbit_amqqueue:consumers_all(<<"{vhost.name}">>), '
        f'rabbit_misc:pget(queue_name, C) =:= {{resource, <<"{vhost.name}">>, queue, <<"{queue.name}">>}}]'
    )


def process_of(vhost, queue: Queue) -> str:
    return (
        f'[amqqueue:get_pid(Q) || Q <- rabbit_amqqueue:list(<<"{vhost.name}">>), '
        f'amqqueue:get_name(Q) =:= {{resource, <<"{vhost.name}">>, queue, <<"{queue.name}">>}}]'
    )


@pytest.fixture
def impatient(monkeypatch):
    """A silence is short, and so is the wait for an answer."""
    monkeypatch.setattr(amqp_session, "SILENCE", 0.5)
    for room in (amqp_session, amqp_topology, amqp_connection):
        monkeypatch.setattr(room, "ANSWER_TIMEOUT", 1.0)


async def test_a_channel_that_hangs_is_noticed_and_the_queue_consumed_anew(
    rabbit, vhost, impatient
):
    """Its connection lives and its heartbeats are answered; only messages do not come any more."""
    async with a_broker(vhost.url) as broker:
        async with broker.consuming(FULFILLMENT, prefetch=10) as session:
            await flows(vhost, session, FULFILLMENT)
            rabbit.evaluate(f"[sys:suspend(P) || P <- {channel_of(vhost, FULFILLMENT)}].")
            await apart(lambda: vhost.tool.publish(FULFILLMENT.name, b"{}", message_id="waits"))
            with trio.fail_after(10), pytest.raises(BrokerError, match="does not answer"):
                while True:
                    await session.receive()
        with trio.fail_after(10):
            again = await consuming_at_last(broker, FULFILLMENT)
        assert again == "waits"


async def consuming_at_last(broker: AmqpBroker, queue: Queue) -> str:
    """The first message of a life that may need some tries, as a supervisor gives it."""
    while True:
        try:
            async with broker.consuming(queue, prefetch=10) as session:
                return (await session.receive()).message_id
        except BrokerError:
            await trio.sleep(0.2)


async def test_a_queue_that_hangs_is_reported_and_the_others_are_consumed(rabbit, vhost, impatient):
    async with a_broker(vhost.url) as broker:
        async with broker.consuming(FULFILLMENT, prefetch=10) as session:
            with suspended(rabbit, process_of(vhost, FULFILLMENT)):
                with trio.fail_after(10), pytest.raises(BrokerError):
                    await session.receive()
                async with broker.consuming(NOTIFICATIONS, prefetch=10) as other:
                    with trio.fail_after(10), pytest.raises(BrokerError):
                        async with broker.consuming(FULFILLMENT, prefetch=10):
                            pass
                    await flows(vhost, other, NOTIFICATIONS)
        await apart(lambda: vhost.tool.publish(FULFILLMENT.name, b"{}", message_id="waits"))
        with trio.fail_after(10):
            assert await consuming_at_last(broker, FULFILLMENT) == "waits"


# --- the whole service -------------------------------------------------------------------------------

ORDER, SHIPMENT, RETURN = shop.guid(11), shop.guid(12), shop.guid(13)
START = f'{{"orderId":"{ORDER}","shipmentId":"{SHIPMENT}",'
ABOUT = f'{{"returnId":"{RETURN}","orderId":"{ORDER}","customerId":"{ALICE}",'
SHIPPED = (
    f'{{"eventType":"shipment-status-changed","shipmentId":"{SHIPMENT}","orderId":"{ORDER}",'
    f'"customerId":"{ALICE}",'
)
RETURNED = (
    f'{{"eventType":"return-status-changed","returnId":"{RETURN}","orderId":"{ORDER}",'
    f'"customerId":"{ALICE}",'
)
# contracts.md section 1.3: what is sent to which queue, and what the browser is told, to the byte.
TOLD = [
    (
        FULFILLMENT,
        "Fulfillment.ShipmentHandedToCarrier",
        f'{START}"carrier":"UPS","trackingNumber":"1Z9","handedAt":"2026-02-18T08:00:00.1234567+00:00"}}',
        f'{SHIPPED}"newStatus":"Shipped","trackingNumber":"1Z9","occurredAt":"2026-02-18T08:00:00.1234567+00:00"}}',
    ),
    (
        FULFILLMENT,
        "Fulfillment.ShipmentLostInTransit",
        f'{START}"carrier":"UPS","timeSinceHandoff":"3.02:00:00","detectedAt":"2026-02-21T10:00:00+00:00"}}',
        f'{SHIPPED}"newStatus":"Lost in transit — under investigation","trackingNumber":null,"occurredAt":"2026-02-21T10:00:00+00:00"}}',
    ),
    (
        RETURNS,
        "Returns.ReturnDenied",
        f'{ABOUT}"reason":"Opened","message":"Sealed goods only","deniedAt":"2026-03-01T09:30:00.5+00:00"}}',
        f'{RETURNED}"newStatus":"Denied","details":"Opened: Sealed goods only","occurredAt":"2026-03-01T09:30:00.5+00:00"}}',
    ),
]


async def consumed(vhost, *queues: Queue) -> None:
    async def look() -> bool:
        states = [await apart(vhost.tool.state, queue.name) for queue in queues]
        return all(state is not None and state.consumers == 1 for state in states)

    with trio.fail_after(30):
        while not await look():
            await trio.sleep(0.05)


async def parts(url: str) -> dict[str, str]:
    async with httpx.AsyncClient(trust_env=False) as client:
        told = (await client.get(f"{url}/health/ready?verbose")).json()
    assert told["status"] == "ready"
    return {name: word for name, word in told["parts"].items() if name.startswith("consumer")}


def standing(notifications: str, fulfillment: str, returns: str) -> dict[str, str]:
    words = {"notifications": notifications, "fulfillment": fulfillment, "returns": returns}
    return {f"consumer.{label}": word for label, word in words.items()}


async def told(vhost, client: SseClient, row: tuple[Queue, str, str, str]) -> None:
    queue, kind, sent, event = row
    await apart(lambda: shop.send(vhost.tool, kind, sent.encode(), queue=queue.name))
    with trio.fail_after(20):
        assert (await client.read_event("message")).data == event


async def test_what_comes_through_each_queue_reaches_the_browser_whatever_befalls_the_others(
    vhost, new_service
):
    for queue in QUEUES:
        await apart(vhost.tool.declare_as_wolverine, queue.name)
    service = new_service(**shop.settings(vhost.url))
    with ExitStack() as other_process:
        other_process.enter_context(vhost.tool.holding(RETURNS.name, exclusive=True))
        await service.start()
        await shop.until_async(
            lambda: parts(service.url), standing("consuming", "consuming", "standing by")
        )
        client = await SseClient.connect(
            f"{service.url}/sse/storefront", headers=shop.bearer(ALICE)
        )
        async with client:
            assert await client.read_head() == 200
            await client.read_event("stream")
            placed = shop.order_placed(ALICE, ORDER)
            await apart(lambda: shop.send(vhost.tool, "Orders.OrderPlaced", placed))
            assert '"newStatus":"Placed"' in (await client.read_event("message")).data
            await told(vhost, client, TOLD[0])
            await apart(vhost.tool.delete, FULFILLMENT.name)
            await consumed(vhost, FULFILLMENT)
            await told(vhost, client, TOLD[1])
            assert (await parts(service.url))["consumer.returns"] == "standing by"
            # The other process goes, as it is; within a second the queue is ours.
            other_process.close()
            await told(vhost, client, TOLD[2])
            assert await parts(service.url) == standing("consuming", "consuming", "consuming")
