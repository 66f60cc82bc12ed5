"""Who has what in a Redis Cluster, as far as this process knows. Without one the seed has it all.

asyncio's side of the shore (functions named `*_aio`). The map is asked for when it is not known or
was wrong, of one server at a time and by one asker at a time: the others wait for that answer. A
server that is in trouble is asked last, for it may cost all the time there is.
"""

from __future__ import annotations

import asyncio

import structlog
from redis.crc import key_slot
from redis.exceptions import MovedError, ResponseError

from storefront.errors import StoreUnavailableError
from storefront.store.redis_counts import Counts
from storefront.store.redis_server import Server

log = structlog.get_logger(__name__)

# Seconds for one server to tell the map, where another can be asked. It takes a millisecond, and
# whoever waits for it has a question besides.
LESSON_WITHIN = 0.15
# What a server says of its host when it does not know its own name.
_UNNAMED = {"", "?"}


class ClusterMap:
    """The servers at a URL. `seed` is the one in the URL."""

    def __init__(self, url: str, counts: Counts) -> None:
        self.seed = Server.at(url, counts)
        self._servers: dict[tuple[str, int], Server] = {}
        # Empty where there is no cluster: then every key is the seed's.
        self._owners: dict[int, Server] = {}
        self._masters: list[Server] = []
        self._known = False
        self._lesson = asyncio.Lock()
        self._failed_lessons = 0

    @property
    def of_cluster(self) -> bool:
        """Whether the keys are shared out between servers."""
        return bool(self._owners)

    def masters(self) -> list[Server]:
        """All servers that take writes."""
        return self._masters or [self.seed]

    def owner(self, key: str) -> Server:
        """Who has the key."""
        if not self._owners:
            return self.seed
        return self._owners.get(key_slot(key.encode()), self.seed)

    def all_ail(self, now: float) -> bool:
        """Whether there is no master of whom anything good is known."""
        return all(server.standing.ails(now) for server in self.masters())

    def doubt(self) -> None:
        """Something was not as the map says: have it asked for anew."""
        self._known = False

    def moved(self, where: MovedError) -> Server:
        """Whoever has the slot now, by one who had it."""
        server = self.server(where.host, where.port)
        self._owners[where.slot_id] = server
        if server not in self._masters:
            self._masters.append(server)
        self.doubt()
        return server

    def server(self, host: str, port: int) -> Server:
        """The server of this address."""
        address = (self.seed.host if host in _UNNAMED else host, port)
        if address not in self._servers:
            self._servers[address] = self.seed.sibling(*address)
        return self._servers[address]

    async def learn_aio(self) -> None:
        """Find out who has what, where that is not known or was wrong.

        Raises:
            StoreUnavailableError: no server answers.
        """
        if self._known:
            return
        async with self._lesson:
            if not self._known:
                await self._learn_aio()

    async def close_aio(self) -> None:
        """Close every connection that is not in use."""
        for server in (self.seed, *self._servers.values()):
            await server.hang_up_aio()

    async def _learn_aio(self) -> None:
        now = asyncio.get_running_loop().time()
        # The seed, and where it is down those who were in a cluster with it; the one that answered
        # last is asked first.
        servers = [self.seed, *self._servers.values()]
        first = self._failed_lessons % len(servers)
        servers = sorted(
            servers[first:] + servers[:first], key=lambda server: server.standing.ails(now)
        )
        for server in servers:
            self._failed_lessons += 1  # taken back where it is answered: it may also be cancelled
            last = server is servers[-1]
            try:
                async with asyncio.timeout(None if last else LESSON_WITHIN):
                    await self._ask_for_map_aio(server)
            except (StoreUnavailableError, TimeoutError) as exc:
                server.standing.said_no(exc, now)
                if last:
                    raise
            else:
                self._failed_lessons -= 1
                return

    async def _ask_for_map_aio(self, server: Server) -> None:
        (slots,) = await server.exchange_aio([("CLUSTER", "SLOTS")])
        self._known = True
        if isinstance(slots, ResponseError):
            # No cluster, or one that may not be asked: then its redirections tell.
            return
        owners: dict[int, Server] = {}
        for first, last, (host, port, *_), *_ in slots:
            owner = self.server((host or b"").decode(), port)
            owners.update(dict.fromkeys(range(first, last + 1), owner))
        masters = list(dict.fromkeys(owners.values()))
        if set(masters) != set(self._masters):
            log.info("redis cluster", servers=sorted(map(repr, masters)))
        self._owners, self._masters = owners, masters
        for address, left in list(self._servers.items()):
            if left not in self._masters:
                del self._servers[address]
                await left.hang_up_aio()
