"""Which server is asked: the one there is, or on a Redis Cluster the one that has the key.

asyncio's side of the shore (functions named `*_aio`). Whether it is a cluster is asked of the
server in the URL, so there is nothing to set. A slot that moves is followed where the cluster
points; all else that ails a cluster (a server down, a slot in two halves) is StoreUnavailableError
until it is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from redis.crc import key_slot
from redis.exceptions import AskError, MovedError, NoScriptError, ResponseError

from storefront.errors import StoreUnavailableError
from storefront.store.contract import Refused
from storefront.store.redis_counts import Counts
from storefront.store.redis_refusals import refused
from storefront.store.redis_scripts import Argument, Command
from storefront.store.redis_server import Reply, Server

log = structlog.get_logger(__name__)

# One for a script the server does not know, two for a slot that is on its way, one to spare. What
# is still sent elsewhere after that is tried again later, by whoever asked.
ROUNDS = 5
# What a server says of its host when it does not know its own name.
_UNNAMED = {"", "?"}


@dataclass(slots=True)
class _Errand:
    """One command on its way to an answer."""

    command: Command
    server: Server
    in_full: bool = False
    asking: bool = False
    reply: Reply = None

    def words(self, told: set[bytes]) -> list[tuple[Argument, ...]]:
        """What is sent; `told` are the scripts that were sent in full before it."""
        words = self.command.words
        if self.in_full and self.command.text not in told:
            told.add(self.command.text)
            words = self.command.in_full()
        return [("ASKING",), words] if self.asking else [words]


class Routes:
    """The servers at a URL."""

    def __init__(self, url: str, counts: Counts) -> None:
        self._counts = counts
        self._seed = Server.at(url, counts)
        self._servers: dict[tuple[str, int], Server] = {}
        # Empty where there is no cluster: then every key is the seed's.
        self._owners: dict[int, Server] = {}
        self._known = False
        self._failed_lessons = 0

    @property
    def database(self) -> int:
        """The number of the database; of a cluster always 0."""
        return self._seed.database

    async def ask_aio(self, commands: Sequence[Command]) -> list[Reply]:
        """Send the commands, each to the server that has its key, and answer in their order; with
        Refused where one that is refusable was.

        Commands on one key keep their order only if all go well: at most one of each customer.

        Raises:
            StoreUnavailableError: not every command was done; any of them may have been.
        """
        await self._learn_aio()
        errands = [_Errand(command, self._owner(command.key)) for command in commands]
        waiting = errands
        for _ in range(ROUNDS):
            await self._run_aio(waiting)
            waiting = [errand for errand in waiting if self._goes_on(errand)]
            if not waiting:
                return [errand.reply for errand in errands]
        raise StoreUnavailableError("Redis sends us round in circles") from waiting[0].reply

    async def masters_aio(self) -> list[Server]:
        """All servers that take writes.

        Raises:
            StoreUnavailableError: none of them answers.
        """
        await self._learn_aio()
        return list(dict.fromkeys(self._owners.values())) or [self._seed]

    async def close_aio(self) -> None:
        """Close every connection that is not in use."""
        for server in (self._seed, *self._servers.values()):
            await server.hang_up_aio()

    def _owner(self, key: str) -> Server:
        if not self._owners:
            return self._seed
        return self._owners.get(key_slot(key.encode()), self._seed)

    async def _run_aio(self, errands: Sequence[_Errand]) -> None:
        """One exchange with each server concerned, at once."""
        loads: dict[Server, list[_Errand]] = {}
        for errand in errands:
            loads.setdefault(errand.server, []).append(errand)
        if len(loads) == 1:
            ((server, load),) = loads.items()
            await self._exchange_aio(server, load)
            return
        results = await asyncio.gather(
            *(self._exchange_aio(server, load) for server, load in loads.items()),
            return_exceptions=True,  # and none is left running behind our back
        )
        for result in results:
            if result is not None:
                raise result

    async def _exchange_aio(self, server: Server, load: Sequence[_Errand]) -> None:
        told: set[bytes] = set()
        words = [each for errand in load for each in errand.words(told)]
        try:
            replies = iter(await server.exchange_aio(words))
        except BaseException:
            # Refused, or cancelled because it took too long: another may have taken its place.
            self._known = False
            raise
        for errand in load:
            if errand.asking:
                next(replies)
            errand.reply = next(replies)

    def _goes_on(self, errand: _Errand) -> bool:
        """Whether the command has to be sent again.

        Raises:
            StoreUnavailableError: Redis refused it, and not for its own sake.
        """
        reply = errand.reply
        if isinstance(reply, NoScriptError):
            errand.in_full = True
        elif isinstance(reply, MovedError):
            errand.server = self._owners[reply.slot_id] = self._server(reply.host, reply.port)
            errand.asking = False
            self._counts.redirections += 1
            self._known = False
        elif isinstance(reply, AskError):
            errand.server = self._server(reply.host, reply.port)
            errand.asking = True
            self._counts.redirections += 1
        elif isinstance(reply, ResponseError):
            errand.reply = self._refused(errand, reply)
            return False
        else:
            return False
        return True

    def _refused(self, errand: _Errand, error: ResponseError) -> Refused:
        own = refused(error) if errand.command.refusable else None
        if own is None:
            raise StoreUnavailableError(f"Redis at {errand.server!r}: {error}") from error
        self._counts.refusals[own.kind] += 1
        return own

    def _server(self, host: str, port: int) -> Server:
        address = (self._seed.host if host in _UNNAMED else host, port)
        if address not in self._servers:
            self._servers[address] = self._seed.sibling(*address)
        return self._servers[address]

    async def _learn_aio(self) -> None:
        """Find out who has what, where that is not known or was wrong."""
        if self._known:
            return
        # The seed, and where it is down those who were in a cluster with it; the one that answered
        # last is asked first, for another may cost all the time there is.
        servers = [self._seed, *self._servers.values()]
        for left in reversed(range(len(servers))):
            server = servers[self._failed_lessons % len(servers)]
            self._failed_lessons += 1  # taken back where it is answered: it may also be cancelled
            try:
                await self._ask_for_map_aio(server)
            except StoreUnavailableError:
                if not left:
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
            server = self._server((host or b"").decode(), port)
            owners.update(dict.fromkeys(range(first, last + 1), server))
        if set(owners.values()) != set(self._owners.values()):
            log.info("redis cluster", servers=sorted(map(repr, set(owners.values()))))
        self._owners = owners
        for address, server in list(self._servers.items()):
            if server not in owners.values():
                del self._servers[address]
                await server.hang_up_aio()
