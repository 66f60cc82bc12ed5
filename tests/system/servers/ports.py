"""Ports for servers that are stopped and started again on the same address.

Not from the ephemeral range, which is what binding to port 0 gives: while such a server is down, somebody's outgoing
connection may be given its port. A client that keeps trying can even be given the very port it is calling, and then
talks to itself (TCP simultaneous open).
"""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOWEST = 10_000  # below live the ports that people know by heart
GIVEN: set[int] = set()  # a port is bound only later: the same run must not hand it out twice


def free_port() -> int:
    """A port below the ephemeral range that nobody listens on now.

    Raises:
        OSError: a thousand tries found none.
    """
    highest = int(EPHEMERAL.read_text().split()[0]) - 1
    for _ in range(1000):
        # Not `random`: Hypothesis seeds it, and every run on this machine would want the same ports.
        port = LOWEST + secrets.randbelow(highest - LOWEST)
        if port in GIVEN:
            continue
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        GIVEN.add(port)
        return port
    raise OSError(f"no free port from {LOWEST} to {highest}")


def answers(port: int, question: bytes, expected: bytes, *, patience: float = 1.0) -> bool:
    """Whether the server on this port answers `question` with bytes that begin with `expected`.

    A protocol's own greeting, because an open port only shows that the kernel is ready.
    """
    try:
        with socket.create_connection((LOOPBACK, port), timeout=patience) as sock:
            sock.settimeout(patience)
            sock.sendall(question)
            return sock.recv(64).startswith(expected)
    except OSError:
        return False
