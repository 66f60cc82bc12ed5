"""HTTP/1.1 bodies and Server-Sent Events, read a second time and by the book: PURE, bytes in, values out.

Written from RFC 9112 (chunked transfer coding) and the WHATWG standard (9.2.6, interpreting an event stream), not from
Storefront's frames: the two must not share a mistake. Lines end at CR, LF or CRLF and nowhere else (hazards H26).
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class SseEvent:
    """What a browser would dispatch: `id` is the cursor after it, whichever block set it."""

    type: str
    data: str
    id: str
    received: float  # the caller's clock


@dataclass(slots=True)
class SseParser:
    """An event stream as the browser understands it; what it would ignore is kept as well."""

    events: list[SseEvent] = field(default_factory=list)
    comments: list[tuple[float, str]] = field(default_factory=list)
    last_event_id: str = ""  # what a reconnecting EventSource sends; "" is sent as nothing
    retry: int | None = None  # milliseconds
    _line: bytearray = field(default_factory=bytearray)
    _after_cr: bool = False
    _first_line: bool = True
    _type: str = ""
    _data: list[str] = field(default_factory=list)
    _id: str = ""

    def feed(self, data: bytes, now: float) -> list[SseEvent]:
        """Read on; the events that these bytes completed."""
        already = len(self.events)
        for byte in data:
            # The LF of a CRLF ends nothing: its CR did, perhaps in an earlier read.
            if byte == 0x0A and self._after_cr:
                self._after_cr = False
                continue
            self._after_cr = byte == 0x0D
            if byte in b"\r\n":
                self._end_line(now)
            else:
                self._line.append(byte)
        return self.events[already:]

    def _end_line(self, now: float) -> None:
        raw = bytes(self._line)
        self._line.clear()
        if self._first_line:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
            self._first_line = False
        line = raw.decode("utf-8", errors="replace")
        if not line:
            self._dispatch(now)
        elif line.startswith(":"):
            self.comments.append((now, line[1:]))
        else:
            name, _, value = line.partition(":")
            self._field(name, value.removeprefix(" "))

    def _field(self, name: str, value: str) -> None:
        match name:
            case "event":
                self._type = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if value.isascii() and value.isdigit():
                self.retry = int(value)

    def _dispatch(self, now: float) -> None:
        # A block without data fires nothing, and yet it sets the cursor.
        self.last_event_id = self._id
        if self._data:
            self.events.append(
                SseEvent(
                    type=self._type or "message",
                    data="\n".join(self._data),
                    id=self.last_event_id,
                    received=now,
                )
            )
        self._type = ""
        self._data = []


@dataclass(slots=True)
class ChunkedBody:
    """The chunked transfer coding; `complete` once the last chunk and its trailer came."""

    complete: bool = False
    _pending: bytearray = field(default_factory=bytearray)
    _left: int = 0  # bytes of the chunk at hand that are still to come
    _ends: bool = False  # the CRLF after a chunk's data is due
    _trailer: bool = False

    def feed(self, data: bytes) -> bytes:
        """The body's bytes in these bytes.

        Raises:
            ValueError: this is not the chunked coding, or something follows its end.
        """
        self._pending += data
        body = bytearray()
        while self._pending and not self.complete:
            if self._left:
                taken = self._pending[: self._left]
                del self._pending[: self._left]
                self._left -= len(taken)
                self._ends = self._left == 0
                body += taken
            elif (line := self._take_line()) is None:
                break
            else:
                self._understand(line)
        if self.complete and self._pending:
            raise ValueError(f"bytes after the end of the body: {bytes(self._pending)!r}")
        return bytes(body)

    def _take_line(self) -> bytes | None:
        line, end, _ = bytes(self._pending).partition(b"\r\n")
        if not end:
            return None
        del self._pending[: len(line) + 2]
        return line

    def _understand(self, line: bytes) -> None:
        if self._ends:
            if line:
                raise ValueError(f"a chunk is longer than it said: {line!r}")
            self._ends = False
        elif self._trailer:
            self.complete = not line
        else:
            self._left = int(line.partition(b";")[0], 16)
            self._trailer = self._left == 0


@dataclass(slots=True)
class LengthBody:
    """A body of a length known beforehand (None: until the connection ends)."""

    length: int | None
    complete: bool = False
    _seen: int = 0

    def __post_init__(self) -> None:
        self.complete = self.length == 0

    def feed(self, data: bytes) -> bytes:
        self._seen += len(data)
        self.complete = self.length is not None and self._seen >= self.length
        return data


def body_of(status: int, headers: dict[str, str]) -> ChunkedBody | LengthBody:
    """The reader for the body that this head announces (RFC 9112 section 6.3)."""
    if status in {204, 304}:
        return LengthBody(0)
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return ChunkedBody()
    length = headers.get("content-length")
    return LengthBody(None if length is None else int(length))


def parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    """(status, headers by lower-case name; repeated ones joined by a comma) of a response head."""
    status_line, *lines = head.decode("latin-1").split("\r\n")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        name, value = name.lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return int(status_line.split()[1]), headers
