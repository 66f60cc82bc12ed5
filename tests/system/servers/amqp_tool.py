"""What a publisher and an operator do to a broker, with a client that shares no line with Storefront's.

aiormq speaks AMQP to the byte. Each call has its own thread, asyncio loop and connection: nothing survives a call, so
a broker may be killed between two of them, and a test on Trio, with or without an asyncio island, can call them too.
A call takes about 10 ms of the caller's time and at most `PATIENCE`. Foreign exceptions come out as they are: a test
wants to see them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import aiormq
from aiormq.abc import AbstractChannel, DeliveredMessage

T = TypeVar("T")

PATIENCE = 10.0  # seconds for one call, connecting included

# As Wolverine declares it (contracts.md section 4.1), to the letter: other arguments are refused with 406.
WOLVERINE_DEAD_LETTERS = "wolverine-dead-letter-queue"
WOLVERINE_ARGUMENTS = {"x-dead-letter-exchange": WOLVERINE_DEAD_LETTERS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What was in a queue; `properties` are named as AMQP names them, `message_type` is AMQP's `type`."""

    body: bytes
    properties: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, Any] = field(default_factory=dict)
    exchange: str = ""
    routing_key: str = ""
    redelivered: bool = False


@dataclass(frozen=True, slots=True)
class QueueState:
    """Ready messages (what consumers hold unacknowledged is not among them) and consumers."""

    ready: int
    consumers: int


class WithoutMessageId(aiormq.spec.Basic.Properties):
    """aiormq gives a message an id where there is none; some publishers do not, and that is what is tested."""

    @property
    def message_id(self) -> None: ...

    @message_id.setter
    def message_id(self, _: str | None) -> None: ...


class AmqpTool:
    """A broker's other user, on one virtual host."""

    def __init__(self, url: str) -> None:
        self.url = url

    def publish(
        self,
        routing_key: str,
        *bodies: bytes,
        exchange: str = "",
        headers: Mapping[str, Any] | None = None,
        confirm: bool = True,
        **properties: Any,
    ) -> None:
        """Publish bodies in order, each with these very properties and headers and no others.

        With `confirm` it returns when the broker has taken all of them (publisher confirms, `mandatory`).

        Raises:
            aiormq.exceptions.ChannelNotFoundEntity: there is no such queue (`confirm` and no exchange).
            aiormq.exceptions.PublishError: no queue took one with a message id (`confirm` and an exchange).
        """
        kind = aiormq.spec.Basic.Properties if "message_id" in properties else WithoutMessageId

        async def publish(channel: AbstractChannel) -> None:
            if confirm and not exchange:
                await channel.queue_declare(routing_key, passive=True)
            for body in bodies:
                await channel.basic_publish(
                    body,
                    exchange=exchange,
                    routing_key=routing_key,
                    properties=kind(headers=dict(headers or {}) or None, **properties),
                    mandatory=confirm,
                )

        self._run(publish, confirm=confirm)

    def get(self, queue: str, *, limit: int = 1) -> list[Message]:
        """Take up to `limit` ready messages from the front of a queue, acknowledged at once.

        An exclusive consumer does not prevent it (RabbitMQ 3.10): what is taken here, the service never gets.
        """

        async def get(channel: AbstractChannel) -> list[Message]:
            found: list[Message] = []
            while len(found) < limit:
                message = await channel.basic_get(queue, no_ack=True)
                if isinstance(message.delivery, aiormq.spec.Basic.GetEmpty):
                    break
                found.append(as_message(message))
            return found

        return self._run(get)

    def state(self, queue: str) -> QueueState | None:
        """How full a queue is and who listens, or None where there is no such queue."""

        async def ask(channel: AbstractChannel) -> QueueState | None:
            with suppress(aiormq.exceptions.ChannelNotFoundEntity):
                found = await channel.queue_declare(queue, passive=True)
                return QueueState(found.message_count or 0, found.consumer_count or 0)
            return None

        return self._run(ask)

    def declare(
        self,
        queue: str,
        *,
        arguments: Mapping[str, Any] | None = None,
        durable: bool = True,
        bind_to: Iterable[str] = (),
    ) -> None:
        """Declare a queue, and bind it (with its own name as key) to exchanges that exist.

        Raises:
            aiormq.exceptions.ChannelPreconditionFailed: it exists with other arguments (406).
        """

        async def declare(channel: AbstractChannel) -> None:
            await channel.queue_declare(queue, durable=durable, arguments=dict(arguments or {}))
            for exchange in bind_to:
                await channel.queue_bind(queue, exchange, routing_key=queue)

        self._run(declare)

    def declare_as_wolverine(self, queue: str) -> None:
        """Declare what a .NET service that starts first leaves behind: the queue and its dead letters."""
        self.declare_exchange(WOLVERINE_DEAD_LETTERS, "fanout")
        self.declare(WOLVERINE_DEAD_LETTERS, bind_to=[WOLVERINE_DEAD_LETTERS])
        self.declare(queue, arguments=WOLVERINE_ARGUMENTS)

    def declare_exchange(self, exchange: str, kind: str) -> None:
        """Declare a durable exchange."""

        async def declare(channel: AbstractChannel) -> None:
            await channel.exchange_declare(exchange, exchange_type=kind, durable=True)

        self._run(declare)

    def purge(self, queue: str) -> None:
        """Throw away what is ready in a queue."""

        async def purge(channel: AbstractChannel) -> None:
            await channel.queue_purge(queue)

        self._run(purge)

    def delete(self, queue: str) -> None:
        """Delete a queue; its consumers are cancelled by the broker."""

        async def delete(channel: AbstractChannel) -> None:
            await channel.queue_delete(queue)

        self._run(delete)

    @contextmanager
    def holding(
        self, queue: str, *, prefetch: int = 0, exclusive: bool = False
    ) -> Iterator[list[Message]]:
        """Consume and settle nothing, as an instance that hangs; the list grows in another thread.

        Raises:
            aiormq.exceptions.ChannelAccessRefused: somebody consumes exclusively (403).
        """
        held: list[Message] = []
        ready: Future[Callable[[], object]] = Future()

        async def hold() -> None:
            leave, loop = asyncio.Event(), asyncio.get_running_loop()
            connection = await aiormq.connect(self.url)
            try:
                channel = await connection.channel()
                await channel.basic_qos(prefetch_count=prefetch)
                await channel.basic_consume(queue, partial(keep, held), exclusive=exclusive)
                ready.set_result(partial(loop.call_soon_threadsafe, leave.set))
                await leave.wait()
            finally:
                await connection.close()

        with ThreadPoolExecutor(1, "amqp-holder") as thread:
            holder = thread.submit(lambda: _run_apart(hold()))
            holder.add_done_callback(partial(pass_on_failure, ready))
            leave = ready.result(PATIENCE)
            try:
                yield held
            finally:
                leave()

    def _run(self, use: Callable[[AbstractChannel], Awaitable[T]], *, confirm: bool = False) -> T:
        async def session() -> T:
            async with asyncio.timeout(PATIENCE):
                connection = await aiormq.connect(self.url)
                try:
                    return await use(await connection.channel(publisher_confirms=confirm))
                finally:
                    await connection.close()

        with ThreadPoolExecutor(1, "amqp-tool") as thread:
            return thread.submit(lambda: _run_apart(session())).result()


async def keep(held: list[Message], message: DeliveredMessage) -> None:
    held.append(as_message(message))


def pass_on_failure(ready: Future[Any], ended: Future[None]) -> None:
    """Who waits for a thread to be ready must hear that it failed before."""
    failed = ended.exception()
    if failed is not None and not ready.done():
        ready.set_exception(failed)


def as_message(found: DeliveredMessage) -> Message:
    """The part of an aiormq message that a test asks for; properties that were not set are left out."""
    properties = {
        name: value
        for name, value in found.header.properties
        if value not in (None, "") and name != "headers"
    }
    return Message(
        body=found.body,
        properties=properties,
        headers=found.header.properties.headers or {},
        exchange=found.exchange or "",
        routing_key=found.routing_key or "",
        redelivered=bool(found.redelivered),
    )


def _run_apart(work: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` on asyncio's own loop: trio-asyncio, once imported, gives out others."""
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(work)
