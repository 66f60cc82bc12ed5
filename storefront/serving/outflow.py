"""Who may send on an HTTP/2 connection now, and how long the others wait.

In place of Hypercorn's buffers, which applications fill and one task empties as window comes. Here
whoever has data waits for its window itself, so that a stream without window holds exactly the
message its application is sending, and stops there.

    the stream's own window is spent  -> it waits alone;
                                         too long: the stream is reset
    the connection's window is spent  -> the one whose turn it is waits for all;
                                         too long: the connection is reset

Turns are taken in order, one slice each, so no stream is kept from its share by a busier one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import h2.connection
import trio

from storefront.errors import StorefrontError
from storefront.serving.connection import Connection
from storefront.serving.patience import SLICE, Patience


class WindowSpentError(StorefrontError):
    """The peer granted a stream too little for too long."""


class Outlet:
    """The sending side of one stream."""

    __slots__ = ("answered", "complete", "connection", "opened", "over", "stream_id")

    def __init__(self, stream_id: int, connection: Connection) -> None:
        self.stream_id = stream_id
        self.connection = connection
        self.opened = trio.Event()  # replaced for each wait
        self.complete = False  # the request has arrived in full
        self.answered = False  # the answer has been sent in full
        self.over = False

    def end(self) -> None:
        self.over = True
        self.opened.set()


async def take(lock: trio.Lock) -> None:
    """Acquire a lock; a free one without the checkpoint that Trio's own acquire is."""
    try:
        lock.acquire_nowait()
    except trio.WouldBlock:
        await lock.acquire()


class Outflow:
    """The windows of one connection."""

    def __init__(
        self,
        connection: h2.connection.H2Connection,
        patience: Patience,
        *,
        flush: Callable[[], Awaitable[None]],
        give_up: Callable[[], Awaitable[None]],
    ) -> None:
        self._connection = connection
        self._patience = patience
        self._flush = flush
        self._give_up = give_up
        self._turn = trio.Lock()
        self._opened = trio.Event()

    def granted(self) -> None:
        """The connection's window has grown, or there is no connection any more."""
        self._opened.set()

    async def send(self, outlet: Outlet, data: bytes) -> None:
        """Send a body's bytes as the windows allow.

        Raises:
            WindowSpentError: The stream's own window stayed spent; the caller resets the stream.
            h2.exceptions.ProtocolError: The stream or the connection ended meanwhile.
        """
        view = memoryview(data)
        for start in range(0, len(data), SLICE):
            await self._send_slice(outlet, view[start : start + SLICE])

    async def _send_slice(self, outlet: Outlet, piece: memoryview) -> None:
        left = self._patience.seconds
        while piece and not outlet.over:
            window = self._connection.local_flow_control_window(outlet.stream_id)
            if window <= 0 < self._connection.outbound_flow_control_window:
                outlet.opened = trio.Event()
                left -= await self._wait(outlet.opened, left, outlet, len(piece))
                if left <= 0:
                    raise WindowSpentError
            else:
                piece = await self._send_in_turn(outlet, piece)

    async def _send_in_turn(self, outlet: Outlet, piece: memoryview) -> memoryview:
        """Send until the slice or the stream's own window is spent; returns the slice's rest."""
        left = self._patience.seconds
        await take(self._turn)
        try:
            while piece and not outlet.over:
                if self._connection.outbound_flow_control_window <= 0:
                    self._opened = trio.Event()
                    left -= await self._wait(self._opened, left, outlet, len(piece))
                    if left <= 0:
                        await self._give_up()
                    continue
                window = self._connection.local_flow_control_window(outlet.stream_id)
                if window <= 0:
                    break
                self._connection.send_data(outlet.stream_id, bytes(piece[:window]))
                piece = piece[window:]
                await self._flush()
        finally:
            self._turn.release()
        return piece

    async def _wait(self, opened: trio.Event, left: float, outlet: Outlet, size: int) -> float:
        """Wait for window; returns the seconds it took, at least `left` when it did not come."""
        began = trio.current_time()
        outlet.connection.block(size)
        try:
            with self._patience.waiting(left) as scope:
                await opened.wait()
        finally:
            outlet.connection.block(0)
        return left if scope.cancelled_caught else trio.current_time() - began
