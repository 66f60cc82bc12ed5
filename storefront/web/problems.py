"""Errors as application/problem+json (RFC 9457). Nothing internal in them.

`type` is stable and for programs; `title` is for people; `detail` says what this caller can do. The
types are written down in TYPES, from where the OpenAPI document has them.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from quart import Response

PREFIX = "urn:storefront:problem:"

# Name: the status it comes with, and what it means to a program.
TYPES: dict[str, tuple[int, str]] = {
    "bad-request": (400, "an id, a parameter or the body cannot be read"),
    "not-signed-in": (401, "no credentials, or none that prove anything any more"),
    "not-allowed": (403, "somebody else's data, or a cookie from a page that is not ours"),
    "not-found": (404, "there is no such thing, or it is not the caller's"),
    "http-404": (404, "there is no such path"),
    "http-405": (405, "the path does not know the method; `Allow` names those it knows"),
    "not-acceptable": (406, "the caller takes nothing that could be answered"),
    "http-413": (413, "the body is too large"),
    "http-415": (415, "the body is not JSON"),
    "refused": (422, "a service behind us refused it; the status is the service's own"),
    "too-many-requests": (429, "the caller asks too often; `Retry-After` says when to come back"),
    "failed": (500, "a bug of ours"),
    "bad-gateway": (502, "a service behind us answered what makes no sense"),
    "not-available": (503, "a service does not answer, and nothing is kept that could be shown"),
    "overloaded": (503, "there is too much to do, and nothing is kept that could be shown"),
    "outcome-unknown": (504, "a service did not say in time whether it did what it was told"),
}

# Those whose status is not ours to say.
ANY_STATUS = frozenset({"refused"})

TITLES = {
    400: "Bad request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported media type",
    429: "Too many requests",
    500: "Something went wrong",
    502: "Bad answer from a service",
    503: "Not available",
    504: "No answer in time",
}


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a request was not answered as wished (RFC 9457)."""

    type: str
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: str = ""
    # Of a command that failed: whether it may have been carried out, or certainly was not.
    outcome: Literal["unknown", "not-sent"] | None = None
    # Of a body: what is wrong, by the fields' names.
    errors: dict[str, list[str]] | None = None


def problem(
    status: int,
    name: str,
    detail: str = "",
    *,
    outcome: Literal["unknown", "not-sent"] | None = None,
    errors: dict[str, list[str]] | None = None,
    retry_after: int | None = None,
) -> Response:
    """A problem as a response.

    Args:
        status: of HTTP.
        name: completes the type, e.g. `not-signed-in`; one of TYPES.
        detail: what this caller can do.
        outcome: of a command.
        errors: of a body.
        retry_after: seconds after which to ask again; pages of other origins may read it.
    """
    told = Problem(
        type=PREFIX + name,
        title=TITLES.get(status, "Error"),
        status=status,
        detail=detail,
        outcome=outcome,
        errors=errors,
    )
    response = Response(msgspec.json.encode(told), status, content_type="application/problem+json")
    response.headers["Cache-Control"] = "no-store"
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="storefront"'
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
        response.headers["Access-Control-Expose-Headers"] = "Retry-After"
    return response
