"""The dashboard's board in Redis: each process leaves its word under a key of its own.

    storefront:{dashboard}:report:<process>   its report; gone by itself a few seconds later
    storefront:{dashboard}:processes          who there is, by when each last said so
    storefront:{dashboard}:watched            there while somebody watches

One hash tag for all, so that a look is one exchange with one server of a cluster. Nothing in it is
a customer's. The connections are not those of the log, so that nothing here keeps an event waiting;
and with nobody watching a process writes here once in five seconds.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio
from trio_asyncio import aio_as_trio

from storefront.dashboard.board import Heard
from storefront.errors import StoreUnavailableError
from storefront.store.redis_counts import Counts
from storefront.store.redis_lookups import cancellable_lookups
from storefront.store.redis_routes import Routes
from storefront.store.redis_scripts import PREFIX, Argument, Command

_STEM = f"{PREFIX}:{{dashboard}}:"
_PROCESSES, _WATCHED = _STEM + "processes", _STEM + "watched"
# Seconds for a look, and for closing. One that is late is left out: the next comes soon.
ANSWER_WITHIN = 0.5
CLOSED_WITHIN = 1.0
# Seconds that the others are told of a watcher: two of their slow looks.
WATCHED_FOR = 10
# Processes that are heard; of more the newest.
MOST = 128
# Seconds after its last word for which a process may be asked for it; then its name goes too.
_FORGOTTEN_AFTER = 60


class RedisBoard:
    """See `dashboard.board.Board`. Opened by `open_redis_board`."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._name = secrets.token_hex(8)

    async def exchange(self, told: bytes, *, now: float, life: float, watching: bool) -> Heard:
        """See `dashboard.board.Board`."""
        try:
            with trio.move_on_after(ANSWER_WITHIN):
                return await self._exchange(told, now, life, watching)
        except StoreUnavailableError:
            pass
        return Heard(watched=watching, away=True)

    async def _exchange(self, told: bytes, now: float, life: float, watching: bool) -> Heard:
        said: list[tuple[Argument, ...]] = [
            ("SET", _report(self._name), told, "PX", int(life * 1000)),
            ("ZADD", _PROCESSES, repr(now), self._name),
            ("ZREMRANGEBYSCORE", _PROCESSES, "-inf", repr(now - _FORGOTTEN_AFTER)),
            ("EXPIRE", _PROCESSES, _FORGOTTEN_AFTER),
        ]
        if watching:
            said.append(("SET", _WATCHED, "1", "EX", WATCHED_FOR))
        *_, watched, names = await self._ask(
            [*said, ("EXISTS", _WATCHED), ("ZREVRANGE", _PROCESSES, 0, MOST - 1)]
        )
        others = [name for name in map(bytes.decode, names) if name != self._name]
        found: Sequence[bytes | None] = ()
        if others:
            (found,) = await self._ask([("MGET", *map(_report, others))])
        return Heard([each for each in found if each is not None], bool(watched))

    async def _ask(self, said: Sequence[tuple[Argument, ...]]) -> Sequence[Any]:
        commands = [Command(_PROCESSES, words) for words in said]
        ask = aio_as_trio(self._routes.ask_aio)
        replies: Sequence[Any] = await ask(commands, trio.current_effective_deadline())
        return replies


def _report(name: str) -> str:
    return f"{_STEM}report:{name}"


@asynccontextmanager
async def open_redis_board(url: str) -> AsyncIterator[RedisBoard]:
    """The board in the Redis at this URL, whether it is there now or not. The island must be open.

    Raises:
        SettingsError: it is no such URL.
    """
    routes = Routes(url, Counts())
    with cancellable_lookups():
        try:
            yield RedisBoard(routes)
        finally:
            with trio.move_on_after(CLOSED_WITHIN, shield=True):
                await aio_as_trio(routes.close_aio)()
