"""The words in which a route is described: values only, put together in `document`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from storefront.web.openapi.schemas import GUID, Schema

JSON = "application/json"
Place = Literal["path", "query", "header"]

# What any question of a signed-in caller may come to (web/problems.py).
SIGNED_IN = (
    "bad-request",
    "not-signed-in",
    "not-allowed",
    "too-many-requests",
    "not-available",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """Something in the path, the query or a header.

    Attributes:
        extra: further members of the Parameter Object, such as `style`.
    """

    name: str
    words: str
    place: Place = "query"
    schema: Mapping[str, Any]
    required: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What comes back when all is well.

    Attributes:
        shape: the type of its JSON; None for an empty body, or where `schema` says it.
        schema: of what is no JSON of a type of ours.
        view: whether `isStale` and `meta` stand beside the shape's own fields.
        headers: names, described in `document`.
    """

    status: int
    words: str
    shape: Any = None
    schema: Schema | None = None
    view: bool = False
    media: str = JSON
    headers: tuple[str, ...] = ()
    example: str = ""
    extensions: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path.

    Attributes:
        paths: the design document's first, then those of the existing front end.
        name: unique, for generated clients.
        body: the type of the JSON that is sent, where any is.
        problems: names in web/problems.py; those that any route may answer go without saying.
        messages: statuses that come as `{"message"}`, as the existing front end expects.
        public: whether nobody has to prove who they are.
    """

    method: Literal["get", "post", "put", "patch", "delete"]
    paths: tuple[str, ...]
    name: str
    summary: str
    tag: str
    words: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: Any = None
    answers: tuple[Answer, ...]
    problems: tuple[str, ...] = ()
    messages: Mapping[int, str] = field(default_factory=dict)
    public: bool = False


def guid_in_path(name: str, words: str) -> Parameter:
    """An id in the path."""
    return Parameter(name=name, words=words, place="path", schema=GUID, required=True)
