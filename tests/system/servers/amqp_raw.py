"""AMQP 0-9-1 by hand: content headers go out and come in as the very bytes, through no client's eyes.

Only for what a client library would read or write otherwise than it is: one connection per call, methods by pamqp,
content by hand, the specification's section 4.2 for the frames.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit

from pamqp import commands, frame
from pamqp.header import ProtocolHeader

METHOD, HEADER, BODY = 1, 2, 3
PATIENCE = 10.0  # seconds for one answer


def short(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return bytes([len(raw)]) + raw


def entry(name: str, tag: bytes, value: bytes) -> bytes:
    """One field of a table."""
    return short(name) + tag + value


def sized(raw: bytes) -> bytes:
    """A long string, a table or an array: its length, then itself."""
    return struct.pack(">I", len(raw)) + raw


class RawAmqp:
    """A connection with one channel."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    def publish(self, queue: str, flags: int, properties: bytes, body: bytes = b"{}") -> None:
        """Publish with this property list (flags as in section 4.2.6.1); returns when it is in the queue."""
        self._send(commands.Confirm.Select())
        self._until(METHOD)
        content = struct.pack(">HHQH", 60, 0, len(body), flags) + properties
        self._send(commands.Basic.Publish(routing_key=queue))
        for kind, payload in ((HEADER, content), (BODY, body)):
            self._socket.sendall(struct.pack(">BHI", kind, 1, len(payload)) + payload + b"\xce")
        self._until(METHOD)

    def get(self, queue: str) -> tuple[int, bytes]:
        """Take a message that is there: the flags and the property list of its header."""
        self._send(commands.Basic.Get(queue=queue, no_ack=True))
        payload = self._until(HEADER)
        (flags,) = struct.unpack(">H", payload[12:14])
        return flags, payload[14:]

    def shake_hands(self, user: str, password: str, vhost: str) -> None:
        self._socket.sendall(ProtocolHeader().marshal())
        self._until(METHOD)
        self._send(commands.Connection.StartOk(response=f"\0{user}\0{password}"), 0)
        self._until(METHOD)
        self._send(commands.Connection.TuneOk(channel_max=8, frame_max=131072), 0)
        self._send(commands.Connection.Open(virtual_host=vhost), 0)
        self._until(METHOD)
        self._send(commands.Channel.Open())
        self._until(METHOD)

    def _send(self, method: frame.FrameTypes, channel: int = 1) -> None:
        self._socket.sendall(frame.marshal(method, channel))

    def _until(self, wanted: int) -> bytes:
        while True:
            kind, _, size = struct.unpack(">BHI", self._read(7))
            payload = self._read(size + 1)[:-1]
            if kind == wanted:
                return payload

    def _read(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            more = self._socket.recv(count - len(found))
            if not more:
                raise ConnectionResetError("the broker hung up")
            found += more
        return found


@contextmanager
def open_raw(url: str) -> Iterator[RawAmqp]:
    """A connection by hand; it is cut at the end, which RabbitMQ notes and minds not."""
    to = urlsplit(url)
    with socket.create_connection((to.hostname, to.port), timeout=PATIENCE) as connected:
        raw = RawAmqp(connected)
        raw.shake_hands(to.username or "", to.password or "", unquote(to.path[1:]) or "/")
        yield raw
