"""Where the services listen, and the sockets they listen on."""

from __future__ import annotations

import dataclasses
import errno
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import structlog

from storefront.errors import ListenError

# A burst of a thousand connects took seconds with a hundred (hazards H11b).
_BACKLOG = 1024

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where each service listens; the real services' own ports. 0: the system chooses."""

    shopping: int = 5236
    orders: int = 5231
    catalog: int = 5133
    identity: int = 5235
    payments: int = 5232
    inventory: int = 5233
    fulfillment: int = 5234
    pricing: int = 5242

    @classmethod
    def any(cls) -> Ports:
        """All chosen by the system: what tests want."""
        return cls(**dict.fromkeys(SERVICES, 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceUrls:
    """Where each service is to be asked: `http://host:port`, without a slash at the end."""

    shopping: str
    orders: str
    catalog: str
    identity: str
    payments: str
    inventory: str
    fulfillment: str
    pricing: str

    def by_name(self) -> Mapping[str, str]:
        return {name: getattr(self, name) for name in SERVICES}


SERVICES = tuple(field.name for field in dataclasses.fields(Ports))


@contextmanager
def listening(host: str, ports: Ports) -> Iterator[dict[str, socket.socket]]:
    """A listening socket for each service. Whatever is still in the dictionary when the block is
    left gets closed: who takes one over takes it out.

    Raises:
        ListenError: the host is not an address of this machine.
    """
    with ExitStack() as stack:
        sockets: dict[str, socket.socket] = {}
        stack.callback(_close_all, sockets)
        for name in SERVICES:
            sockets[name] = _listen(name, host, getattr(ports, name))
        yield sockets


def _close_all(sockets: Mapping[str, socket.socket]) -> None:
    for sock in sockets.values():
        sock.close()


def _listen(name: str, host: str, port: int) -> socket.socket:
    try:
        return _bound(host, port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE or port == 0:
            raise ListenError(f"the demo cannot listen on {host}: {error}") from error
    sock = _bound(host, 0)
    log.warning("port taken", service=name, port=port, instead=sock.getsockname()[1])
    return sock


def _bound(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        # A restarted demo finds its ports free although old connections linger.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock
