"""The browser client, as every deployment serves it: one ES module and its types.

At a stable path, so that a shop's pages import it from the service whose stream it reads, and the
two are never of different versions for longer than a cache may keep it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path

from quart import Blueprint, Response, request

UI = Path(__file__).parents[1] / "ui"

# Five minutes of the old client after a deploy are harmless: an unknown frame is passed over.
_CACHING = "public, max-age=300"


def browser_client_routes() -> Blueprint:
    """`/storefront-client.js` and `/storefront-client.d.ts`, for everybody."""
    blueprint = Blueprint("browser_client", __name__)
    script = _read_once(UI / "storefront-client.js")
    types = _read_once(UI / "storefront-client.d.ts")

    @blueprint.get("/storefront-client.js")
    async def client() -> Response:
        return _send(script, "text/javascript; charset=utf-8")

    @blueprint.get("/storefront-client.d.ts")
    async def client_types() -> Response:
        # No type of its own is registered for it; as video/mp2t, which is, nobody could read it.
        return _send(types, "text/plain; charset=utf-8")

    return blueprint


def _read_once(path: Path) -> Callable[[], tuple[bytes, str]]:
    @cache
    def read() -> tuple[bytes, str]:
        content = path.read_bytes()
        return content, sha256(content).hexdigest()[:16]

    return read


def _send(made: Callable[[], tuple[bytes, str]], content_type: str) -> Response:
    content, tag = made()
    response = Response(content, content_type=content_type)
    response.headers["Cache-Control"] = _CACHING
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.set_etag(tag)
    if request.if_none_match.contains(tag):
        response.status_code = 304
        response.set_data(b"")
    return response
