"""One browser's stream: a cursor over its customer's log, with a memory channel as its fast path.

What is put here never waits. When the channel is full, by count or by bytes, what does not fit is
let go and the stream is marked as behind: its reader empties the channel and reads the log from
where it stands. So a burst ends no healthy stream, and a browser that does not read costs a bounded
amount of memory until its send deadline ends it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import trio

from storefront.domain.events import event_type, occurred_at
from storefront.domain.ids import CustomerId
from storefront.domain.positions import Position
from storefront.realtime import frames
from storefront.store.contract import Entry
from storefront.telemetry import tracing

# Full means behind, and costs one read of the log: the bound is for memory, not for correctness.
# Entries and frames are shared between the streams of a customer, so a place is a reference; the
# bytes bound what a laggard pins.
CHANNEL_PARCELS = 256
CHANNEL_BYTES = 256 * 1024

EndReason = Literal[
    "disconnected",  # the browser left
    "slow",  # it did not take a write in time
    "expired",  # its token did
    "superseded",  # a newer stream of the same customer took its place
    "shutdown",  # we are leaving
    "full",  # there was no room
    "log",  # the log could not be read
    "failed",  # a bug of ours
]


@dataclass(frozen=True, slots=True)
class Parcel:
    """One thing to write, shared between the streams of a customer.

    Attributes:
        frame: its bytes, as an unnamed frame.
        position: where the event stands; None for a ping.
        name: the event's type, for streams that asked for named frames.
        recorded_at, occurred_at: when it was, in seconds since 1970; None where nobody measures.
    """

    frame: bytes
    position: Position | None = None
    name: str = ""
    recorded_at: float | None = None
    occurred_at: float | None = None

    @classmethod
    def of(cls, entry: Entry) -> Parcel:
        """An event, encoded once for all streams."""
        data = frames.traced(entry.payload, tracing.shown(entry.traceparent))
        frame = frames.event(str(entry.position), data)
        return cls(frame, entry.position, event_type(entry.payload))

    @classmethod
    def live(cls, entry: Entry) -> Parcel:
        """One that has just been recorded: how late it will be is measured."""
        return replace(
            cls.of(entry), recorded_at=entry.recorded_at, occurred_at=occurred_at(entry.payload)
        )


_PING = Parcel(frames.PING)
_WAKE = Parcel(b"")


class Stream:
    """What the hub, the heartbeat and the response share of one connection.

    Attributes:
        customer: whose events it carries, and nobody else's.
        position: the last position written; None until the opening has been read.
        offered: the last position that came to it in any way, written yet or not.
        behind: what the channel holds is no longer all there is.
        ended: why the stream is ending; None while it lives.
        called: called whenever there is something to do, while its reader does not `wait`.
    """

    def __init__(
        self,
        customer: CustomerId,
        *,
        now: float,
        every: float,
        expires_at: float | None = None,
        named: bool = False,
        pings: bool = False,
    ) -> None:
        self.customer = customer
        self.named = named
        self.position: Position | None = None
        self.offered: Position | None = None
        self.behind = False
        self.ended: EndReason | None = None
        self.farewell = b""
        self.called: Callable[[], None] | None = None
        self.opened_at = now
        # A comment is invisible to scripts: a page could not tell a stream on which nothing happens
        # from a dead connection. One that asked for it hears of each beat, and first how often.
        self.greeting = frames.control("ping", {"everySeconds": every}) if pings else b""
        self._every = every
        self._next_ping = now + every
        self._expires_at = expires_at
        # The browser may fetch a new token while the old one still works (design.md, "The stream,
        # byte by byte").
        self._warns_at = None if expires_at is None else now + 0.8 * (expires_at - now)
        self._told = b""
        self._bytes = 0
        self._send: trio.MemorySendChannel[Parcel]
        self._receive: trio.MemoryReceiveChannel[Parcel]
        self._send, self._receive = trio.open_memory_channel[Parcel](CHANNEL_PARCELS)

    def offer(self, parcel: Parcel) -> None:
        """Put a parcel into the channel, or fall behind."""
        if self.behind or self.ended is not None:
            return
        size = len(parcel.frame)
        if self._bytes and self._bytes + size > CHANNEL_BYTES:
            self.behind = True
            return
        try:
            self._send.send_nowait(parcel)
        except trio.WouldBlock:
            self.behind = True
        else:
            self._bytes += size
            self.offered = parcel.position or self.offered
            if self.called is not None:
                self.called()

    def stand_at(self, position: Position) -> None:
        """Everything up to here has been written."""
        self.position = position
        if (
            self.offered is None
            or position.epoch != self.offered.epoch
            or position.seq > self.offered.seq
        ):
            self.offered = position

    def tell(self, frame: bytes) -> None:
        """Have a control frame written before what waits; falling behind does not lose it."""
        if self.ended is None:
            self._told += frame
            self.offer(_WAKE)

    def fall_behind(self) -> None:
        """Have the reader look into the log: something may have been missed."""
        self.offer(_WAKE)
        self.behind = self.ended is None

    def end(self, reason: EndReason, farewell: bytes = b"") -> None:
        """Have the reader write what is waiting, then `farewell`, then finish. The first reason
        stands.
        """
        if self.ended is None:
            self.ended, self.farewell = reason, farewell
            self._send.close()
            if self.called is not None:
                self.called()

    def beat(self, now: float) -> float | None:
        """Do what is due, and say when to come back; None once there is nothing more to do."""
        if self.ended is not None:
            return None
        if self._expires_at is not None and now >= self._expires_at:
            self.end("expired", frames.control("token-expired", {}))
            return None
        if self._warns_at is not None and self._expires_at is not None and now >= self._warns_at:
            left = round(self._expires_at - now, 3)
            self.tell(frames.control("token-expiring", {"expiresInSeconds": left}))
            self._warns_at = None
        if now >= self._next_ping:
            if self.waiting < CHANNEL_PARCELS // 2:
                # A channel that fills up is about to be written: that is beat enough.
                self.offer(Parcel(self.greeting) if self.greeting else _PING)
            self._next_ping += self._every
        return min(t for t in (self._next_ping, self._warns_at, self._expires_at) if t is not None)

    async def wait(self) -> Parcel | None:
        """The next parcel; None when the stream was ended and everything before was taken."""
        try:
            parcel = await self._receive.receive()
        except trio.EndOfChannel:
            return None
        self._bytes -= len(parcel.frame)
        return parcel

    def take(self) -> Parcel | None:
        """The next parcel if one is waiting."""
        try:
            parcel = self._receive.receive_nowait()
        except (trio.WouldBlock, trio.EndOfChannel):
            return None
        self._bytes -= len(parcel.frame)
        return parcel

    @property
    def waiting(self) -> int:
        """Parcels that wait to be written."""
        return self._send.statistics().current_buffer_used

    def take_told(self) -> bytes:
        """The control frames that are waiting."""
        told, self._told = self._told, b""
        return told

    def start_catching_up(self) -> None:
        """Empty the channel: the log is about to be read, and holds all of it."""
        while self.take() is not None:
            pass
        self.behind = False

    async def rest(self, seconds: float) -> None:
        """Stay behind for so long, or until it is ended: the log could not be read just now."""
        self.start_catching_up()
        # Nothing is put into the channel of a stream that is behind, so only its end can wake it.
        self.behind = True
        with trio.move_on_after(seconds):
            await self.wait()

    def close(self) -> None:
        """Let go of the channel."""
        self._send.close()
        self._receive.close()
