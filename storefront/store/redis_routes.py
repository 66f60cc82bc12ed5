"""Which server is asked: the one there is, or on a Redis Cluster the one that has the key.

asyncio's side of the shore (functions named `*_aio`). Whether it is a cluster is asked of the
server in the URL, so there is nothing to set. A slot that moves is followed where the cluster
points. A server of a cluster that is gone, hangs or says no, and a slot in two halves, hold those
whose keys are there and nobody else: their commands are answered with Refused, in time, and the
others' with their replies. Where nothing good is known of any server, or there is but one, it is
StoreUnavailableError until it is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from redis.exceptions import AskError, MovedError, NoScriptError, ResponseError

from storefront.errors import StoreUnavailableError
from storefront.store.contract import Refused
from storefront.store.redis_counts import Counts
from storefront.store.redis_map import ClusterMap
from storefront.store.redis_refusals import is_of_slot, kind_of, refused
from storefront.store.redis_scripts import Argument, Command
from storefront.store.redis_server import Reply, Server

# One for a script the server does not know, two for a slot that is on its way, one to spare. What
# is still sent elsewhere after that is tried again later, by whoever asked.
ROUNDS = 5
# Of the time there is, the share a server of a cluster has. The rest is for telling the others'
# answers, before whoever asked gives all of them up.
SHARE = 0.9


@dataclass(slots=True)
class _Errand:
    """One command on its way to an answer, or to why there is none."""

    command: Command
    server: Server
    in_full: bool = False
    asking: bool = False
    reply: Reply = None
    failure: StoreUnavailableError | None = None

    def words(self, told: set[bytes]) -> list[tuple[Argument, ...]]:
        """What is sent; `told` are the scripts that were sent in full before it."""
        words = self.command.words
        if self.in_full and self.command.text not in told:
            told.add(self.command.text)
            words = self.command.in_full()
        return [("ASKING",), words] if self.asking else [words]


class Routes:
    """The servers at a URL, and the way to each."""

    def __init__(self, url: str, counts: Counts) -> None:
        self._counts = counts
        self._map = ClusterMap(url, counts)

    @property
    def database(self) -> int:
        """The number of the database; of a cluster always 0."""
        return self._map.seed.database

    async def ask_aio(self, commands: Sequence[Command], deadline: float) -> list[Reply]:
        """Send the commands, each to the server that has its key, and answer in their order; with
        Refused where a refusable one was refused for its keys' sake, or on a cluster for its
        server's, which may have done it all the same.

        Commands on one key keep their order only if all go well: at most one of each customer.

        Args:
            commands: at least one.
            deadline: when the caller gives it up, by cancelling, on the loop's clock.

        Raises:
            StoreUnavailableError: not every command was done; any of them may have been.
        """
        await self._map.learn_aio()
        errands = [_Errand(command, self._map.owner(command.key)) for command in commands]
        now = _now()
        await self._run_aio(errands, now + SHARE * (deadline - now), ROUNDS)
        for errand in errands:
            if errand.failure is not None and not self._holds_nobody_else(errand):
                raise errand.failure
        return [self._answer(errand) for errand in errands]

    async def masters_aio(self) -> list[Server]:
        """All servers that take writes.

        Raises:
            StoreUnavailableError: none of them answers.
        """
        await self._map.learn_aio()
        return self._map.masters()

    async def working_aio(self) -> list[Server]:
        """Those of them of whom nothing bad is known; all of them where that is none.

        Raises:
            StoreUnavailableError: none of them answers.
        """
        masters = await self.masters_aio()
        return [each for each in masters if not each.standing.ails(_now())] or masters

    async def close_aio(self) -> None:
        """Close every connection that is not in use."""
        await self._map.close_aio()

    def _holds_nobody_else(self, errand: _Errand) -> bool:
        if not self._map.of_cluster or self._map.all_ail(_now()):
            return False
        return errand.command.refusable

    async def _run_aio(self, errands: Sequence[_Errand], until: float, rounds: int) -> None:
        """One exchange with each server concerned, at once, and what follows from it."""
        if not rounds:
            for errand in errands:
                _fail([errand], "Redis sends us round in circles", errand.reply)
            return
        loads: dict[Server, list[_Errand]] = {}
        for errand in errands:
            loads.setdefault(errand.server, []).append(errand)
        if len(loads) == 1:
            ((server, load),) = loads.items()
            await self._serve_aio(server, load, until, rounds)
            return
        results = await asyncio.gather(
            *(self._serve_aio(server, load, until, rounds) for server, load in loads.items()),
            return_exceptions=True,  # and none is left running behind our back
        )
        for result in results:
            if result is not None:
                raise result

    async def _serve_aio(
        self, server: Server, load: Sequence[_Errand], until: float, rounds: int
    ) -> None:
        """One server's share. Nobody here waits for another server, but by redirection."""
        if not self._map.of_cluster:
            await self._exchange_aio(server, load, None)
        elif server.standing.may_ask(_now()):
            await self._exchange_aio(server, load, until)
        else:
            _fail(load, f"Redis at {server!r} is left alone for a while", server.standing.why)
        if again := [errand for errand in load if self._goes_on(errand)]:
            await self._run_aio(again, until, rounds - 1)

    async def _exchange_aio(
        self, server: Server, load: Sequence[_Errand], until: float | None
    ) -> None:
        told: set[bytes] = set()
        words = [each for errand in load for each in errand.words(told)]
        try:
            async with asyncio.timeout_at(until):
                replies = iter(await server.exchange_aio(words))
        except (StoreUnavailableError, TimeoutError) as exc:
            # Another may have taken its place.
            self._map.doubt()
            why = exc if isinstance(exc, TimeoutError) else exc.__cause__ or exc
            server.silent(why, _now())
            _fail(load, f"Redis at {server!r}: {str(why) or 'no answer in time'}", why)
            return
        except BaseException:
            # Cancelled, because it took too long: likewise.
            self._map.doubt()
            server.standing.left()
            raise
        server.standing.answered()
        for errand in load:
            if errand.asking:
                next(replies)
            errand.reply = next(replies)

    def _goes_on(self, errand: _Errand) -> bool:
        """Whether the command has to be sent again."""
        reply = errand.reply
        if errand.failure is not None:
            return False
        if isinstance(reply, NoScriptError):
            errand.in_full = True
        elif isinstance(reply, MovedError):
            errand.server = self._map.moved(reply)
            errand.asking = False
            self._counts.redirections += 1
        elif isinstance(reply, AskError):
            errand.server = self._map.server(reply.host, reply.port)
            errand.asking = True
            self._counts.redirections += 1
        else:
            self._heed_refusal(errand, reply)
            return False
        return True

    def _heed_refusal(self, errand: _Errand, reply: Reply) -> None:
        if not isinstance(reply, ResponseError):
            return
        own = refused(reply)
        if own is not None and errand.command.refusable:
            errand.reply = own
            return
        if own is None and not is_of_slot(reply):
            errand.server.standing.said_no(reply, _now())
        _fail([errand], f"Redis at {errand.server!r}: {reply}", reply)

    def _answer(self, errand: _Errand) -> Reply:
        if errand.failure is not None:
            errand.reply = Refused(kind_of(errand.failure.__cause__), str(errand.failure))
        if isinstance(errand.reply, Refused):
            self._counts.refusals[errand.reply.kind] += 1
        return errand.reply


def _fail(errands: Iterable[_Errand], words: str, why: BaseException | None) -> None:
    failure = StoreUnavailableError(words)
    failure.__cause__ = why
    for errand in errands:
        errand.failure = failure


def _now() -> float:
    return asyncio.get_running_loop().time()
