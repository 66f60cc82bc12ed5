"""What a store promises, whichever it is.

1. `record` is atomic per event. A message id already known is dropped. Otherwise, in one step that
   is wholly done or not at all: the event gets the customer's next number, is appended to the
   customer's log, the customer's view generation becomes a new random token, the facts are updated.
   When `record` has returned, it is as durable as the store can be; only then may a message be
   acknowledged.
2. A customer's numbers run from 1 without holes within one epoch. Whatever is answered for one
   customer holds nothing of another.
3. An event can be read while `now - recorded_at <= window`. A cursor can be resumed while the event
   *after* it can still be read, or when it equals the head. Heads are kept for HEAD_LIFE after the
   last event or question (`since`, `position`, `heads`) and at most HEAD_LEEWAY longer, then the
   numbering starts anew under another epoch.
4. A message id is forgotten only when it is older than the window *and* not among its customer's
   newest `kept_ids`, or with its customer's numbering. Facts and owners have a life of their own
   and outlive it.
5. Every recorded event is announced to the followers of the store, per customer in log order, after
   it is durable. An announcement may be lost (a follower then reads the log); an event may not.

6. What ails one customer holds nobody else: where a store cannot take an event for its own sake
   (the keys of its customer are not as the store left them), or for that of the one server of
   several that has its customer's keys, it says so of that event, with Refused, and records the
   others.
7. A ticket is spent once, by one asker in one process, and not after its time.

Time is an argument: `now` is in seconds since 1970 on the caller's clock. All methods may raise
StoreUnavailableError, and then nothing is known to have happened: asking again is right, and a
repeated `record` is made harmless by its message ids. A caller that is cancelled leaves at once,
and knows as little.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import trio

from storefront.domain.facts import Fact
from storefront.domain.ids import CustomerId, OrderId
from storefront.domain.positions import Position
from storefront.telemetry.metrics import Reading

# A browser that was asleep for a week still learns that it missed something; beyond that the
# customer's numbering is let go, and a cursor of it is answered with `reset` like any unknown one.
HEAD_LIFE = 7 * 24 * 3600.0
# A store need not write down every question: one of a day ago may stand for those since.
HEAD_LEEWAY = 24 * 3600.0
# An order's customer is asked for until its returns are over.
OWNER_LIFE = 90 * 24 * 3600.0
# Facts per customer; at the bound the oldest by `occurred_at` goes.
FACTS_KEPT = 200
FACT_LIFE = 90 * 24 * 3600.0
# What every store that can refuse counts by kind; its readings carry it under this name.
REFUSALS = "storefront_store_refusals_total"
REFUSALS_HELP = "What the store did not do, by its reason."


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One event to be recorded, and the delivery that caused it.

    Attributes:
        message_id: the publisher's id of the message, the key by which a repetition is known.
        customer: whose log it goes to.
        payload: the event as one line of JSON; opaque to the store.
        fact: what to remember of it.
        also: what it says of a second thing, likewise.
        traceparent: the W3C trace context it came with, carried along for the browser's refetch.
    """

    message_id: str
    customer: CustomerId
    payload: bytes
    fact: Fact | None = None
    also: Fact | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One event as it stands in its customer's log."""

    customer: CustomerId
    position: Position
    payload: bytes
    recorded_at: float
    traceparent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A piece of a customer's log, read from a cursor.

    Attributes:
        resumable: whether everything after the cursor can still be read. Where it is False,
            `entries` is empty.
        entries: what follows the cursor, in order, without holes, up to the limits of the question.
        head: the last position of the log when it was read; more is to be read while the last entry
            is before it.
    """

    resumable: bool
    entries: Sequence[Entry]
    head: Position


@dataclass(frozen=True, slots=True)
class Refused:
    """What a store could not do for one customer's (or one order's) sake, or for that of the server
    which has its keys. Nothing of it is known to have been done: asking again is right.

    Attributes:
        kind: one word, for a metric.
        detail: the store's own words, for the person who mends it.
    """

    kind: str
    detail: str


Listener = Callable[[Sequence[Entry]], None]


def stamped(token: str, now: float) -> str:
    """A view generation: a token that was never used, and `.<milliseconds since 1970>` of its
    change.
    """
    return f"{token}.{now * 1000:.0f}"


def changed_at(generation: str) -> float | None:
    """When a generation replaced the one before, in seconds since 1970; None where it does not
    tell, as "" does not.
    """
    moment = generation.rpartition(".")[2]
    # Ours has 13 digits; what somebody else wrote may be a number that no float can hold.
    if not (moment.isascii() and moment.isdecimal() and len(moment) <= 16):
        return None
    return int(moment) / 1000


class Store(Protocol):
    """A log per customer, with its facts, its generation and the orders' owners."""

    durable: bool
    """Whether what was recorded survives a crash of this process and of the store."""

    async def record(
        self, batch: Sequence[Recording], *, now: float
    ) -> Sequence[Entry | Refused | None]:
        """Record a batch, in its order; one answer per recording, None for a message that was known
        already.

        Each event is atomic by itself; of a batch that raises, any number may have been recorded.
        Where one is refused, so are all of its customer's in the batch: their order would not hold.
        """
        ...

    async def since(
        self, customer: CustomerId, cursor: Position, *, now: float, limit: int, max_bytes: int
    ) -> Slice:
        """What follows the cursor: at most `limit` entries and about `max_bytes` of payload, but at
        least one.

        A cursor that is unknown, of another epoch, ahead of the log or too old is no error:
        `resumable` is False.
        """
        ...

    async def position(self, customer: CustomerId, *, now: float) -> Position:
        """The customer's head; starts the numbering (seq 0) where there is none."""
        ...

    async def heads(
        self, customers: Collection[CustomerId], *, now: float
    ) -> Mapping[CustomerId, Position | Refused]:
        """The heads of those of the customers who have a numbering, in one round trip; Refused of
        whom it cannot be said.
        """
        ...

    async def place(
        self, owners: Sequence[tuple[OrderId, CustomerId]], *, now: float
    ) -> Sequence[Refused | None]:
        """Remember whose orders they are, for OWNER_LIFE, in one round trip or one commit; one
        answer per order, None where it is written down. Idempotent; the first answer stands.
        """
        ...

    async def owner(self, order: OrderId, *, now: float) -> CustomerId | Refused | None:
        """Whose order it is, where it was placed; Refused where it cannot be said of this one."""
        ...

    async def facts(self, customer: CustomerId, *, now: float) -> Sequence[Fact]:
        """The newest FACTS_KEPT facts of a customer, none older than FACT_LIFE by its record;
        newest first. One that is older is as if it had never been.
        """
        ...

    async def generation(self, customer: CustomerId) -> str:
        """The customer's view generation; "" until the first event. It tells when it became the
        customer's: see `stamped`.

        A store whose view cache lives in its own process may forget generations, with it or at a
        bound, but within HEAD_LIFE never answers one that was replaced.
        """
        ...

    async def renew_generation(self, customer: CustomerId, *, now: float) -> str:
        """Replace the customer's view generation: what was read before may no longer be kept."""
        ...

    async def issue_ticket(self, content: bytes, *, until: float, now: float) -> bytes:
        """Keep something for whoever comes with the ticket that is answered: 32 random bytes, of
        which the store itself keeps a hash only.
        """
        ...

    async def spend_ticket(self, ticket: bytes, *, now: float) -> bytes | None:
        """What was kept for it: once, before `until`, whoever asks and in whichever process. None
        for one that was spent, lapsed or never issued; and for one that the store forgot, which a
        store in one process may do at a bound or with the process.
        """
        ...

    async def follow(
        self, hear: Listener, lost: Callable[[], None], *, task_status: trio.TaskStatus[None]
    ) -> None:
        """Announce recorded events to `hear` until cancelled; `started()` once none can be missed
        unnoticed.

        `lost` is called when announcements may have been missed: whoever listens reads the log.
        """
        ...

    def readings(self) -> Iterable[Reading]:
        """What the store counts, for /metrics."""
        ...
