"""The browser client, as every deployment serves it: one ES module and its types.

At a stable path, so that a shop's pages import it from the service whose stream it reads, and the
two are never of different versions for longer than a cache may keep it.
"""

from __future__ import annotations

from functools import cache

from quart import Blueprint, Response

from storefront.web.files import UI, StaticFile, send_file

# Five minutes of the old client after a deploy are harmless: an unknown frame is passed over.
_HEADERS = {"Cache-Control": "public, max-age=300"}


def browser_client_routes() -> Blueprint:
    """`/storefront-client.js` and `/storefront-client.d.ts`, for everybody."""
    blueprint = Blueprint("browser_client", __name__)
    script = cache(lambda: StaticFile.at(UI / "storefront-client.js"))
    # No type of its own is registered for it; as video/mp2t, which is, nobody could read it.
    types = cache(
        lambda: StaticFile.of(
            (UI / "storefront-client.d.ts").read_bytes(), "text/plain; charset=utf-8"
        )
    )

    @blueprint.get("/storefront-client.js")
    async def client() -> Response:
        return send_file(script(), _HEADERS)

    @blueprint.get("/storefront-client.d.ts")
    async def client_types() -> Response:
        return send_file(types(), _HEADERS)

    return blueprint
