"""What the shore makes of aio-pika's and aiormq's words, without a broker."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
import trio
from aio_pika.tools import CallbackCollection
from aiormq.base import FutureStore

from storefront.errors import BrokerError
from storefront.messaging import amqp
from storefront.messaging.broker import Ack, Delivery
from tests.messaging.conftest import QUEUE

DELIVERY = Delivery(tag=1, queue=QUEUE.name, body=b"{}", type="x", message_id="m-1")


def incoming(tag: int) -> SimpleNamespace:
    """A message as aio-pika hands it over."""
    return SimpleNamespace(
        delivery_tag=tag, body=b"{}", type="x", message_id=f"m-{tag}", correlation_id=None,
        content_type=None, headers={"a": 1, "b": b"two", "c": {"a": "table"}}, redelivered=False,
    )  # fmt: skip


class Underlay:
    """aiormq's side of a channel: where tags are settled, and consumers cancelled."""

    def __init__(self) -> None:
        self.on_consumer_cancel_callbacks: set = set()
        self.told: list[tuple[int, bool]] = []

    async def basic_ack(self, tag: int, *, multiple: bool, wait: bool) -> None:  # noqa: ARG002 - aiormq's
        self.told.append((tag, multiple))


class Channel:
    """As much of a channel as a session uses."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.is_closed = False
        self.underlay = Underlay()
        self.close_callbacks = CallbackCollection(self)
        self.prefetch = 0
        self.exclusive = False
        self.deliver = None

    async def declare_exchange(self, *_args, **_kwargs) -> SimpleNamespace:
        return SimpleNamespace()

    async def declare_queue(self, *_args, **_kwargs) -> SimpleNamespace:
        return SimpleNamespace(bind=self._accept, consume=self._consume)

    get_queue = declare_queue

    async def get_underlay_channel(self) -> Underlay:
        return self.underlay

    async def set_qos(self, *, prefetch_count: int, **_kwargs) -> None:
        self.prefetch = prefetch_count

    async def _accept(self, *_args, **_kwargs) -> None:
        pass

    async def _consume(self, deliver, *, exclusive: bool, **_kwargs) -> None:
        self.deliver, self.exclusive = deliver, exclusive

    async def initialize(self, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109 - aio-pika's signature, which passes over it
        await self._connection.answer()

    async def close(self) -> None:
        self.is_closed = True


class Connection:
    def __init__(self, answer=lambda: asyncio.sleep(0)) -> None:
        self.answer = answer
        self.channels: list[Channel] = []

    def channel(self, **_kinds: bool) -> Channel:
        self.channels.append(Channel(self))
        return self.channels[-1]

    @property
    def open(self) -> int:
        return sum(not channel.is_closed for channel in self.channels)


async def test_what_waited_on_a_channel_that_we_closed_is_a_broker_error():
    """aiormq ends it with a bare Exception, which would pass for a bug and end the process."""

    async def publish() -> None:
        store = FutureStore(asyncio.get_running_loop())
        confirmation = store.create_future()
        await store.reject_all(None)
        await confirmation

    async with amqp.open_island():
        with pytest.raises(BrokerError):
            await amqp.crossing(publish)


async def test_an_exception_of_ours_on_the_island_stays_what_it_is():
    async def stumble() -> None:
        raise KeyError("a bug")

    async with amqp.open_island():
        with pytest.raises(KeyError):
            await amqp.crossing(stumble)


async def test_a_channel_on_a_connection_that_is_gone_is_a_broker_error():
    async def gone() -> None:
        raise RuntimeError('<Connection: "amqp://broker"> closed')

    async with amqp.open_island():
        session = amqp.AmqpSession(Connection(gone), QUEUE, 10)
        with pytest.raises(BrokerError):
            await session.delay(DELIVERY, 1, {})
        with pytest.raises(BrokerError):
            await session.dead_letter(DELIVERY, {})


async def test_a_broker_that_is_short_of_memory_and_answers_nobody_is_waited_for_so_long_only(
    monkeypatch,
):
    monkeypatch.setattr(amqp, "ANSWER_TIMEOUT", 0.05)
    async with amqp.open_island():
        session = amqp.AmqpSession(Connection(lambda: asyncio.sleep(3600)), QUEUE, 10)
        with trio.fail_after(5), pytest.raises(BrokerError):
            await session.delay(DELIVERY, 1, {})


async def test_a_session_that_was_closed_opens_no_channel_for_a_lane_still_at_work():
    connection = Connection()
    async with amqp.open_island():
        session = amqp.AmqpSession(connection, QUEUE, 10)
        await amqp.crossing(session.close_aio)
        with pytest.raises(BrokerError):
            await session.delay(DELIVERY, 1, {})
    assert connection.channels == []


async def test_a_channel_that_opens_while_its_session_is_closed_does_not_stay_open():
    connection = Connection(lambda: asyncio.sleep(0.05))
    async with amqp.open_island():
        session = amqp.AmqpSession(connection, QUEUE, 10)
        async with trio.open_nursery() as nursery:

            async def postpone() -> None:
                with pytest.raises(BrokerError):
                    await session.delay(DELIVERY, 1, {})

            nursery.start_soon(postpone)
            await trio.sleep(0.02)
            await amqp.crossing(session.close_aio)
    assert len(connection.channels) == 1
    assert connection.open == 0


async def opened(connection: Connection) -> tuple[amqp.AmqpSession, Channel]:
    session = amqp.AmqpSession(connection, QUEUE, 10)
    await amqp.crossing(session.open_aio)
    return session, connection.channels[0]


async def test_a_consumer_that_the_broker_cancels_ends_the_session_after_what_had_come():
    async with amqp.open_island():
        session, channel = await opened(Connection())
        await amqp.crossing(channel.deliver, incoming(1))
        (cancelled,) = channel.underlay.on_consumer_cancel_callbacks
        cancelled(None)
        assert (await session.receive()).message_id == "m-1"
        with trio.fail_after(1), pytest.raises(BrokerError, match="cancelled the consumer"):
            await session.receive()


async def test_a_channel_that_closes_ends_the_session():
    async with amqp.open_island():
        session, channel = await opened(Connection())

        async def close() -> None:
            await channel.close_callbacks(ConnectionError("gone"))

        await amqp.crossing(close)
        with trio.fail_after(1), pytest.raises(BrokerError, match="gone"):
            await session.receive()


async def test_a_session_consumes_exclusively_with_its_prefetch_and_settles_on_its_own_channel():
    async with amqp.open_island():
        session, channel = await opened(Connection())
        for tag in (1, 2, 3):
            await amqp.crossing(channel.deliver, incoming(tag))
        found = [await session.receive() for _ in range(3)]
        await session.acknowledge([Ack(2, multiple=True), Ack(3, multiple=False)])
    assert (channel.exclusive, channel.prefetch) == (True, 10)
    assert [delivery.tag for delivery in found] == [1, 2, 3]
    assert found[0].headers == {"a": 1, "b": "two"}
    assert channel.underlay.told == [(2, True), (3, False)]


class Dialled:
    """A connection that the other side may close as soon as it is open."""

    def __init__(self, _url, *, closes: str, **_options) -> None:
        self.close_callbacks = CallbackCollection(self)
        self.is_closed = False
        self.transport = SimpleNamespace(connection=SimpleNamespace(is_closed=closes == "before"))
        self._closes = closes

    async def connect(self, timeout: float) -> None:  # noqa: ARG002, ASYNC109 - aio-pika's
        if self._closes == "on the way":
            asyncio.get_running_loop().call_soon(self.close_callbacks, None)


@pytest.mark.parametrize("closes", ["before", "on the way"])
async def test_a_connection_that_goes_as_soon_as_it_is_open_is_not_kept(monkeypatch, closes):
    made: list[Dialled] = []

    def dial(*args, **kwargs) -> Dialled:
        made.append(Dialled(*args, closes=closes if not made else "", **kwargs))
        return made[-1]

    monkeypatch.setattr(amqp.aio_pika, "Connection", dial)
    async with amqp.open_island():
        broker = amqp.AmqpBroker("amqp://broker")
        if closes == "before":
            with pytest.raises(BrokerError):
                await broker.connected()
        else:
            await broker.connected()
        await trio.sleep(0.01)
        assert id(await broker.connected()) == id(made[1])
        assert id(await broker.connected()) == id(made[1])
