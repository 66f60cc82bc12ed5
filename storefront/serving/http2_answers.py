"""What applications send over HTTP/2: answers as frames, one writer of bytes at a time.

The writer takes bytes from h2 only when it writes them, so that no cancelled application can lose a
frame which the others' header compression depends on. What an application breaks off is reset, and
never looks whole.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import h2.exceptions
import trio
from h2.errors import ErrorCodes
from hypercorn.events import Closed, RawData, Updated
from hypercorn.protocol.events import (
    Body,
    EndBody,
    InformationalResponse,
    Response,
    StreamClosed,
    Trailers,
)
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h2 import H2Protocol

from storefront.serving.allowance import Allowance
from storefront.serving.outflow import Outflow, Outlet, WindowSpentError, take
from storefront.serving.patience import Patience
from storefront.serving.watch import ServingWatch

logger = logging.getLogger(__name__)

FORBIDDEN = re.compile(rb"[\0\r\n]")  # in a field's value (RFC 9113 section 8.2.1)
FRAME_EARNS = 2.0  # a window update for the stream and one for the connection


class Http2Answers(H2Protocol):
    """The sending half of an HTTP/2 connection; the positional arguments are Hypercorn's own."""

    def __init__(
        self,
        *hypercorn: Any,
        patience: Patience,
        watch: ServingWatch,
        give_up: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(*hypercorn)
        self._watch = watch
        self._outlets: dict[int, Outlet] = {}
        self._outflow = Outflow(self.connection, patience, flush=self._flush_frame, give_up=give_up)
        self._allowance = Allowance(trio.current_time())
        self._writing = trio.Lock()
        self._pending = bytearray()  # frames that h2 has given and nobody has begun to write
        self._retired = False  # no further request is taken
        self._dismissed = False  # h2 has written its last frame

    async def stream_send(self, event: StreamEvent) -> None:
        outlet = self._outlets.get(event.stream_id)
        if outlet is None or self._dismissed:
            return
        if outlet.over and not isinstance(event, StreamClosed):
            return  # cut, and its application goes on as if nothing were
        try:
            await self._send(outlet, event)
        except trio.Cancelled:
            # What went out of it must not look whole. The frame is sent with whatever is sent next.
            outlet.end()
            self._reset(event.stream_id, ErrorCodes.INTERNAL_ERROR)
            raise
        except WindowSpentError:
            self._watch.slow_aborts_total += 1
            outlet.connection.cut(slow=True)
            self._reset(event.stream_id, ErrorCodes.CANCEL)
            await self._forget(outlet)
        except h2.exceptions.StreamClosedError:
            pass  # reset while this was waiting; the application has been told
        except h2.exceptions.ProtocolError:
            if not (self.closed or outlet.over or self._dismissed):
                # It may have failed within a header block: then the peer's decoder is out of step
                # for good.
                logger.exception("h2 refused what was to be sent; its connection is closed")
                await self._dismiss(ErrorCodes.INTERNAL_ERROR)

    async def _send(self, outlet: Outlet, event: StreamEvent) -> None:
        match event:
            case Response() | InformationalResponse():
                headers = [*_checked(event.headers), *self.config.response_headers("h2")]
                status = (b":status", b"%d" % event.status_code)
                self.connection.send_headers(outlet.stream_id, [status, *headers])
            case Body():
                await self._outflow.send(outlet, event.data)
                return
            case EndBody():
                self.connection.end_stream(outlet.stream_id)
                outlet.answered = True
            case Trailers():
                headers = _checked(event.headers)
                self.connection.send_headers(outlet.stream_id, headers, end_stream=True)
                outlet.answered = True
            case StreamClosed():
                self._settle(outlet)
                await self._forget(outlet)
        await self._flush()

    def _settle(self, outlet: Outlet) -> None:
        """The application is done: nobody waits for more answer, or sends more question."""
        if not outlet.answered:
            self._reset(outlet.stream_id, ErrorCodes.INTERNAL_ERROR)
        elif not outlet.complete:
            self._reset(outlet.stream_id, ErrorCodes.NO_ERROR)

    def _reset(self, stream_id: int, code: ErrorCodes) -> None:
        with suppress(h2.exceptions.ProtocolError):  # the peer was first
            self.connection.reset_stream(stream_id, code)

    async def _forget(self, outlet: Outlet) -> None:
        """A stream is over, the connection goes on."""
        await self._end(outlet)
        await self._flush()
        if not self.closed:
            await self.send(Updated(idle=not self._outlets))
        if self._retired and not self._outlets:
            await self.send(Closed())

    async def _end(self, outlet: Outlet) -> None:
        if self._outlets.pop(outlet.stream_id, None) is not None:
            outlet.connection.cut(slow=False)
            outlet.end()
            await self._close_stream(outlet.stream_id)

    async def _flush_frame(self) -> None:
        self._allowance.earn(FRAME_EARNS)
        await self._flush()

    async def _flush(self) -> None:
        """Write what h2 has for the peer, other tasks' frames included.

        A task cancelled while it waits for its turn leaves its frames to the one who is writing,
        who goes on until nothing is left, and who is not cancelled between taking and writing.
        """
        ours = self.connection.data_to_send()
        self._pending += ours
        others_will = self._writing.locked() and not ours  # so the reader need not wait for them
        if self.closed or others_will or not self._pending:
            return
        await take(self._writing)
        try:
            while self._pending:
                data = bytes(self._pending)
                self._pending.clear()
                await self.send(RawData(data=data))
        finally:
            self._writing.release()

    async def _dismiss(self, code: ErrorCodes) -> None:
        if not self._dismissed:
            self._dismissed = True
            self.connection.close_connection(code)
        await self._flush()
        await self.send(Closed())


def _checked(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Headers that may be encoded; an application is told of its mistake, as h11 does.

    h2 passes line ends on, at which a browser drops the connection with all its streams, and
    refuses others when their neighbours have already changed the compression table.

    Raises:
        ValueError: A header that HTTP/2 does not allow.
    """
    for name, value in headers:
        if name.lower() == b"te" or FORBIDDEN.search(value):
            raise ValueError(f"a header that HTTP/2 does not allow: {name!r}")
    return headers
