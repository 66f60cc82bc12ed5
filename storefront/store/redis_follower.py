"""How this process hears of events: one subscription, and the proof that it works.

Redis forgets an announcement the moment it is made, so whoever is not connected has missed it:
after every reconnection `lost` is called, and every stream reads the log. A connection that died
without a word, and a node that lost touch with its cluster, look like a quiet night. So every few
seconds, and when the server that is listened to did not answer somebody else, a canary is
announced, on a channel of this process, through each server that takes writes in turn; when it does
not come back, the subscription is made anew.

One channel carries all events, to every process. A channel per customer would spare a process the
others' events, at 20 us each (measured: 12 to hear it, the rest to read it; 2 % of a core at 1,000
events a second), and would cost every stream a confirmed round trip before it may read the log, and
every reconnection as many subscriptions as there are customers.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Awaitable, Callable
from itertools import count

import structlog
import trio
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ResponseError
from trio_asyncio import aio_as_trio

from storefront.errors import StoreUnavailableError
from storefront.store.contract import Listener
from storefront.store.redis_codec import UnreadableError, read_announcement
from storefront.store.redis_counts import Counts
from storefront.store.redis_routes import Routes
from storefront.store.redis_server import WIRE_ERRORS, Reply, Server, close_aio

log = structlog.get_logger(__name__)

# Seconds. Between two canaries, and for one to come back: a dead subscription is noticed after
# their sum at most, before the heartbeat's look at the log (30 s) would make up for it.
CANARY_EVERY, CANARY_WITHIN = 5.0, 2.0
CONFIRMED_WITHIN = 1.0
CLOSED_WITHIN = 1.0
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0


class Follower:
    """One follower of the store. Built and run by RedisStore.

    Args:
        routes: where the servers are.
        channel: what events are announced on.
        counts: what is counted.
        hear: is told of each entry, in the order of its announcement.
        lost: is told when some may have been missed.
        survey: is awaited whenever a subscription was confirmed, and again until it is content.
    """

    def __init__(
        self,
        routes: Routes,
        channel: str,
        counts: Counts,
        *,
        hear: Listener,
        lost: Callable[[], None],
        survey: Callable[[], Awaitable[bool]],
    ) -> None:
        self._routes = routes
        self._channel = channel.encode()
        self._canary = f"{channel}:canary:{secrets.token_hex(8)}".encode()
        self._counts = counts
        self._hear = hear
        self._lost = lost
        self._survey = survey
        self._turns = count()
        self._server: Server  # the one that is listened to
        self._returned = trio.Event()
        self._begun = False

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Follow until cancelled.

        `started()` once the subscription is confirmed, or the first attempt at it has failed: from
        then on nothing is missed without a call of `lost`, and a Redis that is down does not keep
        the shop closed.
        """
        pause = FIRST_PAUSE
        while True:
            began = trio.current_time()
            try:
                await self._live(task_status)
            except StoreUnavailableError as exc:
                if trio.current_time() - began > LONGEST_PAUSE:
                    pause = FIRST_PAUSE
                log.warning("no announcements from redis", error=str(exc), pause=pause)
                self._begin(task_status)
            await trio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _begin(self, task_status: trio.TaskStatus[None]) -> bool:
        """Say that we follow, the first time; whether it was."""
        if self._begun:
            return False
        self._begun = True
        task_status.started()
        return True

    async def _live(self, task_status: trio.TaskStatus[None]) -> None:
        """One life of a subscription; it ends with StoreUnavailableError."""
        connection = await self._subscribe()
        end = "a canary did not come back"
        try:
            self._counts.followings += 1
            if not self._begin(task_status):
                self._lost()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch, nursery.cancel_scope)
                end = await aio_as_trio(self._listen_aio)(connection)
                nursery.cancel_scope.cancel()
        finally:
            with trio.move_on_after(CLOSED_WITHIN, shield=True):
                await aio_as_trio(close_aio)(connection)
        raise StoreUnavailableError(end)

    async def _subscribe(self) -> AbstractConnection:
        with trio.move_on_after(CONFIRMED_WITHIN):
            connection: AbstractConnection = await aio_as_trio(self._subscribe_aio)()
            return connection
        raise StoreUnavailableError("the subscription was not confirmed in time")

    async def _watch(self, scope: trio.CancelScope) -> None:
        """Cancel the scope once a canary that was let out has not come back."""
        content = await self._survey()
        while True:
            with trio.move_on_after(CANARY_EVERY):
                await self._server.fell_silent.wait()
            content = content or await self._survey()
            self._returned = trio.Event()
            released = False
            with trio.move_on_after(CANARY_WITHIN):
                released = await aio_as_trio(self._release_aio)()
            # Where none could be let out, nothing is known of the subscription, and nobody who
            # fares like us can record.
            if released:
                with trio.move_on_after(CANARY_WITHIN):
                    await self._returned.wait()
                    continue
                scope.cancel()

    async def _next_server_aio(self) -> Server:
        servers = await self._routes.working_aio()
        return servers[next(self._turns) % len(servers)]

    async def _subscribe_aio(self) -> AbstractConnection:
        self._server = await self._next_server_aio()
        # The events' channel last: with its confirmation nothing else can have come.
        return await self._server.subscribe_aio(self._canary, self._channel)

    async def _release_aio(self) -> bool:
        try:
            server = await self._next_server_aio()
            (reply,) = await server.exchange_aio([("PUBLISH", self._canary, b"")])
        except StoreUnavailableError:
            return False
        return not isinstance(reply, ResponseError)

    async def _listen_aio(self, connection: AbstractConnection) -> str:
        """Hear what comes, as long as something can come; answers how it ended."""
        while True:
            try:
                message = await connection.read_response(disable_decoding=True, timeout=math.inf)
            except WIRE_ERRORS as exc:
                return str(exc)
            # Outside: an error of whoever hears is a bug, and goes up.
            self._take(message)

    def _take(self, message: Reply) -> None:
        if not isinstance(message, list) or len(message) != 3 or message[0] != b"message":
            return
        _, channel, data = message
        if channel == self._canary:
            self._returned.set()
            return
        try:
            entry = read_announcement(data)
        except UnreadableError as exc:
            self._counts.unreadable += 1
            # Whoever writes there may do so often: the 1st, 2nd, 4th, 8th ... is worth a line.
            if self._counts.unreadable.bit_count() == 1:
                log.warning("unreadable", error=str(exc), so_far=self._counts.unreadable)
            return
        self._counts.heard += 1
        self._hear((entry,))
