"""Errors as application/problem+json (RFC 9457). Nothing internal in them.

`type` is stable and for programs; `title` is for people; `detail` says what this caller can do.
"""

from __future__ import annotations

import msgspec
from quart import Response

TYPES = "urn:storefront:problem:"

TITLES = {
    400: "Bad request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    413: "Too large",
    429: "Too many requests",
    500: "Something went wrong",
    503: "Not available",
}


def problem(status: int, name: str, detail: str = "") -> Response:
    """A problem as a response; `name` completes the type, e.g. `not-signed-in`."""
    told: dict[str, object] = {
        "type": TYPES + name,
        "title": TITLES.get(status, "Error"),
        "status": status,
    }
    if detail:
        told["detail"] = detail
    response = Response(msgspec.json.encode(told), status, content_type="application/problem+json")
    response.headers["Cache-Control"] = "no-store"
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="storefront"'
    return response
