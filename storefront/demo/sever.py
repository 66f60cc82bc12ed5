"""Breaks a TCP connection the hard way: the peer reads ECONNRESET, not an end of file.

ASGI has no word for this, and a server that is asked to close says goodbye first. So the socket is
looked up among our own, and its association dissolved: connect(2) to AF_UNSPEC makes Linux send
the reset at once. Where that is not to be had, the connection is merely shut down.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

# struct sockaddr: two bytes of family (AF_UNSPEC is 0), fourteen that nobody reads.
_UNSPECIFIED = bytes(16)


def sever(client: tuple[str, int], server: tuple[str, int]) -> bool:
    """Reset the connection between these two; False if no socket of this process is it."""
    for connection in _our_connections():
        with connection:
            if _ends(connection) == ((client[0], client[1]), (server[0], server[1])):
                _reset(connection)
                return True
    return False


def _reset(connection: socket.socket) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).connect(
            connection.fileno(), _UNSPECIFIED, len(_UNSPECIFIED)
        )
    else:
        connection.shutdown(socket.SHUT_RDWR)


def _our_connections() -> Iterator[socket.socket]:
    """A duplicate of every socket this process has open; closing it leaves the original open."""
    for entry in tuple(Path("/dev/fd").iterdir()):
        number = int(entry.name)
        with contextlib.suppress(OSError):  # closed since the list was made
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                yield socket.socket(fileno=os.dup(number))


def _ends(connection: socket.socket) -> tuple[tuple[str, int], tuple[str, int]] | None:
    try:
        peer, own = connection.getpeername(), connection.getsockname()
    except OSError:
        return None  # a listener, or a socket of another kind
    if len(peer) < 2:
        return None  # a pipe to somebody on this machine, by path
    return (peer[0], peer[1]), (own[0], own[1])
