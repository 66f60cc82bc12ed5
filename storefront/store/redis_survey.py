"""Whether this Redis keeps what it was given, asked of it at the start and after every loss of it.

`appendonly yes` and `appendfsync always`: a write is on the disk before it is answered.
`noeviction`: a full Redis refuses a write and forgets none. One that will not say is not believed.
"""

from __future__ import annotations

import structlog
import trio
from trio_asyncio import aio_as_trio

from storefront.errors import StoreUnavailableError
from storefront.store.redis_routes import Routes
from storefront.store.redis_server import Server

log = structlog.get_logger(__name__)

NEEDED = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}


class Survey:
    """What is known of the servers. `within`: seconds for asking them."""

    def __init__(self, routes: Routes, *, within: float) -> None:
        self._routes = routes
        self._within = within
        self._said: list[str] | None = None

    async def look(self) -> bool:
        """Whether every server is durable; the log is told where that is news."""
        faults = ["it does not answer"]
        with trio.move_on_after(self._within):
            faults = await aio_as_trio(self._faults_aio)()
        if faults != self._said:
            self._said = faults
            if faults:
                log.warning("redis may lose what was acknowledged", faults=faults)
            else:
                log.info("redis keeps what it is given")
        return not faults

    async def _faults_aio(self) -> list[str]:
        try:
            servers = await self._routes.masters_aio()
            return sorted({fault for each in servers for fault in await _faults_of_aio(each)})
        except StoreUnavailableError as exc:
            return [str(exc)]


async def _faults_of_aio(server: Server) -> list[str]:
    # One by one: to ask for several at once is new in Redis 7.
    replies = await server.exchange_aio([("CONFIG", "GET", name) for name in NEEDED])
    faults = []
    for (name, needed), reply in zip(NEEDED.items(), replies, strict=True):
        found = "unknown"
        if isinstance(reply, list) and len(reply) == 2:
            found = reply[1].decode("utf-8", "replace")
        if found != needed:
            faults.append(f"{name} is {found}, not {needed}")
    return faults
