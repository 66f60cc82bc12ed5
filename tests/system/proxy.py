"""A TCP proxy that stands between a process and its broker or store, and keeps back what it is told to.

    process ──up──> proxy ──up──> server
    process <─down─ proxy <─down─ server

It reads the protocol as far as needed to act on whole frames (AMQP 0-9-1) or whole replies and commands (RESP 2), so
that a process can be killed at a point that no clock could hit: its event is in the log and its acknowledgement is on
the way. What is kept back is forwarded by `release`, unless its connection ended before: then the server never sees
it, as with bytes that a dead machine had not sent. It is for tests that publish little: all units are remembered.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit, urlunsplit

import pamqp.frame
import trio
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from tests.system.servers.ports import LOOPBACK

READ = 65_536

Split = Callable[[bytearray], Iterator[bytes]]
"""Takes the whole units off the front of a buffer."""

Rule = Callable[[bytes], bool]


def nothing(_unit: bytes) -> bool:
    return False


def everything(_unit: bytes) -> bool:
    return True


class Flow:
    """One direction of one connection."""

    def __init__(self, sink: trio.SocketStream) -> None:
        self.sink = sink
        self.stopped = False
        self.kept: list[bytes] = []


class Direction:
    """One direction of all connections.

    Attributes:
        passed: the units that were forwarded, in order.
        withheld: the units that were not, released since or not.
    """

    def __init__(self, split: Split) -> None:
        self.passed: list[bytes] = []
        self.withheld: list[bytes] = []
        self._split = split
        self._stop_at: Rule = nothing
        self._flows: set[Flow] = set()

    def withhold_from(self, rule: Rule) -> None:
        """Keep back the first unit that the rule is true of, and all that follows it on its connection."""
        self._stop_at = rule

    async def release(self) -> None:
        """Forward what was kept back on connections that still are, and keep back nothing more."""
        self._stop_at = nothing
        for flow in tuple(self._flows):
            while flow.kept:
                await self._forward(flow, flow.kept.pop(0))
            flow.stopped = False

    async def carry(self, source: trio.SocketStream, sink: trio.SocketStream) -> None:
        """Carry one connection's bytes until it ends."""
        flow, buffer = Flow(sink), bytearray()
        self._flows.add(flow)
        try:
            while received := await source.receive_some(READ):
                buffer += received
                for unit in self._split(buffer):
                    await self._take(flow, unit)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # reset by a killed process: the same as its end
        finally:
            self._flows.remove(flow)

    async def _take(self, flow: Flow, unit: bytes) -> None:
        if flow.stopped or self._stop_at(unit):
            flow.stopped = True
            flow.kept.append(unit)
            self.withheld.append(unit)
        else:
            await self._forward(flow, unit)

    async def _forward(self, flow: Flow, unit: bytes) -> None:
        self.passed.append(unit)
        await flow.sink.send_all(unit)


class Proxy:
    """Listens on a port of its own for one server; made by `open_proxy`.

    Attributes:
        up: from the process to the server.
        down: from the server to the process.
        port: where the process connects to.
    """

    def __init__(self, server: int, split: Split) -> None:
        self.up, self.down = Direction(split), Direction(split)
        self.port = 0
        self._server = server
        self._silent = False

    def in_front_of(self, url: str) -> str:
        """The same URL by way of this proxy."""
        address = urlsplit(url)
        who = address.netloc.rpartition("@")
        return urlunsplit(address._replace(netloc=f"{who[0]}{who[1]}{LOOPBACK}:{self.port}"))

    def fall_silent(self) -> None:
        """As when the process's host is cut off: nothing passes either way, and nobody hears of an end."""
        self._silent = True
        self.up.withhold_from(everything)
        self.down.withhold_from(everything)

    async def serve(self, process: trio.SocketStream) -> None:
        """Carry one connection; who ends it on one side ends it on the other."""
        if self._silent:
            # A packet to a host that is not there: neither refused nor answered.
            await trio.sleep_forever()
        try:
            server = await trio.open_tcp_stream(LOOPBACK, self._server)
        except OSError:
            return
        async with server, trio.open_nursery() as nursery:

            async def one_way(direction: Direction, *ends: trio.SocketStream) -> None:
                await direction.carry(*ends)
                if self._silent:
                    await trio.sleep_forever()
                # What was kept back goes with the connection.
                nursery.cancel_scope.cancel()

            nursery.start_soon(one_way, self.up, process, server)
            nursery.start_soon(one_way, self.down, server, process)


@asynccontextmanager
async def open_proxy(server: int, split: Split) -> AsyncIterator[Proxy]:
    """A proxy in front of the server on this port of the loopback, until the block ends."""
    proxy = Proxy(server, split)
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host=LOOPBACK)
        proxy.port = listener.socket.getsockname()[1]
        nursery.start_soon(partial(trio.serve_listeners, proxy.serve, [listener]))
        yield proxy
        nursery.cancel_scope.cancel()


# AMQP 0-9-1, section 4.2. A frame: type, channel, size; the payload; one closing byte.
FRAME = struct.Struct(">BHI")
PREAMBLE = b"AMQP"


def amqp_frames(buffer: bytearray) -> Iterator[bytes]:
    """Whole frames, the client's greeting among them."""
    while len(buffer) >= FRAME.size:
        greeting = buffer.startswith(PREAMBLE)
        length = 8 if greeting else FRAME.size + FRAME.unpack_from(buffer)[2] + 1
        if len(buffer) < length:
            return
        yield bytes(buffer[:length])
        del buffer[:length]


def is_ack(frame: bytes) -> bool:
    return isinstance(pamqp.frame.unmarshal(frame)[2], Basic.Ack)


@dataclass(frozen=True, slots=True)
class Handed:
    """A message as the broker handed it over, by the name its publisher gave it."""

    message_id: str
    redelivered: bool


def handed_over(frames: list[bytes]) -> list[Handed]:
    """The deliveries among a broker's frames, in order."""
    found, redelivered = [], {}
    for frame in frames:
        _, channel, meaning = pamqp.frame.unmarshal(frame)
        if isinstance(meaning, Basic.Deliver):
            redelivered[channel] = bool(meaning.redelivered)
        elif isinstance(meaning, ContentHeader) and channel in redelivered:
            found.append(Handed(meaning.properties.message_id, redelivered.pop(channel)))
    return found


def resp_units(buffer: bytearray) -> Iterator[bytes]:
    """Whole replies, or whole commands, of RESP 2."""
    while (end := _resp_end(buffer, 0)) is not None:
        yield bytes(buffer[:end])
        del buffer[:end]


def _resp_end(buffer: bytearray, start: int) -> int | None:
    """Where the value that begins at `start` ends; None where that is not there yet."""
    line_end = buffer.find(b"\r\n", start)
    if line_end < 0:
        return None
    kind, number, end = buffer[start : start + 1], buffer[start + 1 : line_end], line_end + 2
    if kind == b"$" and int(number) >= 0:
        end += int(number) + 2
        return end if end <= len(buffer) else None
    if kind == b"*":
        for _ in range(int(number)):
            after = _resp_end(buffer, end)
            if after is None:
                return None
            end = after
    return end


def is_announcement(unit: bytes) -> bool:
    """Whether this is an event that Redis tells a follower of; a canary is not."""
    return unit.startswith(b"*3\r\n$7\r\nmessage\r\n") and b"canary" not in unit
