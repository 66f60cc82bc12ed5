"""The document says what the routes are: none is missing, none is invented, and the page shows them all."""

from __future__ import annotations

import ast
import json
import re
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
import schemathesis
import trio

import storefront
from storefront.domain.events import CartUpdated, encode
from storefront.domain.ids import CartId, CustomerId
from storefront.domain.instants import Instant
from storefront.queries.rendering import SCHEMA, Rendered, Served, body_of
from storefront.queries.shapes import CartView, LineItem
from storefront.settings import AuthSettings, StreamSettings
from storefront.web.app import create_app
from storefront.web.openapi.document import build
from storefront.web.openapi.events import CONTROL_FRAMES
from storefront.web.openapi.operations import OPERATIONS
from storefront.web.parts import WebParts
from storefront.web.problems import ANY_STATUS, PREFIX, TITLES, TYPES
from tests.service.browsers import data_of, open_tab
from tests.service.conftest import ALICE, world
from tests.web.signing import tokens

__all__ = ["world"]

SOURCE = Path(storefront.__file__).parent
ROOMS = ("hub", "heartbeat", "fan_out", "log", "pauses", "metrics", "readiness")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return build(OPERATIONS, cookie_name="storefront")


@pytest.fixture
def app():
    parts = WebParts(
        auth=AuthSettings(cookie_name="storefront"),
        streams=StreamSettings(),
        tokens=tokens(),
        clock=lambda: 0.0,
        views=object(),
        commands=object(),
        tickets=object(),
        dashboard=object(),
        **dict.fromkeys(ROOMS),
    )
    return create_app(parts)


def anonymous(path: str) -> str:
    """A path without the names of what is in it, as Werkzeug and OpenAPI spell them."""
    return re.sub(r"<[^>]*>|{[^}]*}", "{}", path)


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def nodes(node):
    yield node
    parts = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for part in parts:
        yield from nodes(part)


# What there is.


def test_every_route_is_described_and_nothing_else(app, document):
    routes = {
        (anonymous(rule.rule), method)
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    described = {(anonymous(path), method.upper()) for path, method, _ in operations(document)}
    assert described == routes


def test_every_parameter_of_a_path_is_described_and_nothing_else(document):
    for path, _, operation in operations(document):
        described = [p for p in operation.get("parameters", ()) if p["in"] == "path"]
        assert [p["name"] for p in described] == re.findall(r"{(\w+)}", path)
        assert all(p["required"] for p in described)


def test_every_operation_has_a_name_of_its_own(document):
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)


def test_it_is_openapi_3_1(document):
    schemathesis.openapi.from_dict(document).validate()
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate({"$schema": DIALECT, **schema})


DIALECT = "https://json-schema.org/draft/2020-12/schema"


def test_whatever_it_refers_to_is_there_and_all_that_is_there_is_referred_to(document):
    referred = {
        node["$ref"] for node in nodes(document) if isinstance(node, dict) and "$ref" in node
    }
    there = {
        f"#/components/{kind}/{name}"
        for kind in ("schemas", "responses", "headers")
        for name in document["components"][kind]
    }
    # Of a path that is not there and a method that is not known there is no operation.
    unused = {f"#/components/responses/Problem{status}" for status in (405,)}
    assert referred == there - unused


def test_nobody_may_do_without_a_token_what_only_a_customer_may(document):
    public = {path for path, _, operation in operations(document) if not operation["security"]}
    assert public == {
        "/api/products",
        "/api/storefront/products",
        "/health/live",
        "/health/ready",
        "/metrics",
        "/openapi.json",
        "/docs",
        "/docs/openapi.css",
        "/storefront-client.js",
        "/storefront-client.d.ts",
        "/admin",
        "/admin/ui/{name}",
        "/admin/session",  # DELETE: whoever is no longer known may still sign out
    }
    for _, _, operation in operations(document):
        told = {"401", "403"} & set(operation["responses"])
        assert told == ({"401", "403"} if operation["security"] else set())
    assert document["components"]["securitySchemes"]["cookie"]["name"] == "storefront"


# Errors.


def called(name: str):
    """(arguments, keywords) of each call of a function of this name in web/."""
    for path in sorted((SOURCE / "web").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name:
                yield node.args


def test_every_problem_that_is_answered_is_one_of_the_types_with_its_status():
    answered = {
        (status.value, name.value)
        for status, name, *_ in called("problem")
        if isinstance(status, ast.Constant) and isinstance(name, ast.Constant)
    }
    assert answered
    assert answered <= {(status, name) for name, (status, _) in TYPES.items()}
    by_name = {name.value for _, name, *_ in called("problem") if isinstance(name, ast.Constant)}
    assert by_name <= set(TYPES)


def test_the_types_are_an_enumeration_with_a_title_each(document):
    schema = document["components"]["schemas"]["Problem"]
    assert schema["properties"]["type"]["enum"] == [PREFIX + name for name in TYPES]
    assert {status for name, (status, _) in TYPES.items() if name not in ANY_STATUS} <= set(TITLES)
    for status in (401, 403, 404, 406, 429, 503):
        assert f"Problem{status}" in document["components"]["responses"]
    for status in (429, 503):
        response = document["components"]["responses"][f"Problem{status}"]
        assert list(response["headers"]) == ["Retry-After"]


# Shapes.


def validator(document, name: str):
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)


def test_a_view_is_as_described_and_money_is_a_number(document):
    line = msgspec.convert(
        {"sku": "A", "productName": "B", "productImageUrl": "", "quantity": 2, "unitPrice": "19.90", "lineTotal": "39.80"},
        LineItem,
        strict=False,
    )  # fmt: skip
    view = CartView(
        cart_id=CartId(ALICE), customer_id=CustomerId(ALICE), items=[line], subtotal=line.line_total
    )
    body = msgspec.json.Encoder(decimal_format="number").encode(view)
    kept = Rendered(SCHEMA, body, "e", {"shopping": ("ok", 3)}, None, 0.0, CustomerId(ALICE))
    told = json.loads(body_of(Served(rendered=kept), now=1.0))
    for name in ("CartView", "Freshness"):
        validator(document, name).validate(told)
    assert told["subtotal"] == 39.8
    with pytest.raises(jsonschema_rs.ValidationError):
        validator(document, "CartView").validate({**told, "subtotal": "39.80"})
    with pytest.raises(jsonschema_rs.ValidationError):
        validator(document, "CartView").validate({**told, "customerId": "nobody"})


def test_an_event_is_as_described(document):
    event = CartUpdated(
        cart_id=CartId(ALICE),
        customer_id=CustomerId(ALICE),
        item_count=1,
        total_amount=Decimal("39.98"),
        occurred_at=Instant("2026-02-17T21:58:44.1234567+00:00"),
    )
    validator(document, "CartUpdated").validate(json.loads(encode(event)))
    media = document["paths"]["/sse/storefront"]["get"]["responses"]["200"]["content"]
    assert set(media["text/event-stream"]["x-events"]) == {"message", *CONTROL_FRAMES}


def test_no_python_shows_in_the_words(document):
    words = [
        node["description"]
        for node in nodes(document)
        if isinstance(node, dict) and isinstance(node.get("description"), str)
    ]
    assert words
    assert not [text for text in words if re.search(r"\w_\w|Attributes:|Args:|  ", text)]


def control_frames() -> set[str]:
    """The names of all control frames that are written anywhere."""
    found: set[str] = set()
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                position = {"control": 0, "_refuse": 1}.get(getattr(node.func, "attr", ""))
                names = node.args[position : position + 1] if position is not None else []
                found |= {str(name.value) for name in names if isinstance(name, ast.Constant)}
    return found


def test_every_control_frame_is_described_and_nothing_else():
    assert control_frames() == set(CONTROL_FRAMES)


async def test_the_control_frames_are_as_described(world, autojump_clock):
    async with open_tab(world.app, world.token(lifetime=100)) as tab:
        await trio.sleep(101)
    told = [block for block in tab.blocks if block.startswith("event: ")]
    assert [block.split("\n")[0] for block in told] == [
        "event: stream",
        "event: token-expiring",
        "event: token-expired",
    ]
    for block in told:
        shape = CONTROL_FRAMES[block.split("\n")[0].removeprefix("event: ")]
        read = msgspec.json.decode(data_of(block), type=shape)
        assert json.loads(msgspec.json.encode(read)) == json.loads(data_of(block))


# As it is served.


async def test_it_is_served_to_everybody_and_is_not_sent_twice(app, document):
    client = app.test_client()
    answer = await client.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert await answer.get_json() == document
    again = await client.get("/openapi.json", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    assert await again.get_data() == b""


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        given = dict(attrs)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given[name] for name in ("href", "src") if name in given]

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture
async def page(app):
    answer = await app.test_client().get("/docs")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    return Page(await answer.get_data(as_text=True))


async def test_the_page_shows_every_operation_and_every_shape(page, document):
    for path, _, operation in operations(document):
        assert operation["operationId"] in page.ids
        assert path in page.words
    assert {f"shape-{name}" for name in document["components"]["schemas"]} <= set(page.ids)
    assert len(set(page.ids)) == len(page.ids)


async def test_the_page_needs_nothing_from_elsewhere_and_no_script(app, page):
    assert not page.tags & {"script", "iframe", "object", "img", "style"}
    outside = {link for link in page.links if not link.startswith("#")}
    assert outside == {"/docs/openapi.css", "/openapi.json"}
    for link in outside:
        assert (await app.test_client().get(link)).status_code == 200
    assert "url(" not in (SOURCE / "ui" / "openapi.css").read_text()
    assert "@import" not in (SOURCE / "ui" / "openapi.css").read_text()


async def test_every_link_on_the_page_leads_somewhere(page):
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
