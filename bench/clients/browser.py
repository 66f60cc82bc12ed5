"""One stream, over all its connections: what it was told, and how far it has come."""

from __future__ import annotations

import socket
from collections import Counter

from bench.clients.wire import Ear
from bench.measure.sequence import Sequence


class Browser:
    """One stream, over all its connections."""

    __slots__ = (
        "begun", "bytes", "controls", "cursor", "ear", "ended", "heard", "number", "opened",
        "pings", "request", "rest", "sock", "wants_first",
    )  # fmt: skip

    def __init__(self, number: int, request: bytes) -> None:
        self.number = number
        self.request = request
        self.heard = Sequence()
        self.cursor: bytes | None = None
        self.bytes = 0
        self.pings = 0
        self.controls: Counter[str] = Counter()
        self.sock: socket.socket | None = None
        self.forget_connection()

    def forget_connection(self) -> None:
        self.ear: Ear | None = None
        self.rest = b""
        self.begun = 0
        self.opened = 0
        self.ended = ""
        self.wants_first = True

    def asks(self) -> bytes:
        """The request; of one who comes back, with the cursor."""
        if self.cursor is None:
            return self.request
        return self.request[:-2] + b"Last-Event-ID: %s\r\n\r\n" % self.cursor
