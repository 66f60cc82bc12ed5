"""Bytes to one browser: at once if the kernel takes them, patiently if not, in the end never.

A slice is shielded from the cancellation of the application that sends it, since half a frame would
spoil the connection for others; but it has a deadline, and `abort` ends it at once: closing the
socket wakes whoever waits on it.
"""

from __future__ import annotations

import os
import select
import socket
import struct
from contextlib import suppress

import trio

from storefront.serving.connection import Line
from storefront.serving.patience import SLICE, Patience
from storefront.serving.watch import ServingWatch

# Close with RST and forget what waits in the kernel: a peer that does not read would hold it for
# minutes.
RESET_ON_CLOSE = struct.pack("ii", 1, 0)

Stream = trio.SSLStream[trio.SocketStream] | trio.SocketStream


class Wire:
    """The sending side of one connection; `line` says what has become of it."""

    def __init__(self, stream: Stream, patience: Patience, watch: ServingWatch) -> None:
        self.line = Line()
        self.tls = stream if isinstance(stream, trio.SSLStream) else None
        transport = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
        self.socket = transport.socket
        self._stream = stream
        self._turn = trio.Lock()
        self._owed = b""  # of what was written at once: goes out before everything else
        self._patience = patience
        self._watch = watch

    async def write(self, data: bytes, *, whole: bool) -> None:
        """Write all of it, or close the line.

        Cancelled between two slices, half a message is out. What several streams share is finished
        all the same (`whole`); else the connection is reset, so that half an answer never looks
        whole.
        """
        if self.line.closed:
            return
        rest = memoryview(data)
        # Nobody is before us and the kernel has room: then this is one system call, without lock,
        # scope or scheduling. It halves the CPU of an event on a stream (about 100 to 50
        # microseconds, all of serving).
        if self._is_free():
            rest = self._write_now(rest)
            if not rest:
                return
        try:
            with trio.CancelScope(shield=whole):
                async with self._turn:
                    await self._write_patiently(memoryview(self._take_owed() + bytes(rest)))
        except trio.Cancelled:
            self.abort()
            raise

    def write_now(self, data: bytes) -> bool:
        """Write all of it without waiting, or nothing.

        What the kernel had no room for is `owed` afterwards, and for somebody to `write`, be it
        with no bytes of their own.
        """
        if not self._is_free():
            return False
        rest = self._write_now(memoryview(data))
        if self.line.closed or len(rest) == len(data):
            return False
        self._owed = bytes(rest)
        return True

    @property
    def owed(self) -> bool:
        """Whether half a message is out, and nobody is writing the other half."""
        return bool(self._owed)

    def _take_owed(self) -> bytes:
        owed, self._owed = self._owed, b""
        return owed

    def _is_free(self) -> bool:
        unhindered = not (self.line.closed or self._owed or self._turn.locked())
        return self.tls is None and unhindered

    def cut(self) -> None:
        """End the connection because its peer is too slow."""
        self._watch.slow_aborts_total += 1
        self.line.slow = True
        self.abort()

    def abort(self) -> None:
        """End the connection now: reset it, and wake every task that waits on it."""
        self.line.closed = True
        with suppress(OSError):  # closed already
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.socket.close()

    def _write_now(self, data: memoryview) -> memoryview:
        """What the kernel takes without waiting; returns the rest."""
        try:
            return data[os.write(self.socket.fileno(), data) :]
        except BlockingIOError:
            return data
        except OSError:  # the peer is gone
            self.line.closed = True
            return data[:0]

    async def _write_patiently(self, rest: memoryview) -> None:
        try:
            while rest and not self.line.closed:
                await trio.lowlevel.checkpoint_if_cancelled()
                self.line.blocked_bytes = len(rest)
                with self._patience.waiting(shield=True, counted=self._must_wait()) as scope:
                    await self._stream.send_all(rest[:SLICE])
                if scope.cancelled_caught:
                    self.cut()
                    return
                rest = rest[SLICE:]
                if self.tls is None:
                    rest = self._write_now(rest)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.line.closed = True
        finally:
            self.line.blocked_bytes = 0

    def _must_wait(self) -> bool:
        """Whether the kernel has no room. Without TLS that has just been tried."""
        if self.tls is None:
            return True
        poll = select.poll()
        poll.register(self.socket.fileno(), select.POLLOUT)
        return not poll.poll(0)
