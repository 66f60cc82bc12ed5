"""Browsers as a server meets them: one that reads, one that reads slowly, one that never reads, one that vanishes.

`SseClient` is a bare socket: the receive buffer, the pace of reading and the way of leaving are the test's to choose,
and reading happens only inside its methods. `open_httpx_stream` is somebody else's client, for a second opinion.
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Self
from urllib.parse import urlsplit

import httpx
import trio
from httpx_sse import EventSource

from tests.system.servers.sse_wire import (
    ChunkedBody,
    LengthBody,
    SseEvent,
    SseParser,
    body_of,
    parse_head,
)

READ = 65_536  # bytes asked for at once by a client that is in no hurry
SLICES = 20  # reads a second of one that is paced


class SseClient:
    """One request and its stream, over HTTP/1.1 on a socket of its own.

    Attributes:
        status: of the response; 0 until `read_head`.
        headers: of the response, by lower-case name.
        raw: every byte received, the head included.
        sse: events, comments, retry and cursor so far.
        ended: None while it lasts; "clean" after the body's own end, "cut" when the connection went before it.
    """

    def __init__(self, stream: trio.abc.Stream, sock: trio.socket.SocketType) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.raw = bytearray()
        self.sse = SseParser()
        self.ended: str | None = None
        self._stream = stream
        self._socket = sock
        self._body: ChunkedBody | LengthBody | None = None
        self._given = 0  # events that read_event has passed

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        method: str = "GET",
        receive_buffer: int | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> Self:
        """Connect and send the request; nothing is read yet, and nothing will be unless asked for.

        Args:
            url: with the query, if any.
            headers: besides Host and Accept.
            method: GET, unless the test is about another.
            receive_buffer: SO_RCVBUF in bytes (the kernel doubles it); small means the server's writes block early.
            tls: what to trust, for https.
        """
        address = urlsplit(url)
        sock = trio.socket.socket()
        try:
            if receive_buffer is not None:
                # Before connecting: the window is agreed on in the handshake.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            await sock.connect((address.hostname, address.port or 80))
            stream: trio.abc.Stream = trio.SocketStream(sock)
            if tls is not None:
                stream = trio.SSLStream(stream, tls, server_hostname=address.hostname)
            client = cls(stream, sock)
            await stream.send_all(request_head(method, url, headers or {}))
        except BaseException:
            sock.close()
            raise
        return client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.vanish()

    async def read_head(self, most: int = READ) -> int:
        """Read, at most so many bytes at once, until the response's head is there; its status."""
        while b"\r\n\r\n" not in self.raw:
            if not await self._receive(most):
                raise EOFError(f"closed after {bytes(self.raw)!r}")
        head, _, rest = bytes(self.raw).partition(b"\r\n\r\n")
        self.status, self.headers = parse_head(head)
        self._body = body_of(self.status, self.headers)
        self._understand(rest)
        return self.status

    async def read_event(self, kind: str | None = None) -> SseEvent:
        """The next event that no earlier call gave out, or the next of this type (the others are passed over).

        Raises:
            EOFError: the stream ended before.
        """
        while True:
            while self._given < len(self.sse.events):
                event = self.sse.events[self._given]
                self._given += 1
                if kind in {None, event.type}:
                    return event
            if self.ended:
                raise EOFError(f"the stream ended ({self.ended}) before the event")
            await self.read_some()

    async def read_some(self, most: int = READ) -> bool:
        """One read; False when the stream has ended."""
        if self._body is None:
            await self.read_head(most)
            return self.ended is None
        if self.ended is None and (received := await self._receive(most)):
            self._understand(received)
        return self.ended is None

    async def read_to_end(self, *, kib_per_second: float | None = None) -> None:
        """Read until the stream ends, in equal slices where a pace is given. The caller holds the clock."""
        most = READ if kib_per_second is None else max(1, int(kib_per_second * 1024 / SLICES))
        while await self.read_some(most):
            if kib_per_second is not None:
                await trio.sleep(1 / SLICES)

    async def aclose(self) -> None:
        """Leave as a browser does: the connection is closed in order (FIN)."""
        await self._stream.aclose()

    def reset(self) -> None:
        """Leave with a reset (RST), as a crashed browser's kernel does."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def vanish(self) -> None:
        """Close without waiting for anything; harmless twice."""
        self._socket.close()

    async def _receive(self, most: int) -> bytes:
        try:
            received = bytes(await self._stream.receive_some(most))
        except trio.BrokenResourceError:
            received = b""
        if not received:
            self.ended = self.ended or self._ending()
        self.raw += received
        return received

    def _ending(self) -> str:
        until_closed = isinstance(self._body, LengthBody) and self._body.length is None
        return "clean" if until_closed else "cut"

    def _understand(self, received: bytes) -> None:
        if self._body is not None:
            self.sse.feed(self._body.feed(received), trio.current_time())
            if self._body.complete:
                self.ended = "clean"


def request_head(method: str, url: str, headers: Mapping[str, str]) -> bytes:
    """The bytes of a request without a body."""
    address = urlsplit(url)
    target = (address.path or "/") + (f"?{address.query}" if address.query else "")
    fields = {"Host": address.netloc, "Accept": "text/event-stream", **headers}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


@asynccontextmanager
async def open_httpx_stream(url: str, **headers: str) -> AsyncIterator[EventSource]:
    """The same through httpx and httpx-sse; iterate over its `aiter_sse()` inside the block."""
    async with (
        httpx.AsyncClient(timeout=None, trust_env=False) as client,
        client.stream("GET", url, headers={"Accept": "text/event-stream", **headers}) as response,
    ):
        yield EventSource(response)
