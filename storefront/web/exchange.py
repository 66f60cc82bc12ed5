"""One request and its answer. A stream goes on without Quart once its answer has begun.

Quart keeps two tasks, a nursery, the request and its contexts for as long as an answer lasts: right
for milliseconds, 10 KiB for each browser that listens for hours. So Quart opens a stream as it does
any other answer (who asks, what for, headers, refusals), sends status and headers, and is done.
And most streams it does not even open: a customer who proves who they are and asks for their own
needs nothing of what it does for a request, which is half of what an opening costs, and all of
them come at once after a restart. Whatever is not as simple as that is Quart's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import trio
from quart import Request, Response
from quart.utils import encode_headers
from quart_trio.asgi import TrioASGIHTTPConnection
from werkzeug.datastructures import Headers

from storefront.realtime.body import EventStreamBody
from storefront.telemetry import tracing
from storefront.web.request_lines import RequestLines, tell_request

# As ASGI 3 has them.
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


# From a request to the head and the body of its answer; None for one that is Quart's.
ShortWay = Callable[[Request], tuple[Headers, EventStreamBody] | None]


class Exchange(TrioASGIHTTPConnection):
    """Quart's own, but for an answer whose body is an `EventStreamBody`."""

    app: StreamingApp
    _stream: EventStreamBody | None = None

    async def __call__(self, receive: Receive, send: Send) -> None:
        if not await self._open_at_once(send):
            await super().__call__(receive, send)
        if self._stream is not None:
            await _stream(self._stream, self.scope, receive, send)

    async def _open_at_once(self, send: Send) -> bool:
        """Answer without routing, contexts and hooks, if there is nothing for them to do."""
        if self.scope["path"] != self.app.short_path or tracing.on():
            return False
        began = trio.current_time()
        opened = self.app.short_way(self._create_request_from_scope(send))
        if opened is None:
            return False
        headers, body = opened
        await self._begin(send, HTTPStatus.OK, headers, body)
        tell_request("GET", self.app.short_path, HTTPStatus.OK, trio.current_time() - began)
        return True

    async def _send_response(self, send: Send, response: Any) -> None:
        body = response.response if isinstance(response, Response) else None
        if isinstance(body, EventStreamBody):
            await self._begin(send, response.status_code, response.headers, body)
        else:
            await super()._send_response(send, response)

    async def _begin(
        self, send: Send, status: int, headers: Headers, body: EventStreamBody
    ) -> None:
        encoded = encode_headers(headers)
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        # Last: if the browser left meanwhile, nobody enters the body.
        self._stream = body


class StreamingApp(RequestLines):
    """Quart, of which a stream takes the short way where there is one.

    Attributes:
        short_path: the path that is asked for a stream; "" for none.
        short_way: opens it.
    """

    asgi_http_class = Exchange
    short_path = ""

    def take_short_way(self, path: str, way: ShortWay) -> None:
        """Have requests for this path answered so, if they can."""
        self.short_path, self.short_way = path, way


async def _stream(
    body: EventStreamBody,
    scope: Mapping[str, Any],
    receive: Receive,
    send: Send,
) -> None:
    """Write the body until it ends or the browser leaves."""
    connection = scope.get("state", {}).get("connection")
    if connection is not None:
        with trio.CancelScope() as here:
            connection.when_left(here.cancel)
            await _write(body, send)
        return
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_watch, receive, nursery.cancel_scope)
        await _write(body, send)
        nursery.cancel_scope.cancel()


async def _write(body: EventStreamBody, send: Send) -> None:
    async with body:
        async for data in body:
            await send({"type": "http.response.body", "body": data, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _watch(receive: Receive, left: trio.CancelScope) -> None:
    """For a client without a connection of ours: ASGI's own way to hear that it has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
    left.cancel()
