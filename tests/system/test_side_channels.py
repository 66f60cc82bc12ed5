"""What is published beside consuming: copies to the byte, and a broker that takes nothing for a while."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
import trio

from storefront.errors import BrokerError
from storefront.messaging import amqp_aside
from storefront.messaging.amqp import AmqpBroker, open_island, visit_broker
from storefront.messaging.amqp_dead_letters import DeadLetters
from storefront.messaging.broker import Ack, Outgoing, Queue
from tests.system import shopfloor as shop
from tests.system.servers.amqp_raw import RawAmqp, entry, open_raw, short, sized
from tests.system.servers.amqp_tool import WOLVERINE_ARGUMENTS, WOLVERINE_DEAD_LETTERS
from tests.system.shopfloor import ALICE, QUEUE

NOTIFICATIONS = Queue(
    name=QUEUE, arguments=WOLVERINE_ARGUMENTS, dead_letters=WOLVERINE_DEAD_LETTERS
)


@asynccontextmanager
async def broker_of(url: str):
    async with open_island():
        broker = AmqpBroker(url)
        try:
            yield broker
        finally:
            await broker.aclose()


@asynccontextmanager
async def consuming(url: str):
    async with (
        broker_of(url) as broker,
        broker.consuming(NOTIFICATIONS, prefetch=10) as session,
    ):
        yield broker, session


def done(delivery) -> list[Ack]:
    return [Ack(delivery.tag, multiple=False)]


async def on_the_wire(vhost, act):
    """By hand, in a thread."""

    def run():
        with open_raw(vhost.url) as raw:
            return act(raw)

    return await trio.to_thread.run_sync(run)


# --- a broker that takes nothing -------------------------------------------------------------------


@contextmanager
def short_of_memory(rabbit) -> Iterator[None]:
    """As `rabbitmqctl set_vm_memory_high_watermark absolute 1` has it, until the end."""
    change = "vm_memory_monitor:set_vm_memory_high_watermark({}).".format
    rabbit.evaluate(change("{absolute, 1}"))
    try:
        yield
    finally:
        rabbit.evaluate(change("0.4"))


async def test_a_broker_short_of_memory_stops_the_copies_and_not_the_acknowledgements(
    rabbit, vhost, monkeypatch
):
    monkeypatch.setattr(amqp_aside, "ANSWER_TIMEOUT", 0.7)
    await trio.to_thread.run_sync(vhost.tool.declare_as_wolverine, QUEUE)
    await trio.to_thread.run_sync(
        lambda: shop.send(
            vhost.tool,
            "Shopping.ItemAdded",
            *(shop.numbered(ALICE, number) for number in range(1, 31)),
        )
    )
    async with consuming(vhost.url) as (broker, session):
        first, second = await session.receive(), await session.receive()
        with short_of_memory(rabbit):
            # The one that meets the alarm may still be taken; the broker then stops listening.
            await taken_or_not(session, first)
            for copy in (session.delay(second, 1, {}), session.dead_letter(second, {})):
                with trio.fail_after(4), pytest.raises(BrokerError):
                    await copy
            with trio.fail_after(4), pytest.raises(BrokerError):
                await broker.publish(QUEUE, Outgoing(body=b"{}", type="x", message_id="m"))
            # More than a prefetch: these come only because the ones before are acknowledged.
            with trio.fail_after(10):
                for _ in range(28):
                    await session.acknowledge(done(await session.receive()))
                await shop.until(lambda: vhost.unacknowledged(QUEUE) == 2)
        with trio.fail_after(10):
            await session.delay(second, 1, {})
            await session.acknowledge([Ack(second.tag, multiple=True)])
            names = {(await session.receive()).message_id for _ in range(2)}
        assert names >= {second.message_id}


async def taken_or_not(session, delivery) -> None:
    with trio.fail_after(4):
        try:
            await session.delay(delivery, 1, {})
        except BrokerError:
            return


async def test_leaving_a_broker_that_is_short_of_memory_takes_seconds_and_loses_nothing(
    rabbit, vhost, monkeypatch
):
    monkeypatch.setattr(amqp_aside, "ANSWER_TIMEOUT", 0.5)
    await trio.to_thread.run_sync(vhost.tool.declare_as_wolverine, QUEUE)
    await trio.to_thread.run_sync(
        lambda: shop.send(vhost.tool, "Shopping.ItemAdded", *(shop.numbered(ALICE, 1),) * 5)
    )
    with short_of_memory(rabbit):
        async with broker_of(vhost.url) as broker:
            async with broker.consuming(NOTIFICATIONS, prefetch=10) as session:
                held = [await session.receive() for _ in range(5)]
                for delivery in held[:2]:
                    await taken_or_not(session, delivery)
                began = trio.current_time()
            # A farewell on the blocked connection is not answered; the queue must not wait for it.
            async with broker.consuming(NOTIFICATIONS, prefetch=10) as session:
                with trio.fail_after(5):
                    again = [await session.receive() for _ in range(5)]
                assert {one.message_id for one in again} == {one.message_id for one in held}
        assert trio.current_time() - began < 12, "a session, the next one, and two connections"


# --- copies ----------------------------------------------------------------------------------------

# Flags of section 4.2.6.1, from the highest bit: content type first, cluster id last.
CONTENT_TYPE, ENCODING, HEADERS, MODE, PRIORITY, CORRELATION, REPLY_TO, EXPIRATION = (
    1 << bit for bit in range(15, 7, -1)
)
ID, TIMESTAMP, TYPE, USER, APP = (1 << bit for bit in range(7, 2, -1))

ODD_HEADERS = [
    entry("zulu", b"S", sized(b"first, out of the alphabet's order")),
    entry("table", b"F", sized(entry("b", b"t", b"\1") + entry("a", b"V", b""))),
    entry("list", b"A", sized(b"S" + sized("zwölf".encode()) + b"I" + struct.pack(">i", -70_000))),
    entry("latin-1", b"S", sized(b"\xe9t\xe9")),
    entry("bytes", b"x", sized(b"\x00\xff")),
    entry("moment", b"T", struct.pack(">Q", 1_771_365_524)),
    entry("milliseconds", b"T", struct.pack(">Q", 1_771_365_524_000)),
    entry("ticks", b"T", struct.pack(">Q", 638_000_000_000_000_000)),
    entry("double", b"d", struct.pack(">d", 0.1)),
    entry("decimal", b"D", struct.pack(">Bi", 2, -1990)),
    entry("true", b"t", b"\1"),
    entry("long", b"l", struct.pack(">q", 2**40)),
    entry("x" * 200, b"S", sized(b"a long name")),
]
PUBLISHED = [
    (CONTENT_TYPE, short("application/json")),
    (ENCODING, short("utf-8")),
    (HEADERS, sized(b"".join(ODD_HEADERS))),
    (PRIORITY, b"\7"),
    (CORRELATION, short("c-1")),
    (REPLY_TO, short("wolverine.response.1")),
    (ID, short(b"caf\xe9-1")),
    (TIMESTAMP, struct.pack(">Q", 1_771_365_524_123)),
    (TYPE, short("Messages.Contracts.Shopping.ItemAdded")),
    (APP, short("Shopping.Api")),
]


def publish_oddly(raw: RawAmqp, *more: tuple[int, bytes]) -> None:
    # Properties stand in the order of their flags.
    properties = sorted([*PUBLISHED, *more], reverse=True)
    flags = sum(flag for flag, _ in properties)
    raw.publish(QUEUE, flags, b"".join(value for _, value in properties))


@pytest.fixture
def queue(vhost):
    vhost.tool.declare_as_wolverine(QUEUE)
    return vhost


@pytest.mark.parametrize("way", ["delay", "dead letter", "replay"])
async def test_a_copy_keeps_what_its_publisher_wrote_to_the_byte(queue, way):
    await on_the_wire(queue, lambda raw: publish_oddly(raw, (EXPIRATION, short("60000"))))
    async with consuming(queue.url) as (_, session):
        delivery = await session.receive()
        assert delivery.headers["latin-1"] == "�t�"
        if way == "delay":
            await session.delay(delivery, 1, {"x-storefront-turns": 1})
        else:
            await session.dead_letter(delivery, {"original-destination": QUEUE})
        await session.acknowledge(done(delivery))
    if way == "replay":
        walked = await visit_broker(
            queue.url,
            lambda broker: DeadLetters(broker, WOLVERINE_DEAD_LETTERS).walk(
                lambda _: "replay", limit=5
            ),
        )
        assert [verdict for _, verdict in walked] == ["replay"]
    where = WOLVERINE_DEAD_LETTERS if way == "dead letter" else QUEUE
    await until_ready(queue, where)
    flags, properties = await on_the_wire(queue, lambda raw: raw.get(where))
    # All of it, and delivery_mode 2; an expiration would have a dead letter vanish.
    assert flags == sum(flag for flag, _ in PUBLISHED) | MODE
    for flag, value in PUBLISHED:
        assert flag == HEADERS or value in properties
    for header in ODD_HEADERS:
        assert header in properties
    assert (b"x-storefront-turns" in properties) is (way == "delay")


async def until_ready(vhost, queue: str, count: int = 1) -> None:
    async def look() -> int:
        state = await trio.to_thread.run_sync(vhost.tool.state, queue)
        return state.ready if state else 0

    await shop.until_async(look, count)


async def test_a_message_that_the_client_library_cannot_read_does_not_stop_the_queue(queue):
    """pamqp ends the connection at it, and it would come again on every next one."""
    await on_the_wire(queue, publish_oddly)
    await trio.to_thread.run_sync(
        lambda: shop.send(queue.tool, "Shopping.ItemAdded", shop.numbered(ALICE, 1))
    )
    async with consuming(queue.url) as (_, session):
        with trio.fail_after(5):
            assert (await session.receive()).message_id == "caf\udce9-1"
            assert (await session.receive()).body == shop.numbered(ALICE, 1)


async def test_the_name_of_another_user_is_not_copied_for_the_broker_would_refuse_it(queue, rabbit):
    everything = '<<".*">>, <<".*">>, <<".*">>'
    rabbit.evaluate(
        'rabbit_auth_backend_internal:add_user(<<"shopping">>, <<"pw">>, <<"tests">>), '
        f'rabbit_auth_backend_internal:set_permissions(<<"shopping">>, <<"{queue.name}">>, {everything}, <<"tests">>).'
    )
    try:
        url = queue.url.replace("guest:guest", "shopping:pw")
        await trio.to_thread.run_sync(
            lambda: type(queue.tool)(url).publish(QUEUE, b"{}", message_id="m", user_id="shopping")
        )
        async with consuming(queue.url) as (_, session):
            delivery = await session.receive()
            await session.dead_letter(delivery, {})
            await session.delay(delivery, 1, {})
            assert (await session.receive()).message_id == "m"
    finally:
        rabbit.evaluate('rabbit_auth_backend_internal:delete_user(<<"shopping">>, <<"tests">>).')


async def test_a_copy_does_not_go_to_all_who_had_the_original(queue):
    await trio.to_thread.run_sync(lambda: queue.tool.declare("audit"))
    await trio.to_thread.run_sync(
        lambda: queue.tool.publish(QUEUE, b"{}", message_id="m", headers={"CC": ["audit"]})
    )
    async with consuming(queue.url) as (_, session):
        delivery = await session.receive()
        await session.delay(delivery, 1, {})
        await session.dead_letter(delivery, {})
        assert (await session.receive()).message_id == "m"
    assert (await trio.to_thread.run_sync(queue.tool.state, "audit")).ready == 1


async def test_a_message_that_died_before_comes_back_from_a_delay(queue):
    """RabbitMQ 3 drops what seems to die in a circle, and reads that from a header that anybody may write."""
    death = {
        "queue": QUEUE,
        "reason": "expired",
        "count": 1,
        "exchange": "",
        "routing-keys": [QUEUE],
    }
    await trio.to_thread.run_sync(
        lambda: queue.tool.publish(QUEUE, b"{}", message_id="m", headers={"x-death": [death]})
    )
    async with consuming(queue.url) as (_, session):
        delivery = await session.receive()
        await session.delay(delivery, 1, {})
        await session.acknowledge(done(delivery))
        with trio.fail_after(5):
            assert (await session.receive()).message_id == "m"
