"""What the shore makes of aio-pika's and aiormq's words, without a broker."""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace

import pytest
import trio
from aio_pika.tools import CallbackCollection
from aiormq import spec
from aiormq.base import FutureStore
from hypothesis import given
from hypothesis import strategies as st
from pamqp import decode
from pamqp.header import ContentHeader

from storefront.errors import BrokerError
from storefront.messaging import amqp, amqp_aside, amqp_connection, amqp_session, amqp_wire
from storefront.messaging.amqp_aside import Aside
from storefront.messaging.amqp_island import crossing
from storefront.messaging.amqp_message import AmqpDelivery, delivery_of
from storefront.messaging.amqp_pulse import Pulse
from storefront.messaging.amqp_wire import Moment, Verbatim
from storefront.messaging.broker import Ack, Delivery
from tests.messaging.conftest import QUEUE


def incoming(tag: int, **properties) -> SimpleNamespace:
    """A message as aiormq hands it over."""
    given = {"message_type": "x", "message_id": f"m-{tag}"} | properties
    header = SimpleNamespace(properties=spec.Basic.Properties(**given))
    return SimpleNamespace(delivery_tag=tag, redelivered=False, body=b"{}", header=header)


DELIVERY = delivery_of(QUEUE.name, incoming(1))


async def at_once() -> None:
    """The broker answers without delay."""
    await asyncio.sleep(0)


class Underlay:
    """aiormq's side of a channel: where messages come, tags are settled and copies published."""

    def __init__(self) -> None:
        self.on_consumer_cancel_callbacks: set = set()
        self.told: list[tuple[int, bool]] = []
        self.published: list[tuple[str, str, spec.Basic.Properties]] = []
        self.prefetch = 0
        self.exclusive = False
        self.deliver = None
        self.standing = [0, 1]  # messages ready, consumers

    async def basic_qos(self, *, prefetch_count: int, **_kwargs) -> None:
        self.prefetch = prefetch_count

    async def basic_consume(self, _queue: str, deliver, *, exclusive: bool, **_kwargs) -> None:
        self.deliver, self.exclusive = deliver, exclusive

    async def basic_ack(self, tag: int, *, multiple: bool, wait: bool) -> None:  # noqa: ARG002 - aiormq's
        self.told.append((tag, multiple))

    async def basic_publish(self, _body, *, exchange, routing_key, properties, mandatory) -> None:
        assert mandatory
        self.published.append((exchange, routing_key, properties))

    async def queue_declare(self, *_args, passive: bool = False, **_kwargs) -> SimpleNamespace:
        if passive and self.standing[1] < 0:
            raise TimeoutError
        return SimpleNamespace(message_count=self.standing[0], consumer_count=self.standing[1])


class Channel:
    """As much of a channel as a session uses."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.is_closed = False
        self.underlay = Underlay()
        self.close_callbacks = CallbackCollection(self)

    async def declare_exchange(self, *_args, **_kwargs) -> SimpleNamespace:
        return SimpleNamespace()

    async def declare_queue(self, *_args, **_kwargs) -> SimpleNamespace:
        await self._connection.declared()
        return SimpleNamespace(bind=self._accept)

    get_queue = declare_queue

    async def get_underlay_channel(self) -> Underlay:
        return self.underlay

    async def _accept(self, *_args, **_kwargs) -> None:
        pass

    async def initialize(self, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109 - aio-pika's signature, which passes over it
        await self._connection.answer()

    async def close(self) -> None:
        self.is_closed = True


class Connection:
    def __init__(self, answer=None, ready=None, declared=None) -> None:
        self.answer = answer or at_once
        self.declared = declared or at_once
        self.channels: list[Channel] = []
        self.transport = SimpleNamespace(ready=ready or at_once)

    def channel(self, **_kinds: bool) -> Channel:
        self.channels.append(Channel(self))
        return self.channels[-1]

    @property
    def open(self) -> int:
        return sum(not channel.is_closed for channel in self.channels)


class FakeLine:
    """A line whose connection stands already."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def connected(self) -> Connection:
        await trio.lowlevel.checkpoint()
        return self.connection


def session_on(consuming: Connection, publishing: Connection | None = None) -> amqp.AmqpSession:
    aside = Aside(FakeLine(publishing or Connection()))
    return amqp.AmqpSession(consuming, QUEUE, 10, aside)


async def opened(
    connection: Connection, publishing: Connection | None = None
) -> tuple[amqp.AmqpSession, Underlay]:
    session = session_on(connection, publishing)
    await crossing(session.open_aio)
    return session, connection.channels[0].underlay


# --- errors --------------------------------------------------------------------------------------


async def test_what_waited_on_a_channel_that_we_closed_is_a_broker_error():
    """aiormq ends it with a bare Exception, which would pass for a bug and end the process."""

    async def publish() -> None:
        store = FutureStore(asyncio.get_running_loop())
        confirmation = store.create_future()
        await store.reject_all(None)
        await confirmation

    async with amqp.open_island():
        with pytest.raises(BrokerError):
            await crossing(publish)


async def test_an_exception_of_ours_on_the_island_stays_what_it_is():
    async def stumble() -> None:
        raise KeyError("a bug")

    async with amqp.open_island():
        with pytest.raises(KeyError):
            await crossing(stumble)


async def test_a_channel_on_a_connection_that_is_gone_is_a_broker_error():
    async def gone() -> None:
        raise RuntimeError('<Connection: "amqp://broker"> closed')

    async with amqp.open_island():
        session = session_on(Connection(), Connection(gone))
        with pytest.raises(BrokerError):
            await session.delay(DELIVERY, 1, {})
        with pytest.raises(BrokerError):
            await session.dead_letter(DELIVERY, {})


# --- the side: delayed copies and dead letters ---------------------------------------------------


@pytest.mark.parametrize("where", ["answer", "ready"])
async def test_a_broker_that_is_short_of_memory_and_takes_nothing_is_waited_for_so_long_only(
    monkeypatch, where
):
    """Whether it leaves a new channel without an answer, or has said that it blocks."""
    monkeypatch.setattr(amqp_aside, "ANSWER_TIMEOUT", 0.05)
    blocked = Connection(**{where: lambda: asyncio.sleep(3600)})
    async with amqp.open_island():
        session = session_on(Connection(), blocked)
        with trio.fail_after(5), pytest.raises(BrokerError, match="takes no message"):
            await session.delay(DELIVERY, 1, {})
    assert where == "answer" or blocked.channels == [], "nothing was written to it"


async def test_what_is_published_on_the_side_never_goes_over_the_connection_that_consumes():
    consuming, publishing = Connection(), Connection()
    async with amqp.open_island():
        session, _ = await opened(consuming, publishing)
        await session.delay(DELIVERY, 5, {})
        await session.dead_letter(DELIVERY, {})
    assert len(consuming.channels) == len(publishing.channels) == 1
    sent = publishing.channels[0].underlay.published
    assert [(exchange, key) for exchange, key, _ in sent] == [
        ("", f"{QUEUE.name}.delay.5s"),
        (QUEUE.dead_letters, QUEUE.dead_letters),
    ]
    assert consuming.channels[0].underlay.published == []


async def test_a_session_that_was_closed_opens_no_channel_for_a_lane_still_at_work():
    connection = Connection()
    async with amqp.open_island():
        session = session_on(Connection(), connection)
        await crossing(session.close_aside_aio)
        with pytest.raises(BrokerError):
            await session.delay(DELIVERY, 1, {})
    assert connection.channels == []


async def test_a_channel_that_opens_while_its_session_is_closed_does_not_stay_open():
    connection = Connection(lambda: asyncio.sleep(0.05))
    async with amqp.open_island():
        session = session_on(Connection(), connection)
        async with trio.open_nursery() as nursery:

            async def postpone() -> None:
                with pytest.raises(BrokerError):
                    await session.delay(DELIVERY, 1, {})

            nursery.start_soon(postpone)
            await trio.sleep(0.02)
            await crossing(session.close_aside_aio)
    assert len(connection.channels) == 1
    assert connection.open == 0


@pytest.mark.parametrize("where", ["answer", "declared"])
async def test_a_channel_whose_opening_is_broken_off_does_not_stay_open(where):
    """The connection lives on, and nobody would know of it."""
    connection = Connection(**{where: lambda: asyncio.sleep(3600)})
    async with amqp.open_island():
        session = session_on(connection)
        with trio.move_on_after(0.05) as scope:
            await crossing(session.open_aio)
        assert scope.cancelled_caught
    assert len(connection.channels) == 1
    assert connection.open == 0


async def test_a_delivery_of_another_broker_is_a_bug_and_not_a_copy_with_holes():
    async with amqp.open_island():
        session, _ = await opened(Connection())
        with pytest.raises(TypeError):
            await session.delay(Delivery(tag=1, queue=QUEUE.name, body=b"{}"), 1, {})


def test_a_delivery_under_another_id_still_has_what_its_publisher_wrote():
    found = replace(DELIVERY, message_id="another")
    assert isinstance(found, AmqpDelivery)
    assert found.properties is DELIVERY.properties


# --- a session -----------------------------------------------------------------------------------


async def test_a_consumer_that_the_broker_cancels_ends_the_session_after_what_had_come():
    async with amqp.open_island():
        session, underlay = await opened(Connection())
        await crossing(underlay.deliver, incoming(1))
        (cancelled,) = underlay.on_consumer_cancel_callbacks
        cancelled(None)
        assert (await session.receive()).message_id == "m-1"
        with trio.fail_after(1), pytest.raises(BrokerError, match="cancelled the consumer"):
            await session.receive()


async def test_a_channel_that_closes_ends_the_session():
    connection = Connection()
    async with amqp.open_island():
        session, _ = await opened(connection)

        async def close() -> None:
            await connection.channels[0].close_callbacks(ConnectionError("gone"))

        await crossing(close)
        with trio.fail_after(1), pytest.raises(BrokerError, match="gone"):
            await session.receive()


async def test_a_session_consumes_exclusively_with_its_prefetch_and_settles_on_its_own_channel():
    async with amqp.open_island():
        session, underlay = await opened(Connection())
        headers = {"a": 1, "b": b"two", "c": {"a": "table"}, "d": bytearray(b"three")}
        for tag in (1, 2, 3):
            await crossing(underlay.deliver, incoming(tag, headers=headers))
        found = [await session.receive() for _ in range(3)]
        await session.acknowledge([Ack(2, multiple=True), Ack(3, multiple=False)])
    assert (underlay.exclusive, underlay.prefetch) == (True, 10)
    assert [delivery.tag for delivery in found] == [1, 2, 3]
    assert found[0].headers == {"a": 1, "b": "two", "d": "three"}
    assert underlay.told == [(2, True), (3, False)]


@pytest.mark.parametrize(
    ("standing", "fault", "hangs"),
    [
        ([0, 0], "knows nothing of this consumer", False),
        ([3, 1], "messages wait", False),
        ([0, -1], "does not answer", True),
    ],
)
async def test_a_silent_subscription_asks_its_queue_and_ends_where_something_is_wrong(
    monkeypatch, standing, fault, hangs
):
    monkeypatch.setattr(amqp_session, "SILENCE", 0.02)
    async with amqp.open_island():
        session, underlay = await opened(Connection())
        underlay.standing = standing
        with trio.fail_after(5), pytest.raises(BrokerError, match=fault):
            await session.receive()
        assert session.hangs is hangs


async def test_a_subscription_that_is_silent_because_nothing_is_there_goes_on(monkeypatch):
    monkeypatch.setattr(amqp_session, "SILENCE", 0.02)
    async with amqp.open_island():
        session, underlay = await opened(Connection())
        with trio.move_on_after(0.2) as scope:
            await session.receive()
        assert scope.cancelled_caught
        await crossing(underlay.deliver, incoming(1))
        assert (await session.receive()).tag == 1


# --- a connection --------------------------------------------------------------------------------


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

    monkeypatch.setattr(amqp_connection.aio_pika, "Connection", dial)
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


# --- whether a silent subscription lives ---------------------------------------------------------


def test_a_message_that_waits_at_two_looks_in_silence_should_have_come():
    pulse = Pulse(prefetch=2)
    assert pulse.fault(ready=1, consumers=1) is None, "it may be on its way"
    assert pulse.fault(ready=1, consumers=1) == "messages wait, and none comes"


def test_what_waits_because_a_prefetch_is_out_is_nobodys_fault():
    pulse = Pulse(prefetch=2)
    pulse.took(1)
    pulse.took(2)
    assert [pulse.fault(ready=5, consumers=1) for _ in range(3)] == [None, None, None]
    pulse.settled([Ack(1, multiple=False)])
    assert pulse.fault(ready=5, consumers=1) is None, "there has been room for a moment only"
    assert pulse.fault(ready=5, consumers=1) is not None


@pytest.mark.parametrize("ack", [Ack(2, multiple=True), Ack(2, multiple=False)])
def test_room_is_counted_as_the_broker_counts_it(ack):
    pulse = Pulse(prefetch=3)
    for tag in (1, 2, 3):
        pulse.took(tag)
    pulse.settled([ack])
    if not ack.multiple:
        pulse.took(4)
    faults = [pulse.fault(ready=1, consumers=1) for _ in range(2)]
    assert faults == [None, "messages wait, and none comes" if ack.multiple else None]


def test_between_two_looks_a_delivery_shows_that_they_come():
    pulse = Pulse(prefetch=10)
    for tag in range(1, 5):
        assert pulse.fault(ready=3, consumers=1) is None
        pulse.took(tag)


# --- headers to the byte -------------------------------------------------------------------------

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(min_size=1).filter(lambda raw: not is_text(raw))
    | st.binary().map(bytearray)
    | st.integers(2**32, 2**64 - 1).map(Moment)
    | st.integers(0, 2**32 - 1).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
    | st.builds(
        lambda n, scale: Decimal(n).scaleb(-scale), st.integers(0, 2**31 - 1), st.integers(0, 20)
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=20), inner, max_size=3)
    ),
    max_leaves=8,
)


def is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(st.dictionaries(st.text(max_size=60), VALUES, max_size=4), st.binary(max_size=255))
def test_whatever_headers_and_names_were_read_are_written_again_to_the_byte(headers, name):
    amqp_wire.correct_reading()
    written = Verbatim(
        headers=headers,
        message_id=name.decode("utf-8", "surrogateescape"),
        timestamp=Moment(2**63),
    )
    once = ContentHeader(properties=written).marshal()
    read = ContentHeader()
    read.unmarshal(once)
    assert (read.properties.headers or {}) == headers
    again = {
        each: getattr(read.properties, each) for each in ("headers", "message_id", "timestamp")
    }
    assert ContentHeader(properties=Verbatim(**again)).marshal() == once


@given(st.binary(max_size=80))
def test_garbage_in_a_table_is_an_error_that_pamqp_expects(raw):
    amqp_wire.correct_reading()
    with suppress(ValueError):
        decode.by_type(raw, "table")
    with suppress(ValueError):
        decode.by_type(struct.pack(">I", len(raw)) + raw, "table")


@pytest.mark.parametrize(
    ("read", "raw"),
    [
        (decode.timestamp, b"\xff" * 8),
        (decode.short_str, b"\1\xff"),
        (decode.field_table, b"\0\0\0\3\1\xffV"),
    ],
)
def test_pamqp_still_needs_to_be_corrected(read, raw):
    with pytest.raises(ValueError):
        read(raw)
