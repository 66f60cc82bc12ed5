"""The stream as a response body: Quart enters it before the first byte and always leaves it.

Joined to the hub first, then the log is read, then what came twice is skipped: what happens in
between is in both places, and a double can be dropped where a gap could not be. From then on only
position + 1 is written. A gap, an overflow and a lost announcement all mean the same: empty the
channel and read the log from here.

It is an iterator by class and not a generator: there is nothing to finalise, so a browser that
leaves in the middle leaves nothing for the garbage collector to close.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import trio
from quart.wrappers.response import ResponseBody

from storefront.domain.positions import Position
from storefront.errors import StoreUnavailableError
from storefront.realtime import frames
from storefront.realtime.heartbeat import Heartbeat
from storefront.realtime.hub import Hub, HubClosedError, HubFullError
from storefront.realtime.pauses import Pauses
from storefront.realtime.replay import SLICE_BYTES, LogReader
from storefront.realtime.stream import EndReason, Parcel, Stream
from storefront.store.contract import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What a browser came with, and what its connection knows.

    Attributes:
        cursor: the position it has seen last; None where it has none, or one that is none of ours.
        returning: whether it came with anything at all, readable or not.
        was_slow: asks the connection whether a write to it was not taken in time.
    """

    cursor: Position | None
    returning: bool
    was_slow: Callable[[], bool]


class EventStreamBody(ResponseBody):
    """One browser's stream, from its opening frames to its farewell."""

    def __init__(
        self,
        stream: Stream,
        visit: Visit,
        *,
        hub: Hub,
        heartbeat: Heartbeat,
        log: LogReader,
        pauses: Pauses,
    ) -> None:
        self._stream = stream
        self._visit = visit
        self._hub = hub
        self._heartbeat = heartbeat
        self._log = log
        self._pauses = pauses
        self._step: Callable[[], Awaitable[bytes]] = self._open
        self._joined = False

    async def __aenter__(self) -> Self:
        try:
            self._hub.join(self._stream)
        except HubFullError:
            self._refuse("full", "busy", {"reason": "full"})
        except HubClosedError:
            self._refuse("shutdown", "shutdown", {})
        else:
            self._joined = True
            self._heartbeat.add(self._stream, trio.current_time())
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Synchronous on purpose: a cancelled response must still leave the hub.
        self._stream.end(self._reason(exc_value))
        self._stream.close()
        if self._joined:
            self._hub.leave(self._stream)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        data = b""
        while not data:
            data = await self._step()
        return data

    async def _open(self) -> bytes:
        """`retry:`, the verdict on the cursor, and what follows it at once."""
        self._step = self._go_on if self._joined else self._say_farewell
        if not self._joined:
            return b""
        try:
            return frames.retry(self._pauses.usual()) + await self._verdict()
        except StoreUnavailableError:
            # Nothing is invented: the browser keeps its cursor and brings it again.
            self._refuse("log", "busy", {"reason": "log"})
            return b""

    async def _verdict(self) -> bytes:
        stream, cursor = self._stream, self._visit.cursor
        if cursor is None:
            head = await self._log.head(stream.customer)
            return self._start_over("reset" if self._visit.returning else "fresh", head)
        found = await self._log.since(stream.customer, cursor)
        if not found.resumable:
            return self._start_over("reset", found.head)
        stream.stand_at(cursor)
        told = {
            "mode": "resumed",
            "replayed": found.head.seq - cursor.seq,
            "position": str(found.head),
        }
        return frames.control("stream", told) + self._entries(found.entries, found.head)

    def _start_over(self, mode: str, head: Position) -> bytes:
        # The block of only an id gives a native EventSource a cursor before any event came.
        self._stream.stand_at(head)
        told = {"mode": mode, "position": str(head)}
        return frames.control("stream", told) + frames.cursor(str(head))

    async def _go_on(self) -> bytes:
        """What to write next; b"" for nothing just now."""
        stream = self._stream
        if stream.behind and stream.ended is None:
            try:
                return await self._catch_up()
            except StoreUnavailableError:
                self._refuse("log", "busy", {"reason": "log"})
        parcel = await stream.wait()
        if parcel is None:
            self._step = self._say_farewell
            return b""
        return self._gather(parcel)

    async def _say_farewell(self) -> bytes:
        await trio.lowlevel.checkpoint()
        self._step = self._finish
        return self._stream.farewell

    async def _finish(self) -> bytes:
        await trio.lowlevel.checkpoint()
        raise StopAsyncIteration

    async def _catch_up(self) -> bytes:
        """Empty the channel, and read one write's worth of the log from here."""
        stream = self._stream
        here = stream.position
        if here is None:
            raise AssertionError("a stream knows where it is once it is open")
        stream.start_catching_up()
        found = await self._log.since(stream.customer, here)
        told = stream.take_told()
        if not found.resumable:
            return told + self._start_over("reset", found.head)
        return told + self._entries(found.entries, found.head)

    def _entries(self, entries: Sequence[Entry], head: Position) -> bytes:
        written = b"".join(self._bytes_of(Parcel.of(entry)) for entry in entries)
        if self._stream.position != head:
            self._stream.fall_behind()
        return written

    def _gather(self, parcel: Parcel | None) -> bytes:
        """All that is waiting, in one write of bounded size."""
        found = [self._stream.take_told()]
        size = 0
        while parcel is not None:
            if not self._follows(parcel):
                self._stream.fall_behind()
                break
            found.append(self._bytes_of(parcel))
            size += len(found[-1])
            parcel = self._stream.take() if size < SLICE_BYTES else None
        return b"".join(found)

    def _follows(self, parcel: Parcel) -> bool:
        """Whether the parcel may be written now: it is no event, or the very next one."""
        at, here = parcel.position, self._stream.position
        return at is None or here is None or (at.epoch == here.epoch and at.seq <= here.seq + 1)

    def _bytes_of(self, parcel: Parcel) -> bytes:
        """The parcel as this stream writes it; b"" for what was written before."""
        at, here = parcel.position, self._stream.position
        if at is not None:
            if here is not None and at.seq <= here.seq:
                return b""
            self._stream.stand_at(at)
        if self._stream.named and parcel.name:
            return frames.named(parcel.name, parcel.frame)
        return parcel.frame

    def _refuse(self, reason: EndReason, name: str, facts: dict[str, object]) -> None:
        self._stream.end(reason, frames.retry(self._pauses.busy()) + frames.control(name, facts))

    def _reason(self, error: BaseException | None) -> EndReason:
        if self._visit.was_slow():
            return "slow"
        if error is None or isinstance(error, trio.Cancelled):
            return "disconnected"
        return "failed"
