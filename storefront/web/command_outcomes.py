"""What became of a command, in the words of the existing front end (contracts.md section 3.1).

A service's no is handed on: 404, 400 and 409 as `{"message"}`, any other with its own status. Where
it let us down, the caller learns the one thing that matters before trying again: whether the
command may have been carried out (`outcome: unknown`) or certainly was not (`not-sent`).
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Literal

import msgspec
from quart import Response

from storefront.errors import (
    DownstreamError,
    DownstreamRefusedError,
    DownstreamTimeoutError,
    DownstreamUnavailableError,
)
from storefront.web.conditional import pause_after
from storefront.web.problems import problem

JSON = "application/json"
_encode = msgspec.json.Encoder().encode

# A service's words for a person; longer ones are not for a person.
_LONGEST_WORDS = 300
_USUAL_WORDS = {400: "This cannot be done", 409: "This is there already"}

# "Not now" and "not so often" (RFC 9110 and 6585).
_COME_BACK = frozenset({408, 425, 429, 503})

_LOOK_FIRST = "whether it was done is not known; look before you try again"
_NOTHING_SENT = "nothing was done; try again"


def done(told: object = None, status: int = HTTPStatus.OK, *, location: str = "") -> Response:
    """It was carried out; `told` is the body, none where there is nothing to tell."""
    response = Response(b"" if told is None else _encode(told), status)
    response.headers["Cache-Control"] = "no-store"
    if told is None:
        response.headers.pop("Content-Type", None)
    else:
        response.headers["Content-Type"] = JSON
    if location:
        response.headers["Location"] = location
        response.headers["Access-Control-Expose-Headers"] = "Location"
    return response


def missing(words: str) -> Response:
    """There is no such thing, or it is somebody else's: the same bytes."""
    return done({"message": words}, HTTPStatus.NOT_FOUND)


def failed(error: DownstreamError, *, sent: bool, not_there: str) -> Response:
    """It was not carried out, or nobody knows.

    Args:
        error: what the service did instead.
        sent: False where it was asked about the thing, and not yet told the command.
        not_there: the words for a 404.
    """
    if sent and isinstance(error, DownstreamRefusedError):
        return _refused(error, not_there)
    outcome: Literal["unknown", "not-sent"] = "unknown" if sent and error.reached else "not-sent"
    words = _LOOK_FIRST if outcome == "unknown" else _NOTHING_SENT
    if outcome == "unknown" and isinstance(error, DownstreamTimeoutError):
        return problem(504, "outcome-unknown", words, outcome=outcome)
    if outcome == "unknown" and not _says_not_now(error):
        return problem(502, "bad-gateway", words, outcome=outcome)
    response = problem(503, "not-available", words, outcome=outcome)
    response.headers["Retry-After"] = str(pause_after(error))
    response.headers["Access-Control-Expose-Headers"] = "Retry-After"
    return response


def _says_not_now(error: DownstreamError) -> bool:
    return isinstance(error, DownstreamUnavailableError) and error.status in _COME_BACK


def _refused(error: DownstreamRefusedError, not_there: str) -> Response:
    if error.status == HTTPStatus.NOT_FOUND:
        return missing(not_there)
    words = _words(error.body)
    if error.status in _USUAL_WORDS:
        return done({"message": words or _USUAL_WORDS[error.status]}, error.status)
    return problem(error.status, "refused", words)


class _Said(msgspec.Struct, frozen=True):
    """The forms in which the services say why (contracts.md section 2)."""

    errors: dict[str, list[str]] | None = None
    detail: str | None = None
    message: str | None = None
    error: str | None = None


_said = msgspec.json.Decoder(_Said)


def _words(body: bytes) -> str:
    """The reason, for a person; "" where the service gave none that is fit to be shown."""
    try:
        said = _said.decode(body)
    except (ValueError, RecursionError):
        return ""
    reasons = [words for each in (said.errors or {}).values() for words in each]
    given = [*reasons[:1], said.detail, said.message, said.error]
    words = next((each for each in given if each), "")
    return words if len(words) <= _LONGEST_WORDS and words.isprintable() else ""
