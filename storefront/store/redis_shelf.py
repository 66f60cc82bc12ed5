"""Views on a shelf in Redis, for any number of processes: what one composed, all answer with.

A view lies in the key slot of its customer, beside the generation it is compared with, so that both
come in one exchange, and keeping it is one script that compares first. An entry goes by itself when
its time is over. The connections are not those of the log, views that wait for a slow Redis keep no
event waiting; and exchanges are shared by all who ask at the same time (redis_batcher.py).

Trouble is no error here: a Redis that does not answer in time, or says no, is one on which nothing
lies, and is left alone for a while (redis_rest.py). What ails a single key (it is of a wrong type)
is no trouble of Redis's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Literal

import trio
from trio_asyncio import aio_as_trio

from storefront.domain.ids import CustomerId
from storefront.errors import StoreUnavailableError
from storefront.store.contract import Refused
from storefront.store.redis_batcher import Batcher, Replies
from storefront.store.redis_counts import Counts
from storefront.store.redis_lookups import cancellable_lookups
from storefront.store.redis_refusals import OWN
from storefront.store.redis_rest import Rest
from storefront.store.redis_routes import Routes
from storefront.store.redis_scripts import Command, Keys, Script, script_text
from storefront.store.redis_server import Reply
from storefront.telemetry.metrics import Reading

# Seconds: design.md. A view that is slower from the cache than from the services is no use.
READ_WITHIN = 0.1
WRITE_WITHIN = 0.25
# An exchange may take so many times as long as a reader waits. A reader who goes without costs a
# composition; an exchange that is given up costs its connection, and a rest. Where it is this
# process that is slow, only the first is right.
PATIENCE = 3
# Bytes. A view of 100 lines has about 25 KB; one that is larger by so much is not kept, for the
# memory is the log's as well, and Redis is one thread.
LARGEST = 512 * 1024
CLOSED_WITHIN = 1.0

# As in queries/cache_shelf.py, which is not for this room to know.
Keeping = Literal["kept", "too large", "overtaken", "unknown"]


@dataclass(slots=True)
class ShelfCounts:
    """Counters since it was opened.

    Attributes:
        looks, keeps: that were answered.
        refused: keeps whose generation was another.
        failures: exchanges without an answer, in time or at all, from one of the servers concerned.
        spared: exchanges that were left out while Redis is left alone.
        odd: keys of a customer that are not as we left them.
        too_large: views that were not kept for it.
    """

    looks: int = 0
    keeps: int = 0
    refused: int = 0
    failures: int = 0
    spared: int = 0
    odd: int = 0
    too_large: int = 0


class RedisShelf:
    """See `queries.cache_shelf.Shelf`. Opened by `open_redis_shelf`."""

    def __init__(self, routes: Routes, *, read_within: float, write_within: float) -> None:
        self._routes = routes
        self._reads = self._batcher(read_within)
        self._writes = self._batcher(write_within)
        self._script = Script(script_text("keep"), refusable=True)
        self._rest = Rest()
        self._counts = ShelfCounts()

    async def run(self) -> None:
        """Carry questions and answers until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._reads.run)
            nursery.start_soon(self._writes.run)

    async def look(self, customer: CustomerId, key: str) -> tuple[str | None, bytes | None]:
        """See `queries.cache_shelf.Shelf`."""
        numbering, view = Keys.of(customer).numbering, view_key(customer, key)
        # In whatever order they are answered: an entry that is of a generation which was current
        # at some moment of this exchange is fresh at that moment.
        commands = [
            Command(numbering, ("HGET", numbering, "generation"), refusable=True),
            Command(view, ("GET", view), refusable=True),
        ]
        replies = await self._reads.ask(view, commands)
        if replies is None:
            return None, None
        generation, entry = replies
        if _is_away(generation):
            return None, None
        self._counts.looks += 1
        self._counts.odd += isinstance(generation, Refused) + isinstance(entry, Refused)
        if isinstance(generation, Refused):
            return None, None
        found = None if isinstance(entry, Refused) else entry
        return (generation or b"").decode("utf-8", "replace"), found

    async def keep(
        self, customer: CustomerId, key: str, generation: str, entry: bytes, seconds: float
    ) -> Keeping:
        """See `queries.cache_shelf.Shelf`."""
        if len(entry) > LARGEST:
            return await self._keep_too_large(customer, key, generation)
        keys = [Keys.of(customer).numbering, view_key(customer, key)]
        milliseconds = max(1, int(seconds * 1000))
        command = self._script.call(keys, [generation, entry, milliseconds])
        # Nobody else's: two that keep the same are of two readings.
        replies = await self._writes.ask(object(), [command])
        if replies is None or _is_away(replies[0]):
            return "unknown"
        self._counts.keeps += 1
        if isinstance(replies[0], Refused):
            self._counts.odd += 1
            return "unknown"
        self._counts.refused += not replies[0]
        return "kept" if replies[0] else "overtaken"

    async def _keep_too_large(self, customer: CustomerId, key: str, generation: str) -> Keeping:
        # It is not sent, and its generation is told all the same.
        self._counts.too_large += 1
        current, _ = await self.look(customer, key)
        if current is None:
            return "unknown"
        return "too large" if current == generation else "overtaken"

    def statistics(self) -> ShelfCounts:
        """What was counted since it was opened."""
        return replace(self._counts)

    def readings(self) -> Iterable[Reading]:
        """See `queries.cache_shelf.Shelf`."""
        for name in (each.name for each in fields(self._counts)):
            words = f"Of the views in Redis: {name.replace('_', ' ')}."
            yield f"storefront_cache_redis_{name}_total", words, {}, getattr(self._counts, name)
        words = "How often Redis was left alone for a while."
        yield "storefront_cache_redis_rests_total", words, {}, self._rest.begun

    def _batcher(self, within: float) -> Batcher:
        patience = PATIENCE * within
        return Batcher(partial(self._ask, patience), within=within, patience=patience)

    async def _ask(self, within: float, commands: Sequence[Command]) -> Replies | None:
        """The replies; None where there are none in time, or Redis is left alone."""
        if not self._rest.may_ask(trio.current_time()):
            self._counts.spared += 1
            await trio.lowlevel.checkpoint()
            return None
        try:
            with trio.move_on_after(within) as scope:
                replies: Replies = await aio_as_trio(self._routes.ask_aio)(commands, scope.deadline)
                self._rest.over()
                self._counts.failures += any(map(_is_away, replies))
                return replies
        except StoreUnavailableError:
            pass
        except BaseException:
            self._rest.left()
            raise
        self._counts.failures += 1
        self._rest.trouble(trio.current_time())
        return None


def _is_away(reply: Reply) -> bool:
    """Whether it is the trouble of one server of a cluster, and says nothing of the key."""
    return isinstance(reply, Refused) and reply.kind not in OWN


def view_key(customer: CustomerId, key: str) -> str:
    """Where a view lies: in the slot of its customer's other keys."""
    return Keys.of(customer).views + key


@asynccontextmanager
async def open_redis_shelf(
    url: str, *, read_within: float = READ_WITHIN, write_within: float = WRITE_WITHIN
) -> AsyncIterator[RedisShelf]:
    """The shelf in the Redis at this URL, whether it is there now or not. The island must be open.

    Args:
        url: as `open_redis_store` takes it.
        read_within: seconds for a look.
        write_within: seconds to keep something.

    Raises:
        SettingsError: it is no such URL.
    """
    routes = Routes(url, Counts())
    with cancellable_lookups():
        try:
            shelf = RedisShelf(routes, read_within=read_within, write_within=write_within)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(shelf.run)  # noqa: ASYNC113 - this run says nothing when it begins
                yield shelf
                nursery.cancel_scope.cancel()
        finally:
            with trio.move_on_after(CLOSED_WITHIN, shield=True):
                await aio_as_trio(routes.close_aio)()
