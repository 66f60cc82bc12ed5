"""HTTP/1.1 on one connection: Hypercorn's protocol without its upgrades, with our bound on a head.

One request at a time. What a client sends ahead of its turn is kept up to the size of a head, so
that the reader goes on reading and sees the client leave; past that the reader waits for the answer
to end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Any

import h11
import trio
from hypercorn.events import Closed, RawData, Updated
from hypercorn.protocol.events import Body, EndBody, Request, Response
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import STREAM_ID, H2ProtocolAssumedError, H11Protocol
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.typing import ConnectionState

from storefront.serving.connection import Connection, Line
from storefront.serving.watch import ServingWatch

# The request that a client with prior knowledge of HTTP/2 seems to make (RFC 9113 section 3.4).
PREFACE = (b"PRI", b"*", b"2.0")
# Writes all of it without waiting, or nothing, and says which.
WriteNow = Callable[[bytes], bool]
# Bytes of a body's first piece that are copied to go with the head.
_JOINED = 64 * 1024
_LENGTHS = {b"content-length", b"transfer-encoding"}


class Http1Protocol(H11Protocol):
    """h11 on one side, Hypercorn's HTTPStream on the other.

    The positional arguments are those of Hypercorn's own class.
    """

    connection: h11.Connection  # never Hypercorn's WebSocket stand-in

    def __init__(
        self,
        *hypercorn: Any,
        line: Line,
        watch: ServingWatch,
        write_now: WriteNow | None = None,
    ) -> None:
        super().__init__(*hypercorn)
        self._line = line
        self._watch = watch
        self._write_now = write_now
        self._chunked = False  # the answer in hand is
        self._head = b""  # of the answer in hand, until there is a body to go with it
        # Reader and recycler both look for the next request; events must be handled in their order.
        self._handling = trio.Lock()

    @property
    def head_begun(self) -> bool:
        """A part of a request head has arrived, and not all of it."""
        return self.stream is None and bool(self.connection.trailing_data[0])

    async def stream_send(self, event: StreamEvent) -> None:
        if isinstance(event, Response):
            self._chunked = self._will_be_chunked(event)
            if self.context.terminated.is_set():
                # A browser that comes back must find its way to a process that stays.
                event = replace(event, headers=[*event.headers, (b"connection", b"close")])
        await super().stream_send(event)

    def _will_be_chunked(self, answer: Response) -> bool:
        """Whether h11 frames the body: of an HTTP/1.1 answer that says nothing of its length."""
        return (
            self.connection.their_http_version == b"1.1"
            and isinstance(self.stream, HTTPStream)
            and self.stream.scope["method"] != "HEAD"
            and answer.status_code == HTTPStatus.OK
            and not any(name.lower() in _LENGTHS for name, _ in answer.headers)
        )

    def _at_once(self, stream: HTTPStream, write_now: WriteNow, data: bytes) -> bool:
        """A chunk of this stream's answer, past h11, which has no state between two chunks."""
        if (
            stream.closed  # its answer is over, and the next may have begun
            or self.connection.our_state is not h11.SEND_BODY
            or not (self._chunked and data)
        ):
            return False
        written = write_now(b"%b%x\r\n%b\r\n" % (self._head, len(data), data))
        if written:
            self._head = b""
        return written

    async def _send_h11_event(self, event: h11.Event) -> None:
        """Encode and write; the head of an answer with what follows it.

        As ASGI has it: an answer begins with the first message of its body. It is one system call
        instead of two, and one packet.
        """
        if isinstance(event, h11.Response):
            self._head = self._encoded(event)
            return
        data = self._encoded(event)
        if self._head:
            head, self._head = self._head, b""
            if len(data) > _JOINED:
                await self.send(RawData(data=head))
            else:
                data = head + data
        if data:
            await self.send(RawData(data=data))

    def _encoded(self, event: h11.Event) -> bytes:
        try:
            return self.connection.send(event) or b""
        except h11.LocalProtocolError:
            if self.connection.their_state is not h11.ERROR:
                raise
            return b""

    async def _handle_events(self) -> None:
        async with self._handling:
            while await self._handle_next():
                pass

    async def _handle_next(self) -> bool:
        """Handle one event; whether another may follow at once."""
        if self.connection.they_are_waiting_for_100_continue:
            await self._send_h11_event(
                h11.InformationalResponse(
                    status_code=100, headers=self.config.response_headers("h11")
                )
            )
        try:
            event = self.connection.next_event()
        except h11.RemoteProtocolError as error:
            await self._refuse(error.error_status_hint)
            return False
        if isinstance(event, h11.Request):
            return await self._begin(event)
        if event is h11.PAUSED:
            return await self._hold_back()
        if self.stream is None or not isinstance(event, (h11.Data, h11.EndOfMessage)):
            return False
        if isinstance(event, h11.Data):
            await self.stream.handle(Body(stream_id=STREAM_ID, data=bytes(event.data)))
        else:
            await self.stream.handle(EndBody(stream_id=STREAM_ID))
        return True

    async def _begin(self, request: h11.Request) -> bool:
        preface = (request.method, request.target, request.http_version) == PREFACE
        if preface and not self.keep_alive_requests:  # it opens a connection, or it is nonsense
            rest = self.connection.trailing_data[0]
            raise H2ProtocolAssumedError(b"PRI * HTTP/2.0\r\n\r\n" + rest)
        # h11 asks how much it holds only when it needs more: never about a head that comes in one
        # read.
        too_large = _size(request) > self.config.h11_max_incomplete_size
        if preface or too_large or request.method == b"CONNECT":
            await self._refuse(400 if preface else 431 if too_large else 405)
            return False
        await self.send(Updated(idle=False))
        await self._create_stream(request)
        return True

    async def _create_stream(self, request: h11.Request) -> None:
        # HTTPStream whatever the client asks: Upgrade, to WebSocket as to h2c, may be ignored (RFC
        # 9110 section 7.8).
        stream = self.stream = HTTPStream(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        version = request.http_version.decode()
        await stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=list(request.headers),
                http_version=version,
                method=request.method.decode("ascii").upper(),
                raw_path=request.target,
                state=ConnectionState({"connection": self._connection(version, stream)}),
            )
        )
        self.keep_alive_requests += 1

    def _connection(self, version: str, stream: HTTPStream) -> Connection:
        write_now = self._write_now
        at_once = None if write_now is None else partial(self._at_once, stream, write_now)
        return Connection(version, self._line, at_once=at_once)

    async def _hold_back(self) -> bool:
        """The next request waits for this answer; the reader too, if it is too much to keep."""
        if len(self.connection.trailing_data[0]) <= self.config.h11_max_incomplete_size:
            return False
        await self.can_read.clear()
        await self.can_read.wait()
        return True

    async def _maybe_recycle(self) -> None:
        await super()._maybe_recycle()
        if self.connection.our_state is h11.IDLE and self.connection.trailing_data[0]:
            # Not here: this is the old request's task, and it may be cancelled for reasons of its
            # own.
            self.task_group.spawn(self._handle_events)

    async def _refuse(self, status: int) -> None:
        if self.stream is None:
            self._watch.heads_refused_total += 1
        if self.connection.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            await self._send_error_response(status)
        await self.send(Closed())


def _size(request: h11.Request) -> int:
    """Bytes of the head as it travels, give or take its line ends."""
    fields = sum(len(name) + len(value) + 4 for name, value in request.headers)
    return len(request.method) + len(request.target) + 12 + fields
