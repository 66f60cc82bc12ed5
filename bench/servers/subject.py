"""Something that holds streams: Storefront, or a peer. What the scenarios know of either."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from bench.load.messages import customer
from bench.measure.processes import family
from tests.system.servers.process import ServerProcess


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """How the publisher reaches it: the order `connect` of load/publisher.py, and the words for the
    report.
    """

    order: dict[str, Any]
    words: str


class Subject(Protocol):
    """A running server."""

    name: str
    # Whether a stream begins with a frame, or its head is all there is until an event.
    opening_frame: bool

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...

    def pids(self) -> Iterable[int]:
        """All its processes, now."""

    def requests(self, streams: int, customers: int) -> Sequence[bytes]:
        """The request that opens stream n, of customer n mod `customers`."""

    def trigger(self, customers: int) -> Trigger:
        """How an event for each of so many customers in turn is published to it."""

    def in_hand(self) -> dict[int, int]:
        """When it had an event in hand, by number, on the clock of all of us; what it does not say
        is left out.
        """


@dataclass(slots=True)
class PeerSubject:
    """A peer that runs: one program with a port, no keys, POST to publish."""

    name: str
    process: ServerProcess
    port: int
    opening_frame: bool = True
    host: str = "127.0.0.1"
    path: str = "/events"
    publish_path: str = "/publish"
    as_frame: bool = True
    settings: Sequence[str] = field(default_factory=list)
    amqp: str = ""
    queue: str = ""

    def pids(self) -> Iterable[int]:
        return family(self.process.pid)

    def requests(self, streams: int, customers: int) -> Sequence[bytes]:
        """One broadcast, or a customer each, told by the query."""
        return [
            get(f"{self.path}?c={customer(n % customers)}") for n in range(min(streams, customers))
        ]

    def trigger(self, customers: int) -> Trigger:
        if self.amqp:
            # As Storefront is told: through RabbitMQ.
            told = {"url": self.amqp, "queue": self.queue, "customers": customers}
            return Trigger(order=told, words="basic.publish, persistent, confirmed")
        order = {
            "host": self.host,
            "port": self.port,
            "path": self.publish_path,
            "customers": customers,
            "as_frame": self.as_frame,
        }
        return Trigger(order=order, words=f"POST {self.publish_path}")

    def in_hand(self) -> dict[int, int]:
        return {}  # each answer to a POST says it


def get(target: str, *fields: str, accept: str = "text/event-stream") -> bytes:
    """The bytes of a GET."""
    lines = [f"GET {target} HTTP/1.1", "Host: bench", f"Accept: {accept}", *fields]
    return "\r\n".join([*lines, "", ""]).encode()
