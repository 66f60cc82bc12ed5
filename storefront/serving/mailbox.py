"""What a client sent for one request, on its way to the application.

Hypercorn's own queue holds ten messages and makes the connection's reader wait for room: an
application that does not read its body keeps the reader from seeing that the client has left, and
`http.disconnect`, an eleventh message, waits for the application that waits for it. Here body bytes
join into one message, and disconnect is a state, not a message: it never waits, is never queued
behind anything, and stays.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio
from hypercorn.typing import ASGIReceiveEvent

# Unread body bytes after which an HTTP/1.1 reader waits. An HTTP/2 peer never gets so far: its
# window, which grows only as the application reads, is 65,535 bytes.
CAPACITY = 64 * 1024


async def _nobody_counts(_size: int) -> None:
    """HTTP/1.1 has no window to give back."""


def _nobody_listens() -> None:
    """A request that a test made by hand."""


class Mailbox:
    """One writer, the connection; one reader, the application.

    Args:
        consumed: told the bytes that the application has read.
        left: called when `http.disconnect` begins to be what the application hears.
    """

    def __init__(
        self,
        consumed: Callable[[int], Awaitable[None]] = _nobody_counts,
        *,
        left: Callable[[], None] = _nobody_listens,
    ) -> None:
        self._consumed = consumed
        self._left = left
        self._body = bytearray()
        self._complete = False
        self._told = False  # the application knows that the body is complete
        self._closed = False
        self._changed = trio.Event()

    async def put(self, message: ASGIReceiveEvent) -> None:
        """Take what Hypercorn has for the application; only the bytes of a body wait for room."""
        if message["type"] != "http.request":
            await self.close()
            return
        body = message["body"]
        if self._closed:
            if body:
                await self._consumed(len(body))
            return
        self._body += body
        self._complete = not message["more_body"]
        self._change()
        while len(self._body) > CAPACITY and not self._closed:
            await self._changed.wait()

    async def close(self) -> None:
        """The client has left, or the application has: nobody waits for the other any more."""
        self._closed = True
        self._left()
        unread = len(self._body)
        self._body.clear()
        self._change()
        if unread:
            await self._consumed(unread)

    async def receive(self) -> ASGIReceiveEvent:
        """ASGI's receive: the body as far as it is there, or `http.disconnect`, then and after."""
        await trio.lowlevel.checkpoint()
        while not (self._closed or self._body or (self._complete and not self._told)):
            await self._changed.wait()
        if self._closed:
            return {"type": "http.disconnect"}
        body = bytes(self._body)
        self._body.clear()
        self._told = self._complete
        self._change()
        if body:
            await self._consumed(len(body))
        return {"type": "http.request", "body": body, "more_body": not self._told}

    def _change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
