"""One connection of somebody who asks for views, one question at a time; opened again where the
server closed it.

A server may close a connection that rests, or that has carried enough (RFC 9112, section 9.5). A
GET that met a connection closed in that very moment is asked once more on a new one (section
9.3.1), as browsers do; its clock goes on.
"""

from __future__ import annotations

import re
import select
import socket
from dataclasses import dataclass

from bench.measure.clock import now

READ = 256 * 1024
PATIENCE = 15_000_000_000  # nanoseconds for one answer; no service of ours may take so long
CONNECT_WITHIN = 5.0  # seconds

STATUS = re.compile(rb"^HTTP/1\.1 (\d{3})")
LENGTH = re.compile(rb"^content-length: (\d+)\r?$", re.MULTILINE | re.IGNORECASE)
CLOSES = re.compile(rb"^connection: close\r?$", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer, or that there was none (status 0)."""

    status: int
    body: bytes
    index: int
    asked: int


class Asker:
    """The connection, by whatever socket."""

    __slots__ = (
        "_again",
        "_asked",
        "_data",
        "_fresh",
        "_index",
        "_poll",
        "_request",
        "_sock",
        "_where",
    )

    def __init__(self, where: tuple[str, int], poll: select.epoll) -> None:
        self._where = where
        self._poll = poll
        self._index = -1
        self._asked = 0
        self._request = self._data = b""
        self._again = False
        self._fresh = True
        self._sock: socket.socket | None = None

    @property
    def busy(self) -> bool:
        return self._index >= 0

    @property
    def fd(self) -> int:
        return self._sock.fileno() if self._sock is not None else -1

    def overdue(self) -> bool:
        """Whether an answer is to be given up."""
        return self.busy and now() - self._asked > PATIENCE

    def ask(self, index: int, request: bytes) -> None:
        """Ask this question; the clock starts now."""
        self._index, self._asked, self._request = index, now(), request
        self._again = False
        self._send()

    def read(self) -> Answered | None:
        """What came, once it is all there."""
        assert self._sock is not None
        try:
            more = self._sock.recv(READ)
        except OSError:
            more = b""
        if not more:
            return self._closed()
        self._data += more
        head, found, body = self._data.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        # Every answer of ours has a length; one without would be taken for complete too early.
        if not found or length is None or len(body) < int(length[1]):
            return None
        if CLOSES.search(head):
            self.close()
        status = STATUS.match(head)
        return self._done(int(status[1]) if status is not None else 0, body)

    def give_up(self) -> Answered:
        """Stop waiting."""
        self.close()
        return self._done(0, b"")

    def close(self) -> None:
        """Harmless twice."""
        if self._sock is not None:
            self._poll.unregister(self._sock.fileno())
            self._sock.close()
            self._sock = None

    def _closed(self) -> Answered | None:
        met_closing = self.busy and not self._data and not self._fresh and not self._again
        self.close()
        if met_closing:
            self._again = True
            self._send()
            return None
        return self._done(0, b"") if self.busy else None

    def _send(self) -> None:
        self._data = b""
        self._fresh = self._sock is None
        if self._sock is None:
            self._sock = socket.create_connection(self._where, timeout=CONNECT_WITHIN)
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._poll.register(self._sock.fileno(), select.EPOLLIN)
        try:
            self._sock.sendall(self._request)
        except OSError:
            # Closed meanwhile: reading tells, and asks once more.
            return

    def _done(self, status: int, body: bytes) -> Answered:
        found = Answered(status, body, self._index, self._asked)
        self._index = -1
        return found
