"""Publishing to a peer: each message is a POST on one connection that stays open.

Of the answer only the header `at` is read: when the peer had the message in hand, on the clock of
all of us.
"""

from __future__ import annotations

import re
import socket
from array import array
from collections.abc import Iterator
from contextlib import contextmanager

from bench.measure.clock import now

PATIENCE = 10.0
READ = 64 * 1024
AT = re.compile(rb"^at: (\d+)\r$", re.MULTILINE | re.IGNORECASE)
LENGTH = re.compile(rb"^content-length: (\d+)\r$", re.MULTILINE | re.IGNORECASE)


class Posts:
    """The connection. Requests are pipelined: the next does not wait for the last one's answer."""

    def __init__(self, connected: socket.socket, path: str) -> None:
        self._connected = connected
        self._path = path.encode()
        self._rest = b""
        self._unsent = b""
        self.confirmed = 0
        self.refused = 0
        self.confirmed_at = array("q")
        self.in_hand = array("q")
        connected.setblocking(False)

    def fileno(self) -> int:
        return self._connected.fileno()

    @property
    def has_unsent(self) -> bool:
        return bool(self._unsent)

    def request(self, body: bytes) -> bytes:
        return (
            b"POST %s HTTP/1.1\r\nHost: bench\r\nContent-Type: text/plain\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (self._path, len(body), body)
        )

    def send(self, data: bytes) -> None:
        """Send what the socket takes, and the rest later."""
        self._unsent += data
        if not self._unsent:
            return
        try:
            taken = self._connected.send(self._unsent)
        except BlockingIOError:
            return
        self._unsent = self._unsent[taken:]

    def hear(self) -> None:
        """Read the answers. Each has a length; nginx's, uvicorn's and Node's do."""
        try:
            data = self._rest + self._connected.recv(READ)
        except BlockingIOError:
            return
        while (end := data.find(b"\r\n\r\n")) >= 0:
            head = data[: end + 2]
            length = LENGTH.search(head)
            whole = end + 4 + (int(length[1]) if length is not None else 0)
            if len(data) < whole:
                break
            data = data[whole:]
            self.confirmed += 1
            self.confirmed_at.append(now())
            at = AT.search(head)
            self.in_hand.append(int(at[1]) if at is not None else 0)
            self.refused += not head.split(b" ", 2)[1].startswith(b"2")
        self._rest = data


@contextmanager
def open_posts(host: str, port: int, path: str) -> Iterator[Posts]:
    """A connection to a peer."""
    with socket.create_connection((host, port), timeout=PATIENCE) as connected:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield Posts(connected, path)
