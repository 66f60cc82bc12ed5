"""A view as an HTTP response: what the browser may keep of it, whether it still holds, and how the
answer came (RFC 9110 and 9111, Cache-Status of RFC 9211).

A browser keeps a view and asks each time whether it still holds: `private, no-cache` with a weak
ETag. A bare array has no place for `meta`; it travels in the header `Storefront-Meta`, one line of
JSON, which pages of other origins may read.
"""

from __future__ import annotations

import math
import re
from http import HTTPStatus

from quart import Request, Response

from storefront.errors import (
    DownstreamError,
    DownstreamOpenError,
    DownstreamUnavailableError,
)
from storefront.queries.rendering import Served, body_of, header_of

JSON = "application/json"
NOT_MODIFIED = HTTPStatus.NOT_MODIFIED
META = "Storefront-Meta"

# Who asks decides what is answered, and a browser's cache outlives a sign-out. A listing is
# everybody's.
_PRIVATE = {"Cache-Control": "private, no-cache", "Vary": "Accept, Authorization, Cookie"}
_PUBLIC = {"Cache-Control": "public, no-cache", "Vary": "Accept"}

_TAG = re.compile(r'(?:^|,)[ \t]*(?:W/)?("[^"]*")[ \t]*(?=,|$)')

# Seconds after which a browser may ask again, where the failure itself names none: the breaker's
# first pause. Beyond a minute a page has given up anyway.
_USUAL_PAUSE = 5
_LONGEST_PAUSE = 60


def takes_json(asked: Request) -> bool:
    """Whether the caller can read what we write; who says nothing about it can."""
    said = asked.headers.get("Accept")
    # What a script's fetch says, and most others.
    if not said or said == "*/*":
        return True
    return asked.accept_mimetypes.quality(JSON) > 0


def respond(asked: Request, served: Served, *, now: float, public: bool = False) -> Response:
    """The view, or 304 where the browser has it.

    Args:
        asked: the request, GET or HEAD.
        served: something that was found.
        now: seconds since 1970.
        public: whether it is everybody's.
    """
    status, headers, body = written(asked, served, now=now, public=public)
    if status == NOT_MODIFIED:
        unchanged = Response(b"", status, headers=headers)
        # Of the empty body; what it would say is about the view.
        unchanged.headers.pop("Content-Type", None)
        unchanged.headers.pop("Content-Length", None)
        return unchanged
    response = Response(b"" if asked.method == "HEAD" else body, headers=headers)
    response.headers["Content-Length"] = str(len(body))
    return response


def written(
    asked: Request, served: Served, *, now: float, public: bool = False
) -> tuple[int, dict[str, str], bytes]:
    """The same as status, headers without a length, and body."""
    headers = {
        "ETag": served.etag,
        "Cache-Status": cache_status(served),
        **(_PUBLIC if public else _PRIVATE),
    }
    if served.rendered.body.startswith(b"["):
        headers[META] = header_of(served, now=now)
    if holds(asked.headers.getlist("If-None-Match"), served.etag):
        return NOT_MODIFIED, headers, b""
    headers["Content-Type"] = JSON
    return HTTPStatus.OK, headers, body_of(served, now=now)


def holds(if_none_match: list[str], etag: str) -> bool:
    """Whether one of the tags a browser has is this one; weakly, as RFC 9110 section 13.1.2 has it
    for reading. Anything that cannot be read matches nothing.
    """
    given = ",".join(if_none_match).strip()
    if not given:
        return False
    return given == "*" or etag.removeprefix("W/") in _TAG.findall(given)


def cache_status(served: Served) -> str:
    """How the answer came, in the words of RFC 9211."""
    if served.freshness != "live" and served.forwarded is None:
        ttl = "" if served.ttl is None else f"; ttl={math.floor(served.ttl)}"
        return f"storefront; hit{ttl}"
    parts = ["storefront", f"fwd={served.forwarded or 'uri-miss'}"]
    parts += ["stored"] if served.stored else []
    parts += ["collapsed"] if served.collapsed else []
    return "; ".join(parts)


def pause_after(error: DownstreamError) -> int:
    """Seconds after which asking again may help: 1 to 60."""
    said: float | None = None
    if isinstance(error, DownstreamOpenError):
        said = error.retry_in
    elif isinstance(error, DownstreamUnavailableError):
        said = error.retry_after
    return _USUAL_PAUSE if said is None else min(max(math.ceil(said), 1), _LONGEST_PAUSE)
