"""One Redis server: its connections, and question and answer over them.

asyncio's side of the shore (functions named `*_aio`). redis-py brings the connection: TCP, TLS or a
Unix socket, who we are, the protocol. Its client and its pool are left out: they wait and retry on
clocks of their own, and an exchange here is bounded by one deadline, that of the caller, which ends
it by cancelling it (hazards H22, H22b).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import trio
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection, parse_url
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, RedisError, ResponseError

from storefront.errors import SettingsError, StoreUnavailableError
from storefront.store.redis_counts import Counts
from storefront.store.redis_rest import Standing
from storefront.store.redis_scripts import Argument
from storefront.telemetry import tracing

# Seconds to a connection; an exchange that needs one must still be answered in time.
CONNECT_WITHIN = 0.25

# What a connection that cannot be made, or breaks, ends with. ValueError: what answered does not
# speak Redis's protocol.
WIRE_ERRORS = (RedisError, OSError, ValueError)

Reply = Any
"""bytes, int, None, a list of them, or the ResponseError of this one command."""

_OURS: dict[str, Any] = {
    # RESP2: the same on every version of Redis, and nothing comes unasked.
    "protocol": 2,
    # No timeouts but that for connecting: see the module's docstring.
    "socket_timeout": None,
    "socket_connect_timeout": CONNECT_WITHIN,
    "retry": None,
    "health_check_interval": 0,
    "driver_info": None,
    "decode_responses": False,
}


class Server:
    """A server by its address. At most as many connections as there are exchanges at once.

    Attributes:
        standing: how those who ask it have fared, where it is one of several.
        fell_silent: set, and then another, when one of them got no answer.
    """

    def __init__(self, pool: ConnectionPool, counts: Counts) -> None:
        self.standing = Standing()
        self.fell_silent = trio.Event()
        self._pool = pool
        self._counts = counts
        # The one used last is used next, so that after a burst the others are closed by the server
        # or the network and not by us.
        self._idle: list[AbstractConnection] = []

    @classmethod
    def at(cls, url: str, counts: Counts) -> Server:
        """The server at a URL of redis-py's.

        Raises:
            SettingsError: it is none. There may be a password anywhere in it, so nothing of it is
                repeated.
        """
        try:
            pool = ConnectionPool(**(parse_url(url) | _OURS))  # type: ignore[arg-type] # its TypedDict lacks what it takes
            _make(pool)
        except (ValueError, TypeError, RedisError):
            raise SettingsError(
                "STOREFRONT_REDIS_URL: expected redis://, rediss:// or unix://, and no options but"
                " redis-py's"
            ) from None
        return cls(pool, counts)

    def sibling(self, host: str, port: int) -> Server:
        """Another server of the same cluster, spoken to in the same way."""
        options = self._pool.connection_kwargs | {"host": host, "port": port}
        return Server(
            ConnectionPool(connection_class=self._pool.connection_class, **options), self._counts
        )

    @property
    def host(self) -> str:
        return str(self._pool.connection_kwargs.get("host", "localhost"))

    @property
    def database(self) -> int:
        return int(self._pool.connection_kwargs.get("db", 0))

    def __repr__(self) -> str:
        options = self._pool.connection_kwargs
        return str(options.get("path") or f"{self.host}:{options.get('port', 6379)}")

    def silent(self, why: BaseException, now: float) -> None:
        """Note that it did not answer."""
        self.standing.gone(why, now)
        self.fell_silent.set()
        self.fell_silent = trio.Event()

    async def exchange_aio(self, commands: Sequence[tuple[Argument, ...]]) -> list[Reply]:
        """Send all commands in one go; one reply for each.

        A connection that died while it was idle is replaced and the commands sent again: all of
        ours may be repeated.

        Raises:
            StoreUnavailableError: no connection, or it broke. Any of the commands may have been
                done.
        """
        with self._span(commands):
            try:
                connection = await self._take_idle_aio()
                if connection is not None:
                    try:
                        return await self._exchange_aio(connection, commands)
                    except RedisConnectionError:
                        self._counts.retries += 1
                        await self.hang_up_aio()
                return await self._exchange_aio(_make(self._pool), commands)
            except WIRE_ERRORS as exc:
                raise StoreUnavailableError(f"Redis at {self!r}: {exc}") from exc

    async def subscribe_aio(self, *channels: bytes) -> AbstractConnection:
        """A connection that has all of these confirmed; the caller's own, to be closed by it.

        Raises:
            StoreUnavailableError: there is none.
        """
        connection = _make(self._pool)
        try:
            await self._subscribe_on_aio(connection, channels)
        except WIRE_ERRORS as exc:
            raise StoreUnavailableError(f"Redis at {self!r}: {exc}") from exc
        return connection

    async def hang_up_aio(self) -> None:
        """Close the connections that are not in use."""
        while self._idle:
            await close_aio(self._idle.pop())

    def _span(self, commands: Sequence[tuple[Argument, ...]]) -> tracing.span:
        # Not what is said: there are customers' ids in the keys, and their events behind them.
        name = str(commands[0][0]) if len(commands) == 1 else "PIPELINE"
        about: dict[str, tracing.Value] = {
            "db.system.name": "redis",
            "db.namespace": str(self.database),
            "db.operation.name": name,
            "db.operation.batch.size": len(commands),
            "server.address": self.host,
        }
        return tracing.span(name, "client", attributes=about, only_within=True)

    async def _take_idle_aio(self) -> AbstractConnection | None:
        while self._idle:
            connection = self._idle.pop()
            # Something to read before anything was asked: it was closed, or must not be trusted.
            if connection.is_connected and not await connection.can_read():
                return connection
            await connection.disconnect(nowait=True)
        return None

    async def _connect_aio(self, connection: AbstractConnection) -> None:
        self._counts.connections += 1
        try:
            await connection.connect()  # type: ignore[no-untyped-call] # redis-py's
        except BaseException:
            await connection.disconnect(nowait=True)  # noqa: ASYNC102 - asyncio cancels once
            raise

    async def _subscribe_on_aio(
        self, connection: AbstractConnection, channels: Sequence[bytes]
    ) -> None:
        await self._connect_aio(connection)
        try:
            await connection.send_command("SUBSCRIBE", *channels)
            for _ in channels:
                await connection.read_response(disable_decoding=True, timeout=math.inf)
        except BaseException:
            await connection.disconnect(nowait=True)  # noqa: ASYNC102 - asyncio cancels once
            raise

    async def _exchange_aio(
        self, connection: AbstractConnection, commands: Sequence[tuple[Argument, ...]]
    ) -> list[Reply]:
        if not connection.is_connected:
            await self._connect_aio(connection)
        self._counts.round_trips += 1
        try:
            packed = connection.pack_commands(commands)
            await connection.send_packed_command(packed, check_health=False)
            replies = [await _reply_aio(connection) for _ in commands]
        except BaseException:
            # Cancelled too: a reply that nobody has read must never meet the next question.
            await connection.disconnect(nowait=True)  # noqa: ASYNC102 - asyncio cancels once
            raise
        if any(isinstance(reply, ReadOnlyError) for reply in replies):
            # It was made a replica: the name in the URL may stand for another server by now.
            await connection.disconnect(nowait=True)
            await self.hang_up_aio()
        else:
            self._idle.append(connection)
        return replies


async def close_aio(connection: AbstractConnection) -> None:
    """Close a connection and wait until it is closed: TLS has a farewell of its own."""
    with suppress(*WIRE_ERRORS):  # not in time, which is bounded by CONNECT_WITHIN
        await connection.disconnect()


def _make(pool: ConnectionPool) -> AbstractConnection:
    """One that is not connected yet."""
    made: AbstractConnection = pool.make_connection()  # type: ignore[no-untyped-call] # redis-py's
    return made


async def _reply_aio(connection: AbstractConnection) -> Reply:
    try:
        # inf: the caller's deadline, and none beside it.
        return await connection.read_response(disable_decoding=True, timeout=math.inf)
    except ResponseError as exc:
        return exc
