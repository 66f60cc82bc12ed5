"""The document as a page: plain HTML that needs no script, no other host and no network of its own.

A template in ui/ says how it looks; here is only what the template has to be told.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from storefront.web.openapi.document import Document

UI = Path(__file__).parents[2] / "ui"
STYLE = UI / "openapi.css"

_REF = re.compile(r"#/components/(\w+)/([\w-]+)")
_CODE = re.compile(r"`([^`]+)`")


def page_of(document: Document) -> str:
    """The page."""
    templates = Environment(
        loader=FileSystemLoader(UI),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"prose": _prose, "kind": _kind, "json": _json}
    return templates.get_template("openapi.html").render(
        document=document,
        operations=_by_tag(document),
        resolved=lambda node: _resolved(document, node),
    )


def _by_tag(document: Document) -> dict[str, list[tuple[str, str, dict[str, Any]]]]:
    """(method, path, operation) under the tag of each, in the document's order."""
    found: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            found.setdefault(operation["tags"][0], []).append((method.upper(), path, operation))
    return found


def _resolved(document: Document, node: dict[str, Any]) -> dict[str, Any]:
    """What a `$ref` to a shared response or header stands for."""
    found = _REF.fullmatch(node.get("$ref", ""))
    if found is None:
        return node
    resolved: dict[str, Any] = document["components"][found[1]][found[2]]
    return resolved


def _prose(text: str) -> Markup:
    """Paragraphs, with `code` in them."""
    paragraphs = (
        _CODE.sub(r"<code>\1</code>", str(escape(paragraph))) for paragraph in text.split("\n\n")
    )
    return Markup("".join(f"<p>{paragraph}</p>" for paragraph in paragraphs))  # noqa: S704 - escaped above, piece by piece


def _kind(schema: dict[str, Any]) -> Markup:
    """A schema in a few words, with links to the shapes it is made of."""
    found = _REF.fullmatch(schema.get("$ref", ""))
    if found is not None:
        return Markup('<a href="#shape-{0}">{0}</a>').format(found[2])
    for key, word in (("anyOf", Markup(" or ")), ("allOf", Markup(" and "))):
        if key in schema:
            return word.join(_kind(part) for part in schema[key])
    if "enum" in schema:
        return Markup(" | ").join(
            Markup("<code>{}</code>").format(value) for value in schema["enum"]
        )
    if schema.get("type") == "array":
        return Markup("list of {}").format(_kind(schema["items"]))
    if "additionalProperties" in schema:
        return Markup("object of {}").format(_kind(schema["additionalProperties"]))
    words = [str(schema.get("type", "anything")), schema.get("format", "")]
    words += [_BOUNDS[key].format(schema[key]) for key in _BOUNDS if key in schema]
    return Markup("{}").format(", ".join(filter(None, words)))


_BOUNDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "maxLength": "up to {} characters",
    "pattern": "like {}",
}


def _json(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
