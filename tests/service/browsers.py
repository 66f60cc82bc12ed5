"""A browser in this process: streams through Quart-Trio's test client, parsed by rules of its own."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio
from quart_trio import QuartTrio
from quart_trio.testing.connections import TestHTTPConnection


class StreamConnection(TestHTTPConnection):
    """Quart-Trio's own connection waits for the response to end, which a stream never does."""

    async def __aexit__(self, exc_type, exc_value, traceback) -> None:
        await self._server_send.send({"type": "http.disconnect"})
        # The application may be waiting for somebody to take what it has written.
        self._client_receive.close()
        await self._nursery_manager.__aexit__(exc_type, exc_value, traceback)

    async def _asgi_send(self, message) -> None:
        try:
            await super()._asgi_send(message)
        except trio.BrokenResourceError:
            await trio.sleep_forever()


@dataclass
class Tab:
    """One open stream and all that came down it, with the time of arrival."""

    connection: StreamConnection
    came: list[tuple[float, str]] = field(default_factory=list)
    ended: trio.Event = field(default_factory=trio.Event)
    status: int | None = None

    async def read(self) -> None:
        buffer = b""
        try:
            while True:
                buffer += await self.connection.receive()
                self.status = self.connection.status_code
                *blocks, buffer = buffer.split(b"\n\n")
                now = trio.current_time()
                self.came += [(now, block.decode()) for block in blocks]
        except (trio.EndOfChannel, trio.ClosedResourceError):
            self.ended.set()

    @property
    def blocks(self) -> list[str]:
        return [block for _, block in self.came]

    @property
    def events(self) -> list[dict]:
        return [
            json.loads(data)
            for block in self.blocks
            if (data := data_of(block)) and "event:" not in block
        ]

    @property
    def ids(self) -> list[str]:
        return [
            found[1]
            for block in self.blocks
            if "data:" in block and (found := re.search(r"^id: (.*)$", block, re.MULTILINE))
        ]

    def controls(self, name: str) -> list[dict]:
        return [json.loads(data_of(block)) for block in self.blocks if f"event: {name}" in block]

    def times_of(self, text: str) -> list[float]:
        return [at for at, block in self.came if text in block]


def data_of(block: str) -> str:
    return "\n".join(line[6:] for line in block.split("\n") if line.startswith("data: "))


@asynccontextmanager
async def open_tab(
    app: QuartTrio, token: str | None, path: str = "/sse/storefront", **headers: str
) -> AsyncIterator[Tab]:
    """A stream that is being read until the block is left."""
    client = app.test_client()
    client.http_connection_class = StreamConnection
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    async with client.request(path, headers=named) as connection:
        await connection.send_complete()
        tab = Tab(connection)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tab.read)
            await trio.testing.wait_all_tasks_blocked()
            yield tab
            nursery.cancel_scope.cancel()
