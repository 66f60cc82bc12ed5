"""/openapi.json, and /docs for people. Both are made when they are first asked for: most processes
are never asked.
"""

from __future__ import annotations

from functools import cache

import msgspec
from quart import Blueprint, Response

from storefront.web.files import TYPES, StaticFile, send_file
from storefront.web.openapi.document import build
from storefront.web.openapi.operations import OPERATIONS
from storefront.web.openapi.page import STYLE, page_of

# Nothing but our own style sheet: no script, no font, no picture, and nobody frames it.
_POLICY = (
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS = {"Cache-Control": "no-cache", "Content-Security-Policy": _POLICY}


def openapi_routes(cookie_name: str) -> Blueprint:
    """The document's routes.

    Args:
        cookie_name: of the cookie that a signed-in browser sends.
    """
    blueprint = Blueprint("openapi", __name__)
    # One document for as long as the process lives, so its tag is made once as well.
    document = cache(
        lambda: StaticFile.of(
            msgspec.json.encode(build(OPERATIONS, cookie_name=cookie_name)), "application/json"
        )
    )
    page = cache(
        lambda: StaticFile.of(
            page_of(build(OPERATIONS, cookie_name=cookie_name)).encode(), TYPES[".html"]
        )
    )
    style = cache(lambda: StaticFile.at(STYLE))

    @blueprint.get("/openapi.json")
    async def described() -> Response:
        return send_file(document(), _HEADERS)

    @blueprint.get("/docs")
    async def docs() -> Response:
        return send_file(page(), _HEADERS)

    @blueprint.get("/docs/openapi.css")
    async def looks() -> Response:
        return send_file(style(), _HEADERS)

    return blueprint
