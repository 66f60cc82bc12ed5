"""One request and its answer. A stream goes on without Quart once its answer has begun.

Quart keeps two tasks, a nursery, the request and its contexts for as long as an answer lasts: right
for milliseconds, 10 KiB for each browser that listens for hours. So Quart opens a stream as it does
any other answer (who asks, what for, headers, refusals), sends status and headers, and is done.
And most streams it does not even open: a customer who proves who they are and asks for their own
needs nothing of what it does for a request, which is half of what an opening costs, and all of
them come at once after a restart. Whatever is not as simple as that is Quart's.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
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


Answer = tuple[int, Headers, EventStreamBody | bytes]


@dataclass(frozen=True, slots=True)
class ShortWay:
    """Requests that may be answered without routing, contexts and hooks.

    Attributes:
        path: what their path matches, in whole.
        route: what they are called in the log.
        answer: status, headers and body, from the request and what the pattern found; None for one
            that is Quart's. Nothing is done then, and Quart begins anew. It never raises what is
            not a bug of ours.
    """

    path: re.Pattern[str]
    route: str
    answer: Callable[[Request, re.Match[str]], Awaitable[Answer | None]]


class Exchange(TrioASGIHTTPConnection):
    """Quart's own, but for an answer whose body is an `EventStreamBody`, and for short ways."""

    app: ShortApp
    _stream: EventStreamBody | None = None

    async def __call__(self, receive: Receive, send: Send) -> None:
        if not await self._answer_at_once(send):
            await super().__call__(receive, send)
        if self._stream is not None:
            await _stream(self._stream, self.scope, receive, send)

    async def _answer_at_once(self, send: Send) -> bool:
        if self.scope["method"] != "GET" or tracing.on():
            return False
        for way in self.app.short_ways:
            found = way.path.fullmatch(self.scope["path"])
            if found is None:
                continue
            began = trio.current_time()
            answer = await way.answer(self._create_request_from_scope(send), found)
            if answer is None:
                return False
            status, headers, body = answer
            await self._begin(send, status, headers, body)
            tell_request("GET", way.route, status, trio.current_time() - began)
            return True
        return False

    async def _send_response(self, send: Send, response: Any) -> None:
        body = response.response if isinstance(response, Response) else None
        if isinstance(body, EventStreamBody):
            await self._begin(send, response.status_code, response.headers, body)
        else:
            await super()._send_response(send, response)

    async def _begin(
        self, send: Send, status: int, headers: Headers, body: EventStreamBody | bytes
    ) -> None:
        encoded = encode_headers(headers)
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        if isinstance(body, bytes):
            await send({"type": "http.response.body", "body": body, "more_body": False})
        else:
            # Last: if the browser left meanwhile, nobody enters the body.
            self._stream = body


class ShortApp(RequestLines):
    """Quart with short ways for what is asked most, where there is nothing for it to do."""

    asgi_http_class = Exchange

    def __init__(self, name: str) -> None:
        super().__init__(name, static_folder=None)
        self.short_ways: list[ShortWay] = []


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
