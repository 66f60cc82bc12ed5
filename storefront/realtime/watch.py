"""What the streams of a process have written, and how late: counted once per write, not per frame.

How late has two answers. From `occurredAt`, the publisher's word, it is the whole way, the
publisher's clock and its outbox included; from the record it is our own part of it. Both are of
events that were written live: what is replayed is as late as its browser was away, and that is no
measure of us.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import trio

from storefront.realtime.stream import Parcel, Stream
from storefront.telemetry.metrics import Reading
from storefront.telemetry.metrics_histogram import WAYS, Histogram

STATES = ("opening", "live", "catching-up", "leaving")
# Streams looked at in a row: a fifth of a millisecond, which is all that an event waits for it.
SLICE = 1000


class StreamWatch:
    """The counters of one process. `clock` is in seconds since 1970.

    Attributes:
        written: frames of events, replayed ones included.
        from_occurrence: seconds from `occurredAt` until the write had been taken by the socket.
        from_record: seconds from the record until then.
        opened: verdicts on cursors, by mode.
        resets: streams that were told `reset` while they were open.
        states: how many streams were in which state when last counted.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.written = 0
        self.from_occurrence = Histogram(WAYS)
        self.from_record = Histogram(WAYS)
        self.opened: Counter[str] = Counter()
        self.resets = 0
        self.states: dict[str, int] = dict.fromkeys(STATES, 0)

    def taken(self, parcels: Iterable[Parcel]) -> None:
        """The socket has taken a write with these live events."""
        now = self._clock()
        for parcel in parcels:
            if parcel.recorded_at is not None:
                self.from_record.observe(now - parcel.recorded_at)
            if parcel.occurred_at is not None:
                self.from_occurrence.observe(now - parcel.occurred_at)

    async def count_states(self, streams: Sequence[Stream]) -> None:
        """Find out how many of these are in which state."""
        found: Counter[str] = Counter()
        for start in range(0, len(streams), SLICE):
            found.update(map(state_of, streams[start : start + SLICE]))
            await trio.lowlevel.checkpoint()
        self.states = {state: found[state] for state in STATES}

    def readings(self) -> Iterable[Reading]:
        """For /metrics."""
        for state, count in self.states.items():
            words = "Streams open, by state, as last counted."
            yield "storefront_streams_by_state", words, {"state": state}, count
        words = "Frames of events that were written."
        yield "storefront_events_written_total", words, {}, self.written
        for mode, count in self.opened.items():
            words = "Streams that opened, by the verdict on their cursor."
            yield "storefront_streams_opened_total", words, {"mode": mode}, count
        words = "Open streams that were told to refetch."
        yield "storefront_streams_reset_total", words, {}, self.resets
        words = "Seconds from `occurredAt` until the socket had it; live events only."
        yield "storefront_publish_to_socket_seconds", words, {}, self.from_occurrence
        words = "Seconds from the record until the socket had it; live events only."
        yield "storefront_record_to_socket_seconds", words, {}, self.from_record


def state_of(stream: Stream) -> str:
    """One of STATES."""
    if stream.ended is not None:
        return "leaving"
    if stream.position is None:
        return "opening"
    return "catching-up" if stream.behind else "live"
