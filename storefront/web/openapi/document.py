"""The OpenAPI 3.1 document, from the table of operations and from our types."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from storefront.queries.shapes import Meta, Shape
from storefront.web.openapi.describing import JSON, Answer, Operation, Parameter
from storefront.web.openapi.schemas import Schema, schema_of, schemas_of
from storefront.web.problems import ANY_STATUS, PREFIX, TITLES, TYPES, Problem

Document = dict[str, Any]
# Of what is promised, not of the program: it changes when something here is taken away or changed.
VERSION = "1.0.0"
PROBLEM_JSON = "application/problem+json"
# What any route may answer, whoever asks.
_ALWAYS = ("failed",)
# A service's own status, whichever it is.
_ANY_REFUSAL = "4XX"

_WORDS = """\
One customer's shop: views composed from the services behind, and a stream of what changes in them.

Every GET answers HEAD as well. Errors are problem+json (RFC 9457) with a stable `type`. Money is a
JSON number with its scale kept. `meta.streamPosition` of a view is the `lastEventId` to open the
stream with, so that nothing is missed in between."""

_TAGS = {
    "stream": "What changes, as it happens.",
    "views": "What there is to see, from the services or, where they fail, from the cache.",
    "commands": "What a customer does; passed on to the services, and never twice.",
    "staff": "For those who look after the shop: the dashboard, and one customer at a time.",
    "service": "For orchestrators, Prometheus and people.",
}

_HEADERS: dict[str, tuple[str, Schema]] = {
    "ETag": ("Weak, over the view and the states of its sources.", {"type": "string"}),
    "Cache-Status": ("How the answer came (RFC 9211).", {"type": "string"}),
    "Cache-Control": ("What a browser or a proxy may keep.", {"type": "string"}),
    "Storefront-Meta": ("`isStale` and `meta` of a bare array, as JSON.", {"type": "string"}),
    "Retry-After": ("Seconds after which to ask again.", {"type": "integer", "minimum": 1}),
    "WWW-Authenticate": ("Which credentials are taken.", {"type": "string"}),
    "Location": ("Where it is.", {"type": "string"}),
}
_OF_A_PROBLEM: dict[int | None, tuple[str, ...]] = {
    401: ("WWW-Authenticate",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}


class Message(Shape, frozen=True, kw_only=True):
    """A service's no, in its own words, for a person."""

    message: str


class Freshness(Shape, frozen=True, kw_only=True):
    """What stands beside a view's own fields. `is_stale`: the answer came from the cache."""

    is_stale: bool
    meta: Meta


def build(operations: Sequence[Operation], *, cookie_name: str) -> Document:
    """The document.

    Args:
        operations: what to describe.
        cookie_name: of the cookie that a signed-in browser sends.
    """
    known, components = schemas_of(_types(operations))
    components["Problem"] = _problem(components["Problem"])
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        for number, path in enumerate(operation.paths):
            paths.setdefault(path, {})[operation.method] = _operation(operation, number, known)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Storefront", "version": VERSION, "description": _WORDS},
        "servers": [{"url": "/"}],
        "tags": [
            {"name": name, "description": words}
            for name, words in _TAGS.items()
            if any(operation.tag == name for operation in operations)
        ],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "responses": {
                f"Problem{status}": _response_of(status, names)
                for status, names in _by_status(TYPES).items()
            },
            "headers": {
                name: {"description": words, "schema": schema}
                for name, (words, schema) in _HEADERS.items()
            },
            "securitySchemes": _security(cookie_name),
        },
    }


def _types(operations: Iterable[Operation]) -> list[Any]:
    found: list[Any] = [Problem, Freshness, Message]
    for operation in operations:
        found += [operation.body] if operation.body is not None else []
        for answer in operation.answers:
            found += [answer.shape] if answer.shape is not None else []
            for events in answer.extensions.values():
                found += events.values()
    return found


def _problem(schema: Schema) -> Schema:
    types = {"type": "string", "enum": [PREFIX + name for name in TYPES]}
    return {**schema, "properties": {**schema["properties"], "type": types}}


def _by_status(names: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        status = _ANY_REFUSAL if name in ANY_STATUS else str(TYPES[name][0])
        found.setdefault(status, []).append(name)
    return dict(sorted(found.items()))


def _response_of(status: str, names: Sequence[str]) -> dict[str, Any]:
    number = int(status) if status.isdigit() else None
    told: dict[str, Any] = {"type": {"enum": [PREFIX + name for name in names]}}
    if number is not None:
        told["status"] = {"const": number}
    schema = {"allOf": [{"$ref": "#/components/schemas/Problem"}], "properties": told}
    title = "Refused" if number is None else TITLES[number]
    words = [f"{title}.", *(f"`{PREFIX}{name}`: {TYPES[name][1]}." for name in names)]
    response = {
        "description": "\n\n".join(words),
        "content": {PROBLEM_JSON: {"schema": schema}},
    }
    return _with_headers(response, _OF_A_PROBLEM.get(number, ()))


def _operation(operation: Operation, number: int, known: dict[Any, Schema]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": operation.name if number == 0 else f"{operation.name}{number + 1}",
        "summary": operation.summary,
        "tags": [operation.tag],
    }
    if operation.words:
        told["description"] = operation.words
    if operation.parameters:
        told["parameters"] = [_parameter(each) for each in operation.parameters]
    if operation.body is not None:
        content = {JSON: {"schema": schema_of(operation.body, known)}}
        told["requestBody"] = {"required": True, "content": content}
    told["responses"] = _responses(operation, known)
    told["security"] = [] if operation.public else [{"bearer": []}, {"cookie": []}]
    return told


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.words,
        "required": parameter.required,
        "schema": dict(parameter.schema),
        **parameter.extra,
    }


def _responses(operation: Operation, known: dict[Any, Schema]) -> dict[str, Any]:
    names = (*operation.problems, *_ALWAYS)
    told: dict[str, Any] = {
        status: {"$ref": f"#/components/responses/Problem{status}"} for status in _by_status(names)
    }
    for status, words in operation.messages.items():
        content: dict[str, Any] = {JSON: {"schema": {"$ref": "#/components/schemas/Message"}}}
        if str(status) in told:
            among = [name for name in names if TYPES[name][0] == status]
            content |= _response_of(str(status), among)["content"]
        told[str(status)] = {"description": words, "content": content}
    for answer in operation.answers:
        told[str(answer.status)] = _answer(answer, known)
    return dict(sorted(told.items()))


def _answer(answer: Answer, known: dict[Any, Schema]) -> dict[str, Any]:
    told: dict[str, Any] = {"description": answer.words}
    schema = answer.schema
    if answer.shape is not None:
        schema = schema_of(answer.shape, known)
    if answer.view and schema is not None:
        schema = {"allOf": [schema, {"$ref": "#/components/schemas/Freshness"}]}
    if schema is not None:
        media: dict[str, Any] = {"schema": schema}
        if answer.example:
            media["example"] = answer.example
        for name, events in answer.extensions.items():
            media[name] = {event: schema_of(shape, known) for event, shape in events.items()}
        told["content"] = {answer.media: media}
    return _with_headers(told, answer.headers)


def _with_headers(told: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    return {**told, "headers": headers} if headers else told


def _security(cookie_name: str) -> dict[str, Any]:
    return {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        "cookie": {
            "type": "apiKey",
            "in": "cookie",
            "name": cookie_name,
            "description": (
                "The same token; taken only from pages of ours, as `Origin` or `Sec-Fetch-Site` "
                "tell. Whatever changes something needs one of the two."
            ),
        },
    }
