"""A turnstile before a simulated service: what goes through it may be spoiled on the wire, in ways no server would.

One request per connection of its own, so that a fault ends with the connection it happened on. Real sockets.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import trio

HEAD_END = b"\r\n\r\n"
READ = 65_536


@dataclass(frozen=True)
class Visitor:
    """One question on its way: the caller, and the service that would have answered it well."""

    stream: trio.SocketStream
    head: bytes
    upstream: tuple[str, int]

    async def answer(self) -> bytes:
        """What the service itself says, head and body."""
        request, _, rest = self.head.partition(b"\r\n")
        said = bytearray()
        async with await trio.open_tcp_stream(*self.upstream) as service:
            await service.send_all(request + b"\r\nconnection: close\r\n" + rest)
            async for chunk in service:
                said += chunk
        return bytes(said)


Fault = Callable[[Visitor], Awaitable[None]]


def response(
    body: bytes, *, status: str = "200 OK", kind: str = "application/json", more: str = ""
) -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{more}connection: close\r\n\r\n"
    return head.encode() + body


async def well(visitor: Visitor) -> None:
    await visitor.stream.send_all(await visitor.answer())


async def never(_visitor: Visitor) -> None:
    await trio.sleep_forever()


async def reset(visitor: Visitor) -> None:
    visitor.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def half_a_body(visitor: Visitor) -> None:
    head, end, body = (await visitor.answer()).partition(HEAD_END)
    await visitor.stream.send_all(head + end + body[: len(body) // 2])


async def drip(visitor: Visitor) -> None:
    for byte in await visitor.answer():
        await visitor.stream.send_all(bytes([byte]))
        await trio.sleep(0.1)


async def fifty_megabytes(visitor: Visitor) -> None:
    await visitor.stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n[")
    for _ in range(50 * 16):
        await visitor.stream.send_all(b"0," * 32_768)


def late(seconds: float) -> Fault:
    async def answer(visitor: Visitor) -> None:
        await trio.sleep(seconds)
        await well(visitor)

    return answer


def says(said: bytes) -> Fault:
    async def answer(visitor: Visitor) -> None:
        await visitor.stream.send_all(said)

    return answer


def says_instead(changes: Callable[[bytes], bytes]) -> Fault:
    """The right answer with other words in its body, of the right length again."""

    async def answer(visitor: Visitor) -> None:
        head, _, body = (await visitor.answer()).partition(HEAD_END)
        status = head.split(b"\r\n", 1)[0].split(b" ", 1)[1].decode()
        await visitor.stream.send_all(response(changes(body), status=status))

    return answer


@dataclass
class Turnstile:
    """An address of its own before one service. `fault` spoils; closed, it refuses.

    Attributes:
        heard: when each question arrived, on Trio's clock.
        answered: when each was answered in full.
    """

    url: str
    fault: Fault = well
    heard: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._port = 0
        self._bind()
        self._scope: trio.CancelScope | None = None
        self._closed = trio.Event()
        there = urlsplit(self.url)
        self._upstream = (there.hostname or "", there.port or 0)

    def _bind(self) -> None:
        # Bound and not listening: whoever comes is refused, and the port is nobody else's meanwhile.
        self._sock = socket.socket()
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._sock.bind(("127.0.0.1", self._port))
        self._port = self._sock.getsockname()[1]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def run(self, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
        """Open until it is closed or cancelled."""
        if self._sock.fileno() < 0:
            self._bind()
        self._sock.listen(128)
        self._closed = trio.Event()
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(self._sock))
        try:
            with trio.CancelScope() as self._scope:
                task_status.started()
                await trio.serve_listeners(self._pass, [listener])
        finally:
            listener.socket.close()
            if self._scope is not None and self._scope.cancel_called:
                self._bind()
            self._closed.set()

    async def close(self) -> None:
        """Refuse everybody from now on, and break off with those who are inside."""
        if self._scope is not None:
            self._scope.cancel()
            await self._closed.wait()
            self._scope = None

    def give_up(self) -> None:
        """Give the address back."""
        self._sock.close()

    async def _pass(self, stream: trio.SocketStream) -> None:
        head = b""
        try:
            while HEAD_END not in head:
                chunk = await stream.receive_some(READ)
                if not chunk:
                    return
                head += chunk
            self.heard.append(trio.current_time())
            await self.fault(Visitor(stream, head, self._upstream))
            self.answered.append(trio.current_time())
        except (trio.BrokenResourceError, OSError):
            return  # who asked has left
        finally:
            stream.socket.close()
