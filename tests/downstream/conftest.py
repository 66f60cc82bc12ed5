"""A neighbouring service on a real socket of the loopback, doing as badly as a test wants.

Real sockets, so the real clock: every budget is short, and every wait has a bound above it.
"""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio

from storefront.downstream.guard import Guard, Policy
from storefront.downstream.http import HttpService, open_http

Answer = Callable[[trio.SocketStream], Awaitable[None]]


def halfway(low: float, high: float) -> float:
    """Chance, when it is nobody's business in a test."""
    return (low + high) / 2


def guarding(service: str = "catalog", *, uniform=halfway, **policy) -> Guard:
    """A guard that is as patient with one attempt as with all, unless the test says otherwise."""
    patient = policy.get("budget", 5.0)
    return Guard(
        service, Policy(**{"budget": patient, "attempt": patient, **policy}), uniform=uniform
    )


def response(
    body: bytes,
    *,
    status: str = "200 OK",
    kind: str | None = "application/json",
    extra: str = "connection: close\r\n",
) -> bytes:
    """An answer to the byte; by default the last one on its connection."""
    said = f"content-type: {kind}\r\n" if kind is not None else ""
    return f"HTTP/1.1 {status}\r\n{said}content-length: {len(body)}\r\n{extra}\r\n".encode() + body


def saying(*pieces: bytes, every: float = 0.0) -> Answer:
    """Say these pieces, one after the other, then nothing more on this connection."""

    async def say(stream: trio.SocketStream) -> None:
        for piece in pieces:
            await stream.send_all(piece)
            await trio.sleep(every)

    return say


async def never(_stream: trio.SocketStream) -> None:
    await trio.sleep_forever()


@dataclass
class Neighbour:
    """A service: the requests it heard, and how many connections are open and were opened."""

    port: int
    answer: Answer
    heard: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    opened: int = 0
    open: int = 0
    stays: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def targets(self) -> list[str]:
        return [head.split(" ")[1] for head in self.heard]

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection: answer a request, and another where `stays`."""
        self.opened += 1
        self.open += 1
        try:
            while head := await self._head(stream):
                self.heard.append(head)
                await self.answer(stream)
                if not self.stays:
                    break
        except trio.BrokenResourceError:
            pass
        finally:
            self.open -= 1
            await trio.aclose_forcefully(stream)

    async def _head(self, stream: trio.SocketStream) -> str:
        """The next request's head; "" at the end. Its body goes to `bodies`."""
        said, length = b"", 0
        while b"\r\n\r\n" not in said or len(said) < said.index(b"\r\n\r\n") + 4 + length:
            piece = await stream.receive_some()
            if not piece:
                return ""
            said += piece
            if found := re.search(rb"\r\ncontent-length: (\d+)\r\n", said, re.IGNORECASE):
                length = int(found[1])
        head, _, body = said.partition(b"\r\n\r\n")
        self.bodies.append(body)
        return f"{head.decode('latin-1')}\r\n\r\n"


@asynccontextmanager
async def neighbour(answer: Answer) -> AsyncIterator[Neighbour]:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    made = Neighbour(listeners[0].socket.getsockname()[1], answer)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, made.serve, listeners)
        yield made
        nursery.cancel_scope.cancel()


@pytest.fixture
async def there() -> AsyncIterator[Neighbour]:
    """A neighbour who never answers, until a test says otherwise."""
    async with neighbour(never) as made:
        yield made


@pytest.fixture
async def service(there) -> AsyncIterator[HttpService]:
    # How long connecting may take has tests of its own; on a busy machine 150 ms may be the neighbours' fault.
    async with open_http("shopping", there.url, connect_timeout=10) as opened:
        yield opened


@pytest.fixture
def nobody() -> str:
    """A URL where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
    return f"http://127.0.0.1:{port}"
