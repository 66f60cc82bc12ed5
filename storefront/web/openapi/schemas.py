"""Our types as JSON Schema, as they look on the wire.

msgspec writes the schemas; it does not know what our encoders do beyond it: money is a number, an
Instant is text, an id is a GUID, and the docstrings speak of fields by their Python names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, get_args

import msgspec

from storefront.domain.ids import CartId, CheckoutId, CustomerId, OrderId, ReturnId, ShipmentId
from storefront.domain.instants import Instant
from storefront.downstream.answers import UNREASONABLE
from storefront.web.command_bodies import Amount, Named

Schema = dict[str, Any]

TEMPLATE = "#/components/schemas/{name}"
MOMENT: Schema = {"type": "string", "format": "date-time"}
GUID: Schema = {"type": "string", "format": "uuid"}

_IDS = (CartId, CheckoutId, CustomerId, OrderId, ReturnId, ShipmentId, Named)
# Python's patterns in the dialect of JSON Schema, which is JavaScript's: there `$` is the end and
# nothing else, where in Python a line end may follow; and fewer characters are blanks.
_DIALECT = {r"\S": r"[^\s\u001c-\u001f\u0085]"}
# What is taken for a price; what is told as one comes from the services, and is less strict.
_AMOUNT: Schema = {
    "type": "number",
    "minimum": 0,
    "exclusiveMaximum": int(UNREASONABLE),
    "multipleOf": 0.01,
}
_SNAKE = re.compile(r"`[a-z]+(?:_[a-z0-9]+)+`")


def schemas_of(types: Iterable[Any]) -> tuple[dict[Any, Schema], dict[str, Schema]]:
    """The schema of each type, and the components they refer to."""
    asked = list(types)
    found, components = msgspec.json.schema_components(
        asked, schema_hook=_foreign, ref_template=TEMPLATE
    )
    for kind in _structs(asked):
        _specify(kind, components[kind.__name__]["properties"])
    for schema in (*found, *components.values()):
        _as_written(schema)
    return dict(zip(map(_key, asked), found, strict=True)), components


def schema_of(kind: Any, known: dict[Any, Schema]) -> Schema:
    """The one that `schemas_of` found for this type."""
    return known[_key(kind)]


def _key(kind: Any) -> str:
    # list[X] and unions are equal without being the same.
    return repr(kind)


def _foreign(kind: type) -> Schema:
    if kind is Instant:
        return dict(MOMENT)
    # What msgspec asks a schema_hook to raise: a type that nobody has a schema for.
    raise NotImplementedError(kind)


def _structs(types: Iterable[Any], seen: set[Any] | None = None) -> Iterator[type[msgspec.Struct]]:
    """The structs in these types, and those in their fields."""
    seen = set() if seen is None else seen
    for kind in types:
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            if kind not in seen:
                seen.add(kind)
                yield kind
                yield from _structs((f.type for f in msgspec.structs.fields(kind)), seen)
        else:
            yield from _structs(get_args(kind), seen)


def _specify(kind: type[msgspec.Struct], properties: dict[str, Schema]) -> None:
    for field in msgspec.structs.fields(kind):
        parts = (field.type, *get_args(field.type))
        known = GUID if any(part in _IDS for part in parts) else None
        known = _AMOUNT if Amount in parts else known
        if known is not None:
            nullable = type(None) in parts
            properties[field.encode_name] = (
                {"anyOf": [dict(known), {"type": "null"}]} if nullable else dict(known)
            )


def _as_written(schema: Any) -> None:
    """Mend a schema and all within it, in place."""
    if isinstance(schema, list):
        for part in schema:
            _as_written(part)
    if not isinstance(schema, dict):
        return
    if schema.get("format") == "decimal":
        del schema["format"]
        schema["type"] = "number"
    if isinstance(pattern := schema.get("pattern"), str):
        schema["pattern"] = _DIALECT.get(pattern, pattern).replace(r"(?![\s\S])", "$")
    if isinstance(schema.get("description"), str):
        schema["description"] = _prose(schema["description"])
    for part in schema.values():
        _as_written(part)


def _prose(docstring: str) -> str:
    """A docstring as people outside read it: flowing, and with the names of the wire."""
    paragraphs = re.split(r"\n\s*\n", docstring.strip())
    flowing = "\n\n".join(" ".join(text.split()) for text in paragraphs)
    return _SNAKE.sub(lambda name: _camel(name[0]), flowing)


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)
