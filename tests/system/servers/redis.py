"""Redis servers of our own: one that keeps every write, and a cluster of three.

The single server runs with what Storefront asks for in production (`appendonly yes`, `appendfsync always`,
`noeviction`); a test that wants the warning asks for less. `client()` is redis-py's blocking client, which Storefront
does not use: it is for looking, and for preparing what is found.
"""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any, Self

import redis
import trio
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.system.servers.ports import LOOPBACK, answers, free_port
from tests.system.servers.process import POLL, ServerError, ServerProcess

START_WITHIN = (
    20.0  # seconds; measured 0.05 s. A long append-only file is read first (-LOADING until then)
)
STOP_WITHIN = 10.0  # seconds; measured 0.1 s
CLUSTER_WITHIN = 20.0  # seconds; measured 3 s: the nodes gossip once a second
SLOTS = 16384

DURABLE = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}


class RedisServer(ServerProcess):
    """One server on a data folder and a port that stay the same over its restarts."""

    start_within = (
        20.0  # measured 0.03 s; a long append-only file is read first (-LOADING until then)
    )
    stop_within = 10.0  # measured 0.1 s

    def __init__(self, folder: Path, **settings: str) -> None:
        """`settings` are Redis's own, with _ for -; they come after (and win over) `DURABLE`."""
        self.port = free_port()
        self.bus_port = free_port()  # of a cluster; else it would be port + 10000, free or not
        own = {
            "port": str(self.port),
            "cluster-port": str(self.bus_port),
            "bind": LOOPBACK,
            "dir": str(folder),
            "save": "",  # the append-only file is the one truth
            "daemonize": "no",
            "logfile": "",
        }
        asked = {name.replace("_", "-"): value for name, value in settings.items()}
        arguments = [
            word for name, value in (own | DURABLE | asked).items() for word in (f"--{name}", value)
        ]
        super().__init__(
            "redis",
            ["redis-server", *arguments],
            folder=folder,
            ready=lambda: answers(self.port, b"PING\r\n", b"+PONG"),
        )

    @property
    def url(self) -> str:
        return f"redis://{LOOPBACK}:{self.port}/0"

    def client(self) -> redis.Redis:
        """A blocking client that neither retries nor waits; use it in `with`, so that it is closed."""
        return redis.Redis(
            port=self.port,
            host=LOOPBACK,
            socket_timeout=2.0,
            retry=Retry(NoBackoff(), 0),
            decode_responses=False,
        )

    def command(self, *words: Any) -> Any:
        """One command on a connection of its own, and its answer."""
        with self.client() as client:
            return client.execute_command(*words)


class RedisCluster:
    """Three masters that share the slots: what tells whether every key of a script was declared (hazards H22e)."""

    def __init__(self, folder: Path) -> None:
        self.nodes: list[RedisServer] = []
        self._shared = False  # nodes.conf remembers over restarts
        for number in range(3):
            home = folder / f"node-{number}"
            home.mkdir()
            self.nodes.append(RedisServer(home, cluster_enabled="yes"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.kill()

    @property
    def url(self) -> str:
        """Of the first node; a cluster client finds the others."""
        return self.nodes[0].url

    async def start(self) -> None:
        """Start the nodes that do not run, and wait until all slots are served."""
        for node in self.nodes:
            if not node.running:
                await node.start()
        await self.agree()

    async def agree(self) -> None:
        """Share out the slots if that was not done yet, and wait until every node knows.

        Raises:
            ServerError: they did not agree in time.
        """
        if not self._shared:
            self._share_slots()
        with trio.move_on_after(CLUSTER_WITHIN):
            while not all(map(serves_every_slot, self.nodes)):
                await trio.sleep(POLL)
            return
        raise ServerError(f"the Redis cluster did not agree within {CLUSTER_WITHIN:g} s")

    def flush(self) -> None:
        """Remove every key."""
        for node in self.nodes:
            node.command("FLUSHALL")

    def _share_slots(self) -> None:
        share = SLOTS // len(self.nodes) + 1
        for number, node in enumerate(self.nodes):
            end = min((number + 1) * share, SLOTS) - 1
            node.command("CLUSTER", "ADDSLOTSRANGE", number * share, end)
        # Everybody is introduced to everybody: gossip would see to it, a second per hop.
        for node, other in permutations(self.nodes, 2):
            node.command("CLUSTER", "MEET", LOOPBACK, other.port, other.bus_port)
        self._shared = True


def serves_every_slot(node: RedisServer) -> bool:
    """Whether this node knows an owner for each slot, and believes the owners are there."""
    info = node.command("CLUSTER", "INFO").split()
    return {b"cluster_state:ok", b"cluster_known_nodes:3", b"cluster_slots_ok:16384"}.issubset(info)
