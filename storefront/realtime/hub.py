"""Who is listening, by customer.

The hub never waits: every method is synchronous, so a slow browser cannot slow the consumer,
another browser or the heartbeat. There is no way to reach everybody: an event goes to the streams
of its own customer, and an event without a customer cannot be expressed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from storefront.domain.ids import CustomerId
from storefront.errors import StorefrontError
from storefront.realtime import frames
from storefront.realtime.recent import Recent
from storefront.realtime.stream import EndReason, Parcel, Stream
from storefront.realtime.watch import StreamWatch
from storefront.store.contract import Entry
from storefront.telemetry import tracing


@dataclass(frozen=True, slots=True, kw_only=True)
class HubStatistics:
    """How the hub is: gauges, and counters since it began."""

    customers: int
    streams: int
    refused: int
    published: int
    ended: dict[EndReason, int] = field(default_factory=dict)


class HubFullError(StorefrontError):
    """There is no room for another stream in this process; the browser is told to come back."""


class HubClosedError(StorefrontError):
    """This process is leaving; the browser is told to come back, and will find another."""


class Hub:
    """The streams of this process.

    Args:
        max_streams: at the bound a new stream is refused with a `busy` frame.
        max_per_customer: at the bound the customer's oldest stream is ended as superseded.
        superseded_pause: seconds after which a stream that had to make room may return.
        recent: hears all that the streams hear.
        watch: counts what the streams write; None where nobody looks.
    """

    def __init__(
        self,
        *,
        max_streams: int,
        max_per_customer: int,
        superseded_pause: Callable[[], float],
        recent: Recent,
        watch: StreamWatch | None = None,
    ) -> None:
        self.watch = watch
        self._max_streams = max_streams
        self._max_per_customer = max_per_customer
        self._superseded_pause = superseded_pause
        self._recent = recent
        # A dict keeps the order of arrival, so the first of a customer is the oldest.
        self._streams: dict[CustomerId, dict[Stream, None]] = {}
        self._count = 0
        self._refused = 0
        self._published = 0
        self._closed = False
        self._ended: Counter[EndReason] = Counter()

    def join(self, stream: Stream) -> None:
        """Let a stream hear of its customer's events from now on.

        Raises:
            HubFullError: there are too many streams in this process.
            HubClosedError: this process is leaving.
        """
        if self._closed:
            raise HubClosedError
        if self._count >= self._max_streams:
            # Also for one who would displace a stream of their own: it stays until its farewell is
            # written, and a client that opens without end would pile such streams up.
            self._refused += 1
            raise HubFullError
        if len(self._streams.get(stream.customer, ())) >= self._max_per_customer:
            self._make_room(stream.customer)
        self._streams.setdefault(stream.customer, {})[stream] = None
        self._count += 1

    def _make_room(self, customer: CustomerId) -> None:
        """End the oldest of too many; whoever is ending already is here until they have gone."""
        living = [each for each in self._streams[customer] if each.ended is None]
        if len(living) >= self._max_per_customer:
            pause = frames.retry(self._superseded_pause())
            living[0].end("superseded", pause + frames.control("superseded", {}))

    def close(self) -> None:
        """Take no more streams. Those that are here stay until they are ended."""
        self._closed = True

    def leave(self, stream: Stream) -> None:
        """The stream's response is over; its reason is counted."""
        mine = self._streams[stream.customer]
        del mine[stream]
        if not mine:
            del self._streams[stream.customer]
        self._count -= 1
        self._ended[stream.ended or "disconnected"] += 1

    def publish(self, entries: Sequence[Entry]) -> None:
        """Hand recorded events to the streams of their customers, in the order given."""
        # Nothing may come between this and the streams: see `recent`.
        self._recent.hear(entries)
        for customer, mine in groupby(entries, key=lambda entry: entry.customer):
            streams = self._streams.get(customer)
            if streams is None:
                continue
            fanned_out = list(mine)
            spans = [_span(entry, len(streams)) for entry in fanned_out] if tracing.on() else ()
            parcels = [Parcel.live(entry) for entry in fanned_out]
            self._published += len(parcels)
            for stream in streams:
                for parcel in parcels:
                    stream.offer(parcel)
            for span in spans:
                tracing.end(span)

    def lost(self) -> None:
        """Announcements may have been missed: every stream reads the log."""
        self._recent.lost()
        for stream in self.streams():
            stream.fall_behind()

    def streams(self) -> list[Stream]:
        """Those who are here now, the oldest of a customer first."""
        return [stream for mine in self._streams.values() for stream in mine]

    def streams_of(self, customer: CustomerId) -> list[Stream]:
        """Those of one customer, the oldest first."""
        return list(self._streams.get(customer, ()))

    def statistics(self) -> HubStatistics:
        return HubStatistics(
            customers=len(self._streams),
            streams=self._count,
            refused=self._refused,
            published=self._published,
            ended=dict(self._ended),
        )


def _span(entry: Entry, streams: int) -> tracing.Span | None:
    # An event that came without a trace has none of its own here.
    if tracing.shown(entry.traceparent) is None:
        return None
    about = {"storefront.streams": streams}
    return tracing.begin("fan out", parent=entry.traceparent, attributes=about)
