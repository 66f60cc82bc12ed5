"""Just enough of HTTP/1.1 and Server-Sent Events: PURE, and a dictionary look-up where the bytes
were seen before.

A broadcast puts the same bytes on a thousand sockets. What bytes mean is therefore worked out once,
from a clean start (between two chunks and between two frames) to a clean end, and remembered. What
is left over waits, undecoded, for the rest of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

NUMBER = re.compile(rb'"itemCount":(\d+)')
MODE = re.compile(rb'"mode":"(\w+)"')

FRAME_END = b"\n\n"
HEAD_END = b"\r\n\r\n"
# What is remembered; a crowd of customers has each its own bytes, and remembering them would only
# cost memory.
MOST_REMEMBERED = 4096


class WireError(Exception):
    """The server said something that is no HTTP/1.1 response with an event stream."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What some bytes said.

    Attributes:
        numbers: of the events, in order of arrival.
        cursor: the last id; None where there was none.
        pings: comments.
        controls: the names of control frames; `stream` with its mode as "stream:resumed".
        rest: how many bytes at the end are not understood yet.
        finished: the last chunk was among them.
    """

    numbers: tuple[int, ...]
    cursor: bytes | None
    pings: int
    controls: tuple[str, ...]
    rest: int
    finished: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    """A response's head."""

    status: int
    chunked: bool
    size: int  # bytes, with its empty line


def read_head(data: bytes) -> Head | None:
    """The head at the beginning of these bytes; None while it is not all there.

    Raises:
        WireError: it is none.
    """
    end = data.find(HEAD_END)
    if end < 0:
        return None
    head = data[:end].lower()
    first, _, _ = head.partition(b"\r\n")
    words = first.split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"http/1.") or not words[1].isdigit():
        raise WireError(f"no HTTP/1.1 response: {data[:80]!r}")
    return Head(int(words[1]), b"transfer-encoding: chunked" in head, end + len(HEAD_END))


class Ear:
    """Understands the bodies of one kind of connection, and remembers what it has understood."""

    def __init__(self, *, chunked: bool) -> None:
        self._chunked = chunked
        self._known: dict[bytes, Heard] = {}

    def hear(self, data: bytes) -> Heard:
        """What these bytes say, which begin where the last ones were understood to."""
        known = self._known.get(data)
        if known is None:
            known = _chunks(data) if self._chunked else _plain(data)
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[data] = known
        return known


def _plain(data: bytes) -> Heard:
    end = data.rfind(FRAME_END)
    end = 0 if end < 0 else end + len(FRAME_END)
    return _frames(data[:end], rest=len(data) - end)


def _chunks(data: bytes) -> Heard:
    """RFC 9112, section 7.1. Understood up to the last chunk that ends with a frame."""
    body = bytearray()
    at = understood = whole = 0
    finished = False
    while (line := data.find(b"\r\n", at)) >= 0:
        try:
            size = int(data[at:line].partition(b";")[0], 16)
        except ValueError as exc:
            raise WireError(f"no size of a chunk: {data[at : at + 40]!r}") from exc
        start, end = line + 2, line + 2 + size
        if size == 0:
            # No trailers here: whatever follows the last chunk is its empty line.
            finished, understood = True, len(data)
            break
        if len(data) < end + 2:
            break
        if data[end : end + 2] != b"\r\n":
            raise WireError(f"a chunk does not end where it should: {data[end : end + 20]!r}")
        body += data[start:end]
        at = end + 2
        if body.endswith(FRAME_END):
            understood, whole = at, len(body)
    return _frames(bytes(body[:whole]), rest=len(data) - understood, finished=finished)


def _frames(body: bytes, *, rest: int, finished: bool = False) -> Heard:
    numbers: list[int] = []
    controls: list[str] = []
    cursor, pings = None, 0
    if b"\r" in body:
        # A line may end so; but nobody here does, and a frame that ended so would hide in the next.
        raise WireError(f"a carriage return in a frame: {body[:80]!r}")
    for block in body.split(FRAME_END):
        if block.startswith(b":"):
            pings += 1
        elif block.startswith(b"id:"):
            line, _, data = block.partition(b"\n")
            cursor = line[3:].lstrip()
            found = NUMBER.search(data)
            if found is not None:
                numbers.append(int(found[1]))
        elif block.startswith(b"event:"):
            controls.append(_control(block))
        elif block and not block.startswith(b"retry:"):
            raise WireError(f"no frame that a server of the bench sends: {block[:80]!r}")
    return Heard(tuple(numbers), cursor, pings, tuple(controls), rest, finished)


def _control(block: bytes) -> str:
    name = block.partition(b"\n")[0][6:].strip().decode()
    mode = MODE.search(block)
    return f"{name}:{mode[1].decode()}" if mode is not None else name
