"""A service misbehaves exactly as told, and says what it was asked."""

from __future__ import annotations

import json

import pytest
import trio
import trio.testing

from storefront.demo.catalog import catalog_app
from storefront.demo.faults import Failing, Fault, Faults
from storefront.demo.front import Desk
from storefront.demo.ledger import Asked, Ledger
from tests.demo.shop import open_world

PRODUCT = "/api/products/DOG-BOWL-01"


@pytest.fixture
def desk():
    return Desk()


@pytest.fixture
def app(desk):
    return catalog_app(open_world(), desk)


@pytest.fixture
def catalog(app):
    return app.test_client()


class Wire:
    """One request straight into the ASGI app, and what it sent back; the test may hang up."""

    def __init__(self, app, path=PRODUCT, method="GET", headers=()):
        self.app = app
        self.scope = {
            "type": "http", "method": method, "path": path, "raw_path": path.encode(),
            "query_string": b"page=1", "headers": [(b"host", b"shop"), *headers], "scheme": "http",
            "http_version": "1.1", "root_path": "", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
            "asgi": {"spec_version": "2.3"}, "extensions": {}, "state": {},
        }  # fmt: skip
        self.sent = []
        self.left = trio.Event()
        self.complete = False

    async def ask(self):
        await self.app(self.scope, self.receive, self.send)

    async def receive(self):
        if not self.complete:
            self.complete = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, event):
        self.sent.append(event)

    @property
    def body(self):
        return b"".join(event.get("body", b"") for event in self.sent[1:])


async def test_every_request_is_noted_with_its_query_and_headers(catalog, desk):
    await catalog.get(f"{PRODUCT}?a=1", headers={"Traceparent": "00-abc"})
    await catalog.get(PRODUCT)
    await catalog.get("/api/products")
    assert desk.ledger.asked(PRODUCT) == 2
    assert desk.ledger.asked(PRODUCT, "POST") == 0
    assert (desk.ledger.requests[0].query, desk.ledger.requests[0].headers["traceparent"]) == (
        "a=1",
        "00-abc",
    )
    assert desk.ledger.total == 3
    desk.ledger.forget()
    assert (desk.ledger.asked(PRODUCT), desk.ledger.total) == (0, 0)


async def test_the_knobs_and_the_health_check_are_not_noted(catalog, desk):
    assert await (await catalog.get("/health")).get_data() == b"Healthy"
    await catalog.get("/_faults")
    assert desk.ledger.total == 0


def test_the_ledger_forgets_its_oldest_requests_and_goes_on_counting(monkeypatch):
    monkeypatch.setattr("storefront.demo.ledger.NEWEST", 2)
    ledger = Ledger()
    for path in "abc":
        with ledger.writing(Asked(method="GET", path=path, query="", headers={})):
            pass
    assert [asked.path for asked in ledger.requests] == ["b", "c"]
    assert ledger.total == 3


async def test_the_ledger_knows_how_many_were_asked_at_once(app, desk, autojump_clock):
    desk.faults.set(Fault(latency=1))
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(Wire(app).ask)
        await trio.sleep(0.5)
        assert desk.ledger.in_flight == 3
    assert (desk.ledger.in_flight, desk.ledger.most_at_once) == (0, 3)


async def test_latency_comes_before_the_right_answer(catalog, desk, autojump_clock):
    desk.faults.set(Fault(latency=0.3))
    began = trio.current_time()
    answer = await catalog.get(PRODUCT)
    assert trio.current_time() - began == pytest.approx(0.3, abs=1e-9)
    assert (answer.status_code, (await answer.get_json())["sku"]) == (200, "DOG-BOWL-01")


async def test_a_status_is_answered_as_a_problem(catalog, desk):
    desk.faults.set(Fault(failing=Failing.STATUS, status=502))
    answer = await catalog.get(PRODUCT)
    assert (answer.status_code, answer.headers["Content-Type"]) == (502, "application/problem+json")


async def test_a_wrong_shape_is_whatever_was_put_there(catalog, desk):
    desk.faults.set(Fault(failing=Failing.WRONG_SHAPE, body="<html>"))
    answer = await catalog.get(PRODUCT)
    assert (answer.status_code, await answer.get_data()) == (200, b"<html>")


async def test_a_hanging_service_answers_nothing_until_the_asker_leaves(app, desk, autojump_clock):
    desk.faults.set(Fault(failing=Failing.HANG))
    wire = Wire(app)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.ask)
        await trio.sleep(3600)
        assert (wire.sent, desk.ledger.in_flight) == ([], 1)
        wire.left.set()
    assert (wire.sent, desk.ledger.in_flight) == ([], 0)


async def test_half_a_body_has_the_head_of_the_whole(app, desk):
    right = Wire(app)
    await right.ask()
    desk.faults.set(Fault(failing=Failing.HALF_BODY))
    wire = Wire(app)
    await wire.ask()
    assert wire.sent[0] == right.sent[0]
    assert wire.body == right.body[: len(right.body) // 2]
    assert wire.sent[-1]["more_body"] is True


async def test_an_oversize_body_is_json_and_as_long_as_told(app, desk):
    desk.faults.set(Fault(failing=Failing.OVERSIZE, bytes=200_000))
    wire = Wire(app)
    await wire.ask()
    assert 200_000 <= len(wire.body) < 250_000
    assert set(json.loads(wire.body)) == {0}
    assert b"content-length" not in dict(wire.sent[0]["headers"])


async def test_the_longest_prefix_wins_and_a_method_is_more_particular():
    faults = Faults()
    everywhere, products = Fault(latency=1), Fault(path_prefix="/api/products", latency=2)
    posts = Fault(path_prefix="/api/products", method="POST", latency=3)
    for fault in (everywhere, posts, products):
        faults.set(fault)
    assert faults.take("GET", "/api/other") is everywhere
    assert faults.take("GET", PRODUCT) is products
    assert faults.take("POST", PRODUCT) is posts


async def test_a_fault_can_count_itself_down(catalog, desk):
    desk.faults.set(Fault(failing=Failing.STATUS, times=2))
    statuses = [(await catalog.get(PRODUCT)).status_code for _ in range(3)]
    assert statuses == [503, 503, 200]


async def test_faults_are_set_listed_and_cleared_over_http(catalog, desk):
    wish = {"pathPrefix": "/api", "failing": "status", "status": 500, "times": 1}
    put = await catalog.put("/_faults", json=wish)
    assert put.status_code == 200
    [listed] = (await (await catalog.get("/_faults")).get_json())["faults"]
    assert listed.items() >= wish.items()
    assert (await catalog.delete("/_faults")).status_code == 204
    assert desk.faults.current() == ()


@pytest.mark.parametrize(
    "wish", [{"failing": "melt"}, {"latency": -1}, {"status": 99}, {"typo": 1}, {"times": 0}]
)
async def test_a_fault_that_makes_no_sense_is_refused(catalog, desk, wish):
    assert (await catalog.put("/_faults", json=wish)).status_code == 400
    assert desk.faults.current() == ()


async def test_there_are_a_hundred_faults_at_most(catalog, desk):
    for number in range(100):
        desk.faults.set(Fault(path_prefix=f"/{number}"))
    assert (await catalog.put("/_faults", json={"pathPrefix": "/x"})).status_code == 400
    assert (
        await catalog.put("/_faults", json={"pathPrefix": "/0", "latency": 1})
    ).status_code == 200


async def test_the_knobs_work_while_everything_else_is_broken(catalog, desk):
    desk.faults.set(Fault(failing=Failing.STATUS))
    assert (await catalog.get("/_faults")).status_code == 200
