"""One customer, as the support sees them: streams in this process, and the last events of the log.

Ids, types and times, and no bodies: those are in the customer's views, which the support may read.
"""

from __future__ import annotations

import trio

from storefront.domain.events import event_type, occurred_at
from storefront.domain.ids import CustomerId
from storefront.domain.positions import Position
from storefront.queries.shapes import Shape
from storefront.realtime.hub import Hub
from storefront.realtime.replay import LogReader
from storefront.realtime.watch import state_of
from storefront.store.contract import Entry

# How many events back it looks; where the oldest of them can no longer be read, half as many, and
# so on: the log answers for a cursor as a whole or not at all.
LAST = 32


class StreamNow(Shape, frozen=True, kw_only=True):
    """An open stream."""

    state: str
    open_for_seconds: float
    position: str | None
    named: bool


class EventThen(Shape, frozen=True, kw_only=True):
    """An event; moments in seconds since 1970."""

    id: str
    event_type: str
    recorded_at: float
    occurred_at: float | None


class CustomerNow(Shape, frozen=True, kw_only=True):
    """What there is of a customer: `position` is None of one who has no numbering."""

    customer_id: CustomerId
    position: str | None
    streams: list[StreamNow]
    events: list[EventThen]


async def look_up(customer: CustomerId, hub: Hub, log: LogReader) -> CustomerNow:
    """The newest event first.

    Raises:
        StoreUnavailableError: the log does not answer.
    """
    now = trio.current_time()
    streams = [
        StreamNow(
            state=state_of(stream),
            open_for_seconds=round(now - stream.opened_at, 3),
            position=None if stream.position is None else str(stream.position),
            named=stream.named,
        )
        for stream in hub.streams_of(customer)
    ]
    head = await log.known_head(customer)
    entries = [] if head is None else await _last(customer, head, log)
    return CustomerNow(
        customer_id=customer,
        position=None if head is None else str(head),
        streams=streams,
        events=[_event(entry) for entry in reversed(entries)],
    )


async def _last(customer: CustomerId, head: Position, log: LogReader) -> list[Entry]:
    back = LAST
    while back:
        found = await log.since(customer, Position(head.epoch, max(0, head.seq - back)))
        if found.resumable:
            return list(found.entries)[-LAST:]
        back //= 2
    return []


def _event(entry: Entry) -> EventThen:
    return EventThen(
        id=str(entry.position),
        event_type=event_type(entry.payload),
        recorded_at=entry.recorded_at,
        occurred_at=occurred_at(entry.payload),
    )
