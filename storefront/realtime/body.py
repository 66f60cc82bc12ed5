"""The stream as a response body: Quart enters it before the first byte and always leaves it.

It joins the hub before the log is asked, which is what `transcript` relies on, and says what is not
of the log: when to return, and why it ends.

It is an iterator by class and not a generator: there is nothing to finalise, so a browser that
leaves in the middle leaves nothing for the garbage collector to close.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import structlog
import trio
from quart.wrappers.response import ResponseBody

from storefront.domain.positions import Position
from storefront.errors import StoreUnavailableError
from storefront.realtime import frames
from storefront.realtime.fan_out import FanOut
from storefront.realtime.heartbeat import Heartbeat
from storefront.realtime.hub import Hub, HubClosedError, HubFullError
from storefront.realtime.pauses import Pauses
from storefront.realtime.replay import LogReader
from storefront.realtime.stream import EndReason, Stream
from storefront.realtime.transcript import Transcript
from storefront.telemetry import tracing

log = structlog.get_logger(__name__)

# Seconds before a log that did not answer is asked again for a stream that fell behind. A burst may
# keep a store from answering in time, a Redis takes about a second to come back; after all of them,
# with the answers' own deadlines 6 s, the browser is sent away with its cursor.
RESTS = (0.25, 0.5, 1.0, 2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What a browser came with, and what its connection knows.

    Attributes:
        cursor: the position it has seen last; None where it has none, or one that is none of ours.
        returning: whether it came with anything at all, readable or not.
        was_slow: asks the connection whether a write to it was not taken in time.
        at_once: writes to the connection if that needs no waiting, and says whether it did; None
            where only the response's own task can write.
    """

    cursor: Position | None
    returning: bool
    was_slow: Callable[[], bool]
    at_once: Callable[[bytes], bool] | None = None


class EventStreamBody(ResponseBody):
    """One browser's stream, from its opening frames to its farewell."""

    def __init__(
        self,
        stream: Stream,
        visit: Visit,
        *,
        hub: Hub,
        heartbeat: Heartbeat,
        fan_out: FanOut,
        log: LogReader,
        pauses: Pauses,
    ) -> None:
        self._stream = stream
        self._visit = visit
        self._hub = hub
        self._heartbeat = heartbeat
        self._fan_out = fan_out
        self._transcript = Transcript(stream, log, heartbeat.look, hub.watch)
        self._pauses = pauses
        self._step: Callable[[], Awaitable[bytes]] = self._open
        self._rests = iter(RESTS)
        self._joined = False
        self._asleep: trio.Event | None = None
        self._called = False
        self._unwritten = b""
        self._bytes = 0
        # The request is over when the stream is opened.
        self._request = tracing.here()
        # By the letter of WHATWG HTML, section 9.2.6, each response begins without an id, and its
        # first event takes the browser's cursor away: a control frame has none. Browsers are wiser;
        # a client that is not gets its own cursor back first.
        self._own_cursor = b"" if visit.cursor is None else frames.cursor(str(visit.cursor))

    async def __aenter__(self) -> Self:
        try:
            self._hub.join(self._stream)
        except HubFullError:
            self._refuse("full", "busy", {"reason": "full"})
        except HubClosedError:
            # Another process is there, or soon will be: no longer than those wait who are sent off.
            self._turn_away("shutdown", "shutdown", {}, self._pauses.usual())
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
            self._heartbeat.remove_one()
        self._tell()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        # Whoever asks for more has seen the last write through to the socket.
        self._transcript.taken()
        data = b""
        while not data:
            data = await self._step()
        self._bytes += len(data)
        return data

    async def _open(self) -> bytes:
        """`retry:`, the verdict on the cursor, and what follows it at once."""
        self._step = self._go_on if self._joined else self._say_farewell
        if not self._joined:
            return b""
        visit = self._visit
        try:
            opened_by, self._request = self._request, None
            with tracing.span("open stream", parent=opened_by):
                verdict = await self._transcript.verdict(visit.cursor, returning=visit.returning)
        except StoreUnavailableError:
            # Nothing is invented: the browser keeps its cursor and brings it again. What came
            # meanwhile is not for this stream, which has no place in the log to follow from.
            self._stream.start_catching_up()
            self._refuse("log", "busy", {"reason": "log"})
            return b""
        opening = frames.retry(self._pauses.usual()) + self._take_own_cursor() + verdict
        return opening + self._stream.greeting

    async def _go_on(self) -> bytes:
        """What to write next; b"" for nothing just now."""
        stream = self._stream
        if stream.behind and stream.ended is None:
            return await self._catch_up()
        if self._visit.at_once is None:
            parcel = await stream.wait()
        else:
            parcel = stream.take()
            if parcel is None and stream.ended is None:
                return await self._sleep()
        if parcel is None:
            self._step = self._say_farewell
            return b""
        return self._transcript.gather(parcel)

    async def _sleep(self) -> bytes:
        """Let `fan_out` write what comes, until that takes waiting; returns what it left."""
        self._asleep = trio.Event()
        self._stream.called = self._call
        try:
            await self._asleep.wait()
        finally:
            self._stream.called = None
            self._asleep = None
        left, self._unwritten = self._unwritten, b""
        return left

    def _call(self) -> None:
        if not self._called:
            self._called = True
            self._fan_out.add(self)

    def serve(self) -> None:
        """For `fan_out`: write what has come while the response's own task sleeps, or wake it."""
        self._called = False
        stream, at_once = self._stream, self._visit.at_once
        if self._asleep is None or at_once is None or self._asleep.is_set():
            return
        if not stream.behind:
            data = self._transcript.gather(stream.take())
            if data and at_once(data):
                self._transcript.taken()
                self._bytes += len(data)
            else:
                self._unwritten = data
        if self._unwritten or stream.behind or stream.ended is not None:
            self._asleep.set()
        elif stream.waiting:
            self._call()

    async def _catch_up(self) -> bytes:
        """What the log says; a log that does not answer is asked again, before the stream that can
        do nothing about it is ended.
        """
        pause = next(self._rests, None)
        try:
            written = await self._transcript.catch_up()
        except StoreUnavailableError:
            if pause is None:
                self._refuse("log", "busy", {"reason": "log"})
            else:
                await self._stream.rest(pause)
            return b""
        self._rests = iter(RESTS)
        return written

    async def _say_farewell(self) -> bytes:
        await trio.lowlevel.checkpoint()
        self._step = self._finish
        return self._take_own_cursor() + self._stream.farewell

    def _take_own_cursor(self) -> bytes:
        """Once per response, before its first control frame."""
        own, self._own_cursor = self._own_cursor, b""
        return own

    async def _finish(self) -> bytes:
        await trio.lowlevel.checkpoint()
        raise StopAsyncIteration

    def _refuse(self, reason: EndReason, name: str, facts: dict[str, object]) -> None:
        self._turn_away(reason, name, facts, self._pauses.busy())

    def _turn_away(
        self, reason: EndReason, name: str, facts: dict[str, object], pause: float
    ) -> None:
        self._stream.end(reason, frames.retry(pause) + frames.control(name, facts))

    def _tell(self) -> None:
        """The one line of a stream: whose it was is nobody's business."""
        log.info(
            "stream ended",
            reason=self._stream.ended,
            seconds=round(trio.current_time() - self._stream.opened_at, 1),
            events=self._transcript.events,
            bytes=self._bytes,
        )

    def _reason(self, error: BaseException | None) -> EndReason:
        if self._visit.was_slow():
            return "slow"
        if error is None or isinstance(error, trio.Cancelled):
            return "disconnected"
        return "failed"
