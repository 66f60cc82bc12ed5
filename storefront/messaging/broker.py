"""What a broker is to us: deliveries in, settlements out. Values and protocols, no library.

A session is one life of one subscription. It ends by raising BrokerError, whatever the cause: a
connection cut, a consumer cancelled by the broker, a queue deleted. A new life is a new session, so
a tag can never be used on a channel it does not come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from storefront.telemetry.tracing import Span

# Where a message is parked before it is tried again, in seconds. A short pause first: most messages
# that cannot be placed came a moment before the OrderPlaced they need.
DELAYS = (1, 5, 30, 120)

# Seconds a delivery is kept unacknowledged for a cause that may last. RabbitMQ closes the channel
# on which one has been for half an hour (`consumer_timeout`), and with it the acknowledgements of
# all that is on it; after this long a copy of it goes into the delay queue instead. So much less,
# because that may take as long again.
LONGEST_IN_HAND = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message as the broker handed it over.

    Attributes:
        tag: what it is settled by, within its session only.
        queue: the queue it was consumed from.
        body: the bytes the publisher sent.
        headers: text and numbers; bytes decoded, anything else left out.
        type, message_id, correlation_id, content_type: the AMQP basic properties, "" where absent.
        redelivered: the broker handed it out before.
        span: what a trace says of its way through this process, where anybody wants to know.
    """

    tag: int
    queue: str
    body: bytes
    type: str = ""
    message_id: str = ""
    correlation_id: str = ""
    content_type: str = ""
    headers: Mapping[str, str | int] = field(default_factory=dict)
    redelivered: bool = False
    span: Span | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message to be published, byte for byte."""

    body: bytes
    type: str
    message_id: str
    correlation_id: str = ""
    content_type: str = "application/json"
    headers: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A queue we consume, and how it is declared.

    Attributes:
        name: the queue's name.
        arguments: the declare arguments; they must equal those of whoever declares it first.
        dead_letters: the fanout exchange and the queue, of one name, that take what nobody can
            read.
        exchanges: exchanges the queue is bound to, besides the default one.
    """

    name: str
    arguments: Mapping[str, str | int]
    dead_letters: str
    exchanges: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Ack:
    """An acknowledgement: of one tag, or of all up to it."""

    tag: int
    multiple: bool


class Session(Protocol):
    """One life of one subscription, exclusive to its queue. Every method may raise BrokerError."""

    @property
    def over(self) -> bool:
        """Whether it is known to have ended: then its deliveries come again by themselves."""
        ...

    async def receive(self) -> Delivery:
        """The next message; at most `prefetch` of them are unsettled at any time."""
        ...

    async def acknowledge(self, acks: Sequence[Ack]) -> None:
        """Tell the broker that these are done."""
        ...

    async def dead_letter(self, delivery: Delivery, why: Mapping[str, str | int]) -> None:
        """Publish a copy with `why` among its headers to the dead letters; returns once
        confirmed.
        """
        ...

    async def delay(self, delivery: Delivery, seconds: int, notes: Mapping[str, str | int]) -> None:
        """Publish a copy that comes back to the queue after one of DELAYS; returns once
        confirmed.
        """
        ...

    async def reject(self, delivery: Delivery) -> None:
        """Give it up without requeueing: the broker dead-letters it, without a reason."""
        ...


class Broker(Protocol):
    """Where messages come from."""

    def consuming(self, queue: Queue, *, prefetch: int) -> AbstractAsyncContextManager[Session]:
        """Declare what is needed and consume the queue, exclusively; leaving closes the channel.

        Raises:
            QueueHeldError: another process consumes it.
            BrokerError: the broker is gone, or refuses.
        """
        ...

    async def publish(self, queue: str, message: Outgoing) -> None:
        """Publish to a queue by the default exchange; returns once the broker has taken it.

        Raises:
            BrokerError: it was not taken, or that is not known.
        """
        ...
