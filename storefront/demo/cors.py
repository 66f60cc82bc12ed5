"""Which pages of other origins may talk to a service, and in which words it says so.

Exact origins only. The real services have the shop in front of them and no CORS at all, and the
shop page needs none; a page that breaks things turns the services' knobs straight from the browser.
"""

from __future__ import annotations

from collections.abc import Collection

from storefront.demo.asgi import App, Event, Headers, Receive, Scope, Send, header

# Ten minutes, in seconds; every browser caps it at least there.
_REMEMBER = b"600"


class Cors:
    """ASGI: answers preflights, and adds the headers to everything else, faults included: the page
    should see the fault, not a CORS error that hides it.
    """

    def __init__(self, app: App, origins: Collection[str]) -> None:
        """`origins` is read at each request: it may be filled after the start, when the page's own
        port is known.
        """
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        allowed = self._allowed(scope)
        if scope["method"] == "OPTIONS":
            await _preflight(send, allowed)
            return

        async def send_with_origin(event: Event) -> None:
            if event["type"] == "http.response.start":
                event["headers"] = [*event["headers"], *allowed]
            await send(event)

        await self._app(scope, receive, send_with_origin)

    def _allowed(self, scope: Scope) -> Headers:
        origin = header(scope, b"origin")
        if origin is None or origin not in self._origins:
            return [(b"vary", b"Origin")]
        return [
            (b"vary", b"Origin"),
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-expose-headers", b"Location"),
        ]


async def _preflight(send: Send, allowed: Headers) -> None:
    headers: Headers = [
        *allowed,
        (b"access-control-allow-methods", b"GET, POST, PUT, DELETE"),
        (b"access-control-allow-headers", b"content-type, traceparent, tracestate"),
        (b"access-control-max-age", _REMEMBER),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
