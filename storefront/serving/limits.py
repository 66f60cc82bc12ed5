"""The bounds on every connection, whoever the browser is, each with what happens at it."""

from __future__ import annotations

import resource
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Starting numbers; tests make them small."""

    # A request head: target, names and values. Past it 431 and a closed connection (HTTP/2:
    # GOAWAY). A token of 8 KiB and the cookies of a shop fit; nginx stops at 8 KiB for each line.
    head_bytes: int = 16 * 1024
    # From the first byte of a head to its last, and for a TLS handshake. Past it the connection is
    # closed.
    head_seconds: float = 10.0
    # Between an answer and the first byte of the next request. Past it the connection is closed.
    idle_seconds: float = 5.0
    # After our last byte, for the browser to read it and hang up. Past it we hang up.
    linger_seconds: float = 1.0
    # Answers at a time on one HTTP/2 connection. Past it REFUSED_STREAM, which a client may repeat
    # safely.
    streams: int = 100
    # Requests on one connection, to bound what h11, h2 and HPACK remember of it. After it the
    # connection is not used again: `connection: close`, or GOAWAY while what runs on it runs on.
    requests: int = 1000
    # Open connections. Past it a new one is reset at once: better a browser that comes back than a
    # process without a descriptor for its log and its neighbours. None: four fifths of what the
    # process may open.
    connections: int | None = None

    def most_connections(self) -> int:
        """The bound on open connections in force."""
        if self.connections is not None:
            return self.connections
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return descriptors * 4 // 5
