"""Publishing to RabbitMQ by hand, with confirms: microseconds per message, where a client library
takes a fifth of a millisecond and would be what the bench measures.

Content frames are AMQP 0-9-1, section 4.2; properties as Wolverine writes them (contracts.md,
section 4.2).
"""

from __future__ import annotations

import socket
import struct
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit

from pamqp import commands, frame

from bench.load import messages
from bench.measure.clock import now
from tests.system.servers.amqp_raw import RawAmqp, entry, short, sized

PATIENCE = 10.0  # seconds to connect
READ = 64 * 1024

METHOD, HEADER, BODY, END = 1, 2, 3, b"\xce"
BASIC = 60
ACK, NACK, RETURN = 80, 120, 50

# content type, headers, delivery mode, message id, type: in this order, by the bits of section
# 4.2.6.1.
FLAGS = 0x8000 | 0x2000 | 0x1000 | 0x0080 | 0x0020
PERSISTENT = b"\x02"


class PublishError(Exception):
    """The broker refused, or closed."""


class Line(RawAmqp):
    """One connection with confirms, one queue."""

    def __init__(self, connected: socket.socket, queue: str) -> None:
        super().__init__(connected)
        self._connected = connected
        self._queue = queue
        self._rest = b""
        self._unsent = b""
        self.confirmed = 0
        self.refused = 0
        self.confirmed_at = array("q")
        self._properties = _properties()
        self._method = frame.marshal(commands.Basic.Publish(routing_key=queue, mandatory=True), 1)

    def begin(self) -> None:
        """Confirms from here on; nothing blocks any more."""
        self._send(commands.Confirm.Select())
        self._until(METHOD)
        self._connected.setblocking(False)

    def fileno(self) -> int:
        return self._connected.fileno()

    @property
    def has_unsent(self) -> bool:
        return bool(self._unsent)

    def message(self, run: str, index: int, body: bytes) -> bytes:
        """A message as it travels."""
        before, after = self._properties
        header = b"%s%s%s" % (before, short(messages.message_id(run, index)), after)
        content = struct.pack(">HHQH", BASIC, 0, len(body), FLAGS) + header
        return b"%s%s%s" % (self._method, framed(HEADER, content), framed(BODY, body))

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
        """Read what the broker confirmed.

        Raises:
            PublishError: it closed.
        """
        try:
            data = self._connected.recv(READ)
        except BlockingIOError:
            return
        if not data:
            raise PublishError("the broker hung up")
        data = self._rest + data
        at, moment = 0, now()
        while len(data) - at >= 8:
            kind, _, size = struct.unpack_from(">BHI", data, at)
            if len(data) - at < size + 8:
                break
            if kind == METHOD:
                self._method_frame(data[at + 7 : at + 7 + size], moment)
            at += size + 8
        self._rest = data[at:]

    def _method_frame(self, payload: bytes, moment: int) -> None:
        group, method = struct.unpack_from(">HH", payload)
        if group == BASIC and method in {ACK, NACK}:
            tag, multiple = struct.unpack_from(">QB", payload, 4)
            many = tag - self.confirmed if multiple & 1 else 1
            self.refused += many if method == NACK else 0
            self.confirmed += many
            self.confirmed_at.extend([moment] * many)
        elif group == BASIC and method == RETURN:
            self.refused += 1
        elif group != BASIC:
            raise PublishError(f"the broker said {group}.{method}: {payload[4:80]!r}")


def framed(kind: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, 1, len(payload)) + payload + END


def _properties() -> tuple[bytes, bytes]:
    """The property list before and after the message id."""
    table = b"".join(
        entry(name, b"S", sized(value.encode()))
        for name, value in {
            "source": "Shopping.Api",
            "sent-at": "2026-02-17 21:58:44:123456 Z",
            "accepted-content-types": "application/json",
            "attempts": "0",
            "wolverine-protocol-version": "1.0",
        }.items()
    )
    before = short("application/json") + sized(table) + PERSISTENT
    return before, short(messages.KIND)


@contextmanager
def open_line(url: str, queue: str) -> Iterator[Line]:
    """A connection; cut at the end, which RabbitMQ notes and minds not."""
    to = urlsplit(url)
    with socket.create_connection((to.hostname, to.port), timeout=PATIENCE) as connected:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line = Line(connected, queue)
        line.shake_hands(to.username or "", to.password or "", unquote(to.path[1:]) or "/")
        line.begin()
        yield line
