"""A stream that is over before it began: when to return, why, and a clean end.

For what is decided before there is a stream. A native EventSource gives up for ever on any status
but 200, so whoever may come back, with the same credentials or others, is told so in its language.
"""

from __future__ import annotations

from storefront.domain.positions import Position
from storefront.realtime import frames

# Seconds. Nothing that the browser can do by itself helps: its page has to fetch another ticket,
# and until it does, or where it never will, the browser asks no more than this.
REAUTHENTICATE = 60.0


def reauthenticate(cursor: Position | None) -> bytes:
    """The ticket is no longer good: the page fetches another one."""
    return _turned_away(REAUTHENTICATE, cursor, frames.control("reauthenticate", {}))


def busy(reason: str, pause: float, cursor: Position | None) -> bytes:
    """We cannot tell for now who this is; `pause` is in seconds."""
    return _turned_away(pause, cursor, frames.control("busy", {"reason": reason}))


def _turned_away(pause: float, cursor: Position | None, told: bytes) -> bytes:
    # By the letter of WHATWG HTML, section 9.2.6, a frame without an id takes the browser's cursor
    # away; see `body`.
    own = b"" if cursor is None else frames.cursor(str(cursor))
    return frames.retry(pause) + own + told
