"""What the simulated services say and hear: bodies in, answers out.

The conventions are ASP.NET's as the real services configure it (contracts.md section 2): camelCase,
nulls omitted unless a service says otherwise, problem+json for what is refused.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol, TypeVar

import msgspec
from quart import Response, request

from storefront.demo.messages import encode
from storefront.demo.refusals import InvalidError, RefusedError

JSON = "application/json; charset=utf-8"
PROBLEM = "application/problem+json"

View = Callable[..., Awaitable[Response]]

T = TypeVar("T")


class Lines(Protocol):
    """Whatever holds an address."""

    @property
    def line1(self) -> str: ...
    @property
    def line2(self) -> str | None: ...
    @property
    def city(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def postal_code(self) -> str: ...
    @property
    def country(self) -> str: ...


def address_lines(address: Lines) -> dict[str, object]:
    """An address as checkouts and Customer Identity write it (contracts.md 2.2 and 2.4)."""
    return {
        "addressLine1": address.line1,
        "addressLine2": address.line2,
        "city": address.city,
        "stateOrProvince": address.state,
        "postalCode": address.postal_code,
        "country": address.country,
    }


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint."""

    method: str
    path: str
    view: View


class Command(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A body that is read. Fields it does not name are passed over, as System.Text.Json does."""


async def read(kind: type[T]) -> T:
    """The request's body.

    Raises:
        msgspec.DecodeError: it is no such thing; the app answers 400.
    """
    return msgspec.json.decode(await request.get_data(as_text=False), type=kind)


def reply(
    value: object,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    *,
    nulls: bool = False,
) -> Response:
    """A JSON answer, its nulls omitted unless asked for."""
    body = encode(value if nulls else _without_nulls(value))
    return Response(body, status, dict(headers or {}), content_type=JSON)


def done() -> Response:
    """204."""
    return Response(b"", HTTPStatus.NO_CONTENT)


def created(url: str, value: str) -> Response:
    """Wolverine's CreationResponse: 201, `Location`, and both again in the body."""
    return reply({"value": value, "url": url}, HTTPStatus.CREATED, {"Location": url})


def refused(error: RefusedError) -> Response:
    """The refusal as problem+json."""
    problem: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
    }
    if isinstance(error, InvalidError):
        problem |= {"title": str(error), "errors": error.errors}
    else:
        problem["detail"] = str(error)
    return Response(encode(problem), error.status, content_type=PROBLEM)


def guid(text: str) -> str:
    """A guid from a path in its canonical spelling; anything else as it is: nothing has that id."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return text


def whole_number(text: str | None, fallback: int) -> int:
    """A number from a query; what is none counts as not given."""
    try:
        return int(text or fallback)
    except ValueError:
        return fallback


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list | tuple):
        return [_without_nulls(v) for v in value]
    return value
