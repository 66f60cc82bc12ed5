"""/metrics on a port of its own, so that with several workers each can be asked: a bare ASGI app.

Nothing else is served there, nobody proves who they are, and no browser is meant.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from storefront.telemetry.metrics import CONTENT_TYPE, Metrics

Event = dict[str, Any]
App = Callable[
    [Event, Callable[[], Awaitable[Event]], Callable[[Event], Awaitable[None]]], Awaitable[None]
]

_ASKED = ("GET", "HEAD")


def metrics_app(metrics: Metrics) -> App:
    """The app."""

    async def app(
        scope: Event,
        _receive: Callable[[], Awaitable[Event]],
        send: Callable[[Event], Awaitable[None]],
    ) -> None:
        known = scope["path"] == "/metrics"
        status = 404 if not known else 200 if scope["method"] in _ASKED else 405
        body = metrics.exposition() if status == 200 else b""
        headers = [
            (b"content-type", CONTENT_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        told = b"" if scope["method"] == "HEAD" else body
        await send({"type": "http.response.body", "body": told, "more_body": False})

    return app
