"""What an application may know about the connection its request came over.

Every request that is served carries one at `scope["state"]["connection"]`; a test client that calls
the application directly brings none. It is the only way to learn *why* `http.disconnect` came: a
browser that left and a browser that stopped reading look the same through ASGI. And it is the short
way for an answer that lasts: ASGI's `send` and `receive` want a task of their own for each, which
sleeps for hours, is woken for every event, and passes ten layers to come to one system call.
"""

from __future__ import annotations

from collections.abc import Callable
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
    """One request's view of its connection.

    Attributes:
        http_version: "1.0", "1.1" or "2".
        at_once: writes a piece of the answer's body if that needs no waiting, and says whether it
            did; if not, nothing was written, and ASGI's `send` is the way. What is sent either way
            arrives in the order of the calls. None where no piece ever goes out so: then, as with
            TLS and HTTP/2, a write belongs to more than this request.
    """

    __slots__ = (
        "_blocked_bytes",
        "_cut",
        "_left",
        "_line",
        "_slow",
        "_when_left",
        "at_once",
        "http_version",
    )

    def __init__(
        self, http_version: str, line: Line, *, at_once: Callable[[bytes], bool] | None = None
    ) -> None:
        self.http_version = http_version
        self.at_once = at_once
        self._line = line
        self._left = False
        self._when_left: Callable[[], object] = bool
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

    def when_left(self, call: Callable[[], object]) -> None:
        """Have this called, once and without waiting, when `http.disconnect` would come.

        At once if it has come already. There is one to be called: the last who asked.
        """
        self._when_left = call
        if self._left:
            call()

    def leave(self) -> None:
        """For serving: the browser has left, or the answer is over."""
        if not self._left:
            self._left = True
            self._when_left()
            # They lead back here, by way of the application and of the protocol.
            self._when_left, self.at_once = bool, None

    def block(self, size: int) -> None:
        """For serving: `size` bytes wait for this request's own window."""
        self._blocked_bytes = size

    def cut(self, *, slow: bool) -> None:
        """For serving: this request's stream is over, the connection may live on."""
        self._cut = True
        self._slow = self._slow or slow
        self._blocked_bytes = 0
