"""What scenarios with views share: neighbours that answer in 20 ms, and requests for carts."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from bench.children import REPOSITORY
from bench.floor import Floor
from bench.load.messages import customer
from bench.servers.neighbours import SHARED
from bench.servers.storefront import bearer
from bench.servers.subject import get
from tests.system.servers.ports import answers, free_port
from tests.system.servers.process import ServerProcess

ANSWER = 20.0  # ms, of every service
SKUS = 10
PROBE = b"GET /api/none/000000000000 HTTP/1.1\r\nHost: bench\r\n\r\n"


class Neighbour(ServerProcess):
    """Shopping or Catalog."""

    start_within = 15.0


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Those who run, and the settings that tell of them."""

    by_name: dict[str, Neighbour] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)


@asynccontextmanager
async def run_neighbours(floor: Floor, *, shared_skus: bool) -> AsyncIterator[Neighbours]:
    """Shopping and Catalog, each a process; carts of ten products, everybody's own or all the
    same.
    """
    found = Neighbours()
    async with AsyncExitStack() as stack:
        for name in ("shopping", "catalog"):
            port = free_port()
            words = [name, str(port), str(ANSWER), str(SKUS), *([SHARED] if shared_skus else [])]
            neighbour = Neighbour(
                name,
                [sys.executable, "-m", "bench.servers.neighbours", *words],
                folder=floor.room(name),
                ready=lambda port=port: answers(port, PROBE, b"HTTP/1.1"),  # type: ignore[misc] # bound now
                environment={"PYTHONPATH": str(REPOSITORY)},
            )
            stack.enter_context(neighbour)
            await neighbour.start()
            found.by_name[name] = neighbour
            found.settings[f"{name.upper()}_URL"] = f"http://127.0.0.1:{port}"
        yield found


@asynccontextmanager
async def open_neighbours(floor: Floor, *, shared_skus: bool) -> AsyncIterator[dict[str, str]]:
    """The settings alone, for those who let the neighbours be."""
    async with run_neighbours(floor, shared_skus=shared_skus) as found:
        yield found.settings


def cart_requests(customers: Iterable[int]) -> list[bytes]:
    """Each asks for their own cart."""
    return [
        get(f"/api/carts/{customer(index)}/view", bearer(index), accept="application/json")
        for index in customers
    ]
