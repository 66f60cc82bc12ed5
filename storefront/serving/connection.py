"""What an application may know about the connection its request came over.

Every request that is served carries one at `scope["state"]["connection"]`; a test client that calls
the application directly brings none. It is the only way to learn *why* `http.disconnect` came: a
browser that left and a browser that stopped reading look the same through ASGI.
"""

from __future__ import annotations

from dataclasses import dataclass


class Line:
    """The TCP connection below, as its requests see it. Several HTTP/2 requests share one."""

    __slots__ = ("blocked_bytes", "closed", "slow")

    def __init__(self) -> None:
        self.slow = False
        self.closed = False
        self.blocked_bytes = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionStatistics:
    """A connection at one moment."""

    http_version: str
    slow: bool
    closed: bool
    blocked_bytes: int


class Connection:
    """One request's view of its connection. The application reads; only serving writes.

    `http_version` is "1.0", "1.1" or "2".
    """

    __slots__ = ("_blocked_bytes", "_cut", "_line", "_slow", "http_version")

    def __init__(self, http_version: str, line: Line) -> None:
        self.http_version = http_version
        self._line = line
        self._slow = False
        self._cut = False
        self._blocked_bytes = 0

    def __repr__(self) -> str:
        state = "slow" if self.slow else "closed" if self.closed else "open"
        return f"<Connection HTTP/{self.http_version} {state}>"

    @property
    def slow(self) -> bool:
        """The answer was cut because a write outlasted its deadline."""
        return self._slow or self._line.slow

    @property
    def closed(self) -> bool:
        """Nothing written from now on arrives."""
        return self._cut or self._line.closed

    @property
    def blocked_bytes(self) -> int:
        """Bytes of the write in hand which wait for the browser to read or to grant window."""
        return self._blocked_bytes or self._line.blocked_bytes

    def statistics(self) -> ConnectionStatistics:
        return ConnectionStatistics(
            http_version=self.http_version,
            slow=self.slow,
            closed=self.closed,
            blocked_bytes=self.blocked_bytes,
        )

    def block(self, size: int) -> None:
        """For serving: `size` bytes wait for this request's own window."""
        self._blocked_bytes = size

    def cut(self, *, slow: bool) -> None:
        """For serving: this request's stream is over, the connection may live on."""
        self._cut = True
        self._slow = self._slow or slow
        self._blocked_bytes = 0
