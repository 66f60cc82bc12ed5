"""What a peer sends over HTTP/2, and what it may cost us.

Whatever the peer sends ends at most its own connection. h2 answers for the protocol; the bounds
that it leaves open are here: how many applications, how much of an unfinished head, how many frames
that cost only us.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import h2.connection
import h2.events
import h2.exceptions
import trio
from h2.errors import ErrorCodes
from h2.settings import SettingCodes, Settings
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Body, EndBody, Request
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.typing import ConnectionState
from hypercorn.utils import filter_pseudo_headers
from hyperframe.frame import GoAwayFrame

from storefront.serving.apps import Apps, StreamApps
from storefront.serving.connection import Connection, Line
from storefront.serving.http2_answers import Http2Answers
from storefront.serving.outflow import Outlet
from storefront.serving.patience import SLICE, Patience
from storefront.serving.watch import ServingWatch

logger = logging.getLogger(__name__)

RESET_COST = 5.0  # an application was started for it; every other frame costs 1


class Http2Protocol(Http2Answers):
    """The receiving half, and the whole; no task of its own.

    The positional arguments are those of Hypercorn's own class.
    """

    def __init__(
        self,
        *hypercorn: Any,
        apps: Apps,
        line: Line,
        patience: Patience,
        watch: ServingWatch,
        give_up: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(*hypercorn, patience=patience, watch=watch, give_up=give_up)
        _bound_what_h2_accepts(self.connection, self.config)
        self._apps = apps
        self._line = line
        self._unfinished = 0  # bytes since the last whole frame, all of an unfinished header block

    @property
    def head_begun(self) -> bool:
        """A part of a request head has arrived, and not all of it."""
        return self._unfinished > 0

    async def initiate(
        self, headers: list[tuple[bytes, bytes]] | None = None, settings: bytes | None = None
    ) -> None:
        del headers, settings  # of an h2c upgrade, which is never offered
        self.connection.initiate_connection()
        await self._flush()

    async def handle(self, event: Event) -> None:
        if isinstance(event, RawData) and not self.closed:
            await self._receive(event.data)
        elif isinstance(event, Closed):
            self.closed = True
            self._outflow.granted()
            for outlet in list(self._outlets.values()):
                await self._end(outlet)

    async def retire(self) -> None:
        """Take no further request; what runs on the connection runs on.

        Not h2's close_connection: after that h2 lets nothing be sent on the streams that remain.
        """
        if not self._retired:
            self._retired = True
            goodbye = GoAwayFrame(0, last_stream_id=self.connection.highest_inbound_stream_id)
            self._pending += self.connection.data_to_send() + goodbye.serialize()
            await self._flush()
        if not self._outlets:
            await self.send(Closed())

    async def _receive(self, data: bytes) -> None:
        events = await self._parse(data)
        cost = sum(map(_cost, events))
        if not self._allowance.spend(cost, trio.current_time()):
            self._watch.floods_total += 1
            await self._dismiss(ErrorCodes.ENHANCE_YOUR_CALM)
        for event in events:
            if self.closed:
                return
            await self._react(event)
        await self._flush()

    async def _parse(self, data: bytes) -> list[h2.events.Event]:
        try:
            events = self.connection.receive_data(data)
        except h2.exceptions.ProtocolError as error:
            if isinstance(error, h2.exceptions.DenialOfServiceError):  # a head beyond its limit
                self._watch.heads_refused_total += 1
            self._dismissed = True
            await self._flush()  # h2 has written the GOAWAY itself
            await self.send(Closed())
            return []
        except Exception:
            # A parser's bug that a stranger's bytes can reach may not cost the others their
            # streams.
            logger.exception("h2 failed at what a peer sent; its connection is closed")
            self._dismissed = True
            await self.send(Closed())
            return []
        # h2 keeps up to 64 CONTINUATION frames, a megabyte, before it looks at any. One frame may
        # be unfinished for honest reasons, and the head's limit comes on top.
        self._unfinished = 0 if events else self._unfinished + len(data)
        if self._unfinished > self.config.h2_max_header_list_size + SLICE:
            self._watch.heads_refused_total += 1
            await self._dismiss(ErrorCodes.ENHANCE_YOUR_CALM)
        return events

    async def _react(self, event: h2.events.Event) -> None:
        # PRIORITY is read and forgotten: RFC 9113 section 5.3.2 has retired it.
        match event:
            case h2.events.RequestReceived():
                await self._admit(event)
            case h2.events.DataReceived():
                await self._take_data(event)
            case h2.events.StreamEnded() if outlet := self._outlets.get(event.stream_id):
                outlet.complete = True
                await self.streams[event.stream_id].handle(EndBody(stream_id=event.stream_id))
            case h2.events.StreamReset() if outlet := self._outlets.get(event.stream_id):
                await self._forget(outlet)
            case h2.events.WindowUpdated():
                self._grant(event.stream_id)
            case h2.events.RemoteSettingsChanged():
                if SettingCodes.INITIAL_WINDOW_SIZE in event.changed_settings:
                    for stream_id in self._outlets:
                        self._grant(stream_id)
            case h2.events.ConnectionTerminated():
                await self.send(Closed())

    def _grant(self, stream_id: int) -> None:
        if stream_id == 0:
            self._outflow.granted()
        elif outlet := self._outlets.get(stream_id):
            outlet.opened.set()

    async def _admit(self, request: h2.events.RequestReceived) -> None:
        head = dict(request.headers or ())
        method, path = head[b":method"], head.get(b":path", b"")
        if self._retired or self._apps.running >= self.config.h2_max_concurrent_streams:
            self._reset(request.stream_id, ErrorCodes.REFUSED_STREAM)
        elif method == b"CONNECT":
            self._answer(request, 405)
        elif not (method.isascii() and path.isascii()):  # Hypercorn would decode them as ASCII
            self._answer(request, 400)
        else:
            await self._begin(request.stream_id, request, method, path)

    async def _begin(
        self, stream_id: int, request: h2.events.RequestReceived, method: bytes, path: bytes
    ) -> None:
        connection = Connection("2", self._line)
        self._outlets[stream_id] = Outlet(stream_id, connection)
        stream = self.streams[stream_id] = HTTPStream(
            self.app,
            self.config,
            self.context,
            StreamApps(self._apps, partial(self._give_back, stream_id)),
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            stream_id,
        )
        await self.send(Updated(idle=False))
        await stream.handle(
            Request(
                stream_id=stream_id,
                headers=filter_pseudo_headers(request.headers or []),
                http_version="2",
                method=method.decode("ascii").upper(),
                raw_path=path,
                state=ConnectionState({"connection": connection}),
            )
        )
        self.keep_alive_requests += 1
        if self.keep_alive_requests >= self.config.keep_alive_max_requests:
            await self.retire()

    def _answer(self, request: h2.events.RequestReceived, status: int) -> None:
        headers = self.config.response_headers("h2")
        self.connection.send_headers(
            request.stream_id, [(b":status", b"%d" % status), *headers], end_stream=True
        )
        if request.stream_ended is None:
            self._reset(request.stream_id, ErrorCodes.NO_ERROR)

    async def _take_data(self, event: h2.events.DataReceived) -> None:
        stream = self.streams.get(event.stream_id)
        size = len(event.data or b"")
        if stream is None:
            await self._give_back(event.stream_id, event.flow_controlled_length)
            return
        if padding := event.flow_controlled_length - size:
            await self._give_back(event.stream_id, padding)
        if size:
            await stream.handle(Body(stream_id=event.stream_id, data=event.data or b""))

    async def _give_back(self, stream_id: int, size: int) -> None:
        """Let the peer send `size` bytes more."""
        if size:
            with suppress(h2.exceptions.ProtocolError):  # the stream or all of it is over
                self.connection.acknowledge_received_data(size, stream_id)
            await self._flush()


def _cost(event: h2.events.Event) -> float:
    """What an event takes from the peer's allowance."""
    if isinstance(event, h2.events.StreamReset):
        return RESET_COST
    if isinstance(event, h2.events.DataReceived):
        return float(len(event.data or b"") < 1024)
    return 1.0


def _bound_what_h2_accepts(connection: h2.connection.H2Connection, config: Config) -> None:
    # Without ENABLE_CONNECT_PROTOCOL, which Hypercorn offers for WebSocket.
    connection.local_settings = Settings(
        client=False,
        initial_values={
            SettingCodes.MAX_CONCURRENT_STREAMS: config.h2_max_concurrent_streams,
            SettingCodes.MAX_HEADER_LIST_SIZE: config.h2_max_header_list_size,
        },
    )
    # The setting only tells the peer; it is the decoder that refuses a bomb, and it was made before
    # the setting.
    connection.decoder.max_header_list_size = config.h2_max_header_list_size
