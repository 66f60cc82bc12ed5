"""An event as the bytes of a Server-Sent Events stream (WHATWG HTML, section 9.2). Pure.

Business events are unnamed, so that a script with nothing but `onmessage` sees them, and carry an
id. Control frames are named and carry none, so that they never move a browser's cursor. Every
function returns a whole block, closed by its empty line: blocks may be joined in any order and
never run into one another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

# A comment of this spelling is what the design document asks for. Scripts do not see it; proxies
# do.
PING = b":ping\n\n"

# The specification ends a line at CR, LF or CRLF and nowhere else; str.splitlines() would also
# break at U+2028.
_LINE_END = re.compile(rb"\r\n|\r|\n")
_FORBIDDEN_IN_FIELD = re.compile(r"[\r\n\0]")


def event(position: str, data: bytes) -> bytes:
    """A business event: moves the browser's cursor to `position` and fires `onmessage`.

    Raises:
        ValueError: the position would break out of its line.
    """
    return b"id: %s\n%s\n" % (_one_line(position).encode(), _data(data))


def traced(data: bytes, traceparent: str | None) -> bytes:
    """The event's JSON object with the context of its trace as its last member, where there is one.

    What is stored stays as it is: whether anybody wants to know is for the reader to say.
    """
    if traceparent is None or len(data) <= len(b"{}") or not data.endswith(b"}"):
        return data
    return b'%s,"traceparent":"%s"}' % (data[:-1], traceparent.encode())


def named(name: str, frame: bytes) -> bytes:
    """The same event under a name: fires the listener of that name instead of `onmessage`.

    Raises:
        ValueError: the name would break out of its line.
    """
    return b"event: %s\n%s" % (_one_line(name).encode(), frame)


def control(name: str, facts: Mapping[str, object]) -> bytes:
    """A control frame: `name` with one JSON object, and no id.

    Raises:
        ValueError: the name would break out of its line.
    """
    return b"event: %s\n%s\n" % (_one_line(name).encode(), _data(msgspec.json.encode(facts)))


def cursor(position: str) -> bytes:
    """A block of only an id: sets the browser's cursor and fires nothing (WHATWG HTML, section
    9.2.6).

    Raises:
        ValueError: the position would break out of its line.
    """
    return b"id: %s\n\n" % _one_line(position).encode()


def retry(seconds: float) -> bytes:
    """How long the browser waits before it comes back; the wire speaks of milliseconds, digits
    only.
    """
    return b"retry: %d\n\n" % max(0, round(seconds * 1000))


def _data(data: bytes) -> bytes:
    if b"\n" not in data and b"\r" not in data:
        return b"data: %s\n" % data
    return b"".join(b"data: %s\n" % line for line in _LINE_END.split(data))


def _one_line(field: str) -> str:
    # A line end would let a field's author write the next field; an id with NUL is ignored by
    # browsers.
    if _FORBIDDEN_IN_FIELD.search(field):
        raise ValueError("an SSE id or event name is a single line without NUL")
    return field
