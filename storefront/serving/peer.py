"""One browser's TCP connection: what it may do, for how long, and how it ends.

    idle --first byte of a head--> head --request--> busy --last answer--> idle
    idle, head --deadline--> gone
    any --hang up--> leaving --the peer hangs up, or the linger ends--> gone
    any --a write outlasts its deadline--> gone, by a reset

Busy has no deadline for reading: the browser of a stream has nothing to say.

Reading happens in one task, writing in the applications' (`wire`).
"""

from __future__ import annotations

import math
import socket
from contextlib import suppress
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h11 import H2ProtocolAssumedError
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState
from hypercorn.utils import parse_socket_addr

from storefront.serving.apps import Apps
from storefront.serving.http1 import Http1Protocol
from storefront.serving.http2 import Http2Protocol
from storefront.serving.limits import Limits
from storefront.serving.patience import Patience
from storefront.serving.watch import ServingWatch
from storefront.serving.wire import Stream, Wire

# Bytes of one read. Parsing it keeps the loop, 37 ms if it is full of the smallest frames; bodies
# are small here.
READ = 16 * 1024


class Peer(TCPServer):
    """Hypercorn's TCPServer with its run, its writes and its end replaced."""

    protocol: Http1Protocol | Http2Protocol  # type: ignore[assignment]  # ours, chosen here, not Hypercorn's wrapper around its own

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        stream: Stream,
        *,
        patience: Patience,
        limits: Limits,
        watch: ServingWatch,
    ) -> None:
        super().__init__(app, config, context, {}, stream)  # type: ignore[arg-type]  # Hypercorn names one of the two it is given
        self._wire = Wire(stream, patience, watch)
        self.line = self._wire.line
        self._socket = self._wire.socket
        self._patience = patience
        self._limits = limits
        self._watch = watch
        self._reading = trio.CancelScope()  # of the handshake, then of the conversation
        self._conversing = False
        self._idle = True
        self._head_begun_at = math.inf
        self._leaving = False

    async def run(self) -> None:
        """Serve the connection until both sides are done with it. Only bugs are raised."""
        try:
            if await self._shake_hands():
                async with trio.open_nursery() as nursery:
                    self._apps = Apps(nursery, self._watch)
                    await self._converse()
        finally:
            self.line.closed = True
            self._socket.close()

    def retire(self) -> None:
        """Take no request after the present ones; leave at once if there are none. Never waits."""
        if self._conversing and isinstance(self.protocol, Http2Protocol):
            self._apps.spawn(self.protocol.retire)
        elif self._idle:
            self._reading.cancel()

    def abort(self) -> None:
        """End the connection now; every task that waits on it is woken."""
        self._wire.abort()

    async def protocol_send(self, event: Event) -> None:
        """What the protocols call to write, to hang up, and to say whether they are idle."""
        if isinstance(event, RawData):
            await self._write(event.data)
        elif isinstance(event, Updated):
            self._become(idle=event.idle)
        elif isinstance(event, Closed):
            await self._hang_up()

    # Reading

    async def _shake_hands(self) -> bool:
        if self._wire.tls is None:
            return True
        with trio.CancelScope() as self._reading:
            self._reading.deadline = trio.current_time() + self._limits.head_seconds
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await self._wire.tls.do_handshake()
                return True
        self._watch.handshakes_failed_total += 1
        return False

    async def _converse(self) -> None:
        """Read until the peer is done, or a deadline, or we are; then tell the applications."""
        negotiated = self._wire.tls.selected_alpn_protocol() if self._wire.tls else None
        try:
            self.protocol = self._http2() if negotiated == "h2" else self._http1()
        except OSError:  # getpeername: gone before we came to look
            return
        with trio.CancelScope() as self._reading:
            self._become(idle=True)
            self._conversing = True
            await self.protocol.initiate()
            await self._read()
        late = self._reading.cancelled_caught and not (self._leaving or self.line.closed)
        if late and self.protocol.head_begun:
            self._watch.heads_refused_total += 1
        self._conversing = False
        await self.protocol.handle(Closed())

    def _http1(self) -> Http1Protocol:
        write_now = self._write_now if self._wire.tls is None else None
        return Http1Protocol(
            *self._arguments(), line=self.line, watch=self._watch, write_now=write_now
        )

    def _http2(self) -> Http2Protocol:
        return Http2Protocol(
            *self._arguments(),
            apps=self._apps,
            line=self.line,
            patience=self._patience,
            watch=self._watch,
            give_up=self._give_up,
        )

    def _arguments(self) -> tuple[Any, ...]:
        """What Hypercorn's own protocols are made of, in their order."""
        family = self._socket.family
        return (
            self.app,
            self.config,
            self.context,
            self._apps,
            ConnectionState({}),  # ours has one entry for each request
            self._wire.tls is not None,
            parse_socket_addr(family, self._socket.getpeername()),
            parse_socket_addr(family, self._socket.getsockname()),
            self.protocol_send,
        )

    async def _read(self) -> None:
        while True:
            try:
                data = await self.stream.receive_some(READ)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            if not data:
                return
            if self._leaving:
                continue  # read and forget: unread bytes would turn our close into a reset
            self._start_head_clock()
            await self._hand_over(RawData(bytes(data)))

    async def _hand_over(self, event: Event) -> None:
        try:
            await self.protocol.handle(event)
        except H2ProtocolAssumedError as error:  # prior knowledge: HTTP/2 without TLS
            self.protocol = self._http2()
            await self.protocol.initiate()
            await self.protocol.handle(RawData(error.data))

    def _start_head_clock(self) -> None:
        """The deadline moves with the first byte only: a head that trickles in gains nothing."""
        if self._idle and self._head_begun_at == math.inf:
            self._head_begun_at = trio.current_time()
            self._reading.deadline = self._head_begun_at + self._limits.head_seconds

    def _become(self, *, idle: bool) -> None:
        if not self._leaving:
            self._idle = idle
            self._head_begun_at = math.inf
            idle_until = trio.current_time() + self._limits.idle_seconds
            self._reading.deadline = idle_until if idle else math.inf

    async def _hang_up(self) -> None:
        """Say that we are done, and give the peer a moment to read it and to hang up itself."""
        if not self._leaving:
            self._leaving = True
            with suppress(OSError):  # the peer was first
                self._socket.shutdown(socket.SHUT_WR)
            self._reading.deadline = trio.current_time() + self._limits.linger_seconds
        await self.protocol.handle(Closed())

    # Writing

    async def _write(self, data: bytes) -> None:
        """Write all of it, or end the connection; the applications are told before this returns."""
        await self._wire.write(data, whole=isinstance(self.protocol, Http2Protocol))
        if self.line.closed:
            self._reading.cancel()  # the reader need not wait to hear of it from the kernel
            await self.protocol.handle(Closed())

    def _write_now(self, data: bytes) -> bool:
        """All of it or nothing, and in the end as patiently as any other write."""
        written = self._wire.write_now(data)
        if self._wire.owed:
            self._apps.spawn(self._write, b"")
        return written

    async def _give_up(self) -> None:
        """The HTTP/2 peer grants no window to anybody."""
        self._wire.cut()
        await self.protocol.handle(Closed())
