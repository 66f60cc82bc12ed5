"""/openapi.json, and /docs for people. Both are made when they are first asked for: most processes
are never asked.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from hashlib import sha256

import msgspec
from quart import Blueprint, Response, request

from storefront.web.openapi.document import build
from storefront.web.openapi.operations import OPERATIONS
from storefront.web.openapi.page import STYLE, page_of

# Nothing but our own style sheet: no script, no font, no picture, and nobody frames it.
_POLICY = (
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def openapi_routes(cookie_name: str) -> Blueprint:
    """The document's routes.

    Args:
        cookie_name: of the cookie that a signed-in browser sends.
    """
    blueprint = Blueprint("openapi", __name__)
    # One document for as long as the process lives, so its tag is made once as well.
    document = cache(
        lambda: _tagged(msgspec.json.encode(build(OPERATIONS, cookie_name=cookie_name)))
    )
    page = cache(lambda: _tagged(page_of(build(OPERATIONS, cookie_name=cookie_name)).encode()))
    style = cache(lambda: _tagged(STYLE.read_bytes()))

    @blueprint.get("/openapi.json")
    async def described() -> Response:
        return _send(document, "application/json")

    @blueprint.get("/docs")
    async def docs() -> Response:
        return _send(page, "text/html; charset=utf-8")

    @blueprint.get("/docs/openapi.css")
    async def looks() -> Response:
        return _send(style, "text/css; charset=utf-8")

    return blueprint


def _tagged(content: bytes) -> tuple[bytes, str]:
    return content, sha256(content).hexdigest()[:16]


def _send(made: Callable[[], tuple[bytes, str]], content_type: str) -> Response:
    content, tag = made()
    response = Response(content, content_type=content_type)
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.set_etag(tag)
    if request.if_none_match.contains(tag):
        response.status_code = 304
        response.set_data(b"")
    return response
