"""What a view's route answers before and after anybody is asked: statuses, headers, and nothing internal."""

from __future__ import annotations

import json
from typing import Any

import pytest

from storefront.errors import (
    DownstreamNonsenseError,
    DownstreamOpenError,
    DownstreamTimeoutError,
    DownstreamUnavailableError,
)
from storefront.queries.parts import Composed, Source
from storefront.queries.rendering import Served, render
from storefront.settings import AuthSettings, StreamSettings
from storefront.web.app import create_app
from storefront.web.conditional import cache_status, holds, pause_after
from storefront.web.parts import WebParts
from tests.web.signing import ALICE, BOB, NOW, SECRET, token, tokens

THING = "019c5dd6-29d2-7fb9-9d90-cf760997d1c0"
OWN = [
    f"/api/carts/{ALICE}/view",
    f"/api/storefront/carts/{THING}",
    f"/api/checkouts/{THING}/view",
    f"/api/storefront/checkouts/{THING}",
    f"/api/orders/{THING}/view",
    f"/api/storefront/orders/{THING}",
    f"/api/orders?customerId={ALICE}",
    f"/api/storefront/orders?customerId={ALICE}",
]
PUBLIC = ["/api/products", "/api/storefront/products"]
CART = OWN[0]


def served(view=None, owner=ALICE, **how) -> Served:
    composed = Composed(view=view, owner=owner, sources={"shopping": Source("ok", 0.0)})
    return Served(rendered=render(composed, began=0.0, as_of=NOW, position=None), **how)


class FakeViews:
    """Answers every question alike, and notes it."""

    def __init__(self) -> None:
        self.answer = served({"cartId": THING, "subtotal": 1})
        self.fails: Exception | None = None
        self.asked: list[tuple] = []

    def __getattr__(self, name: str):
        async def view(*args):
            self.asked.append((name, *args))
            if self.fails is not None:
                raise self.fails
            return self.answer

        return view


@pytest.fixture
def views() -> FakeViews:
    return FakeViews()


@pytest.fixture
def ask(views):
    rooms = dict.fromkeys(("hub", "heartbeat", "fan_out", "log", "pauses", "metrics", "readiness"))
    parts = WebParts(
        auth=AuthSettings(jwt_secret=SECRET, cors_origins=("http://localhost:5238",)),
        streams=StreamSettings(),
        tokens=tokens(),
        clock=lambda: NOW,
        views=views,
        **rooms,
    )
    app = create_app(parts)

    async def asking(path: str = CART, *, method: str = "GET", signed=None, **headers: str):
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if signed is not False:
            given["Authorization"] = f"Bearer {signed or token()}"
        client: Any = app.test_client()
        return await client.open(path, method=method, headers=given)

    return asking


async def is_problem(answer, status: int, name: str) -> None:
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    told = json.loads(await answer.get_data())
    assert told["type"] == f"urn:storefront:problem:{name}"
    assert told["status"] == status
    assert set(told) <= {"type", "title", "status", "detail"}


# Who asks.


@pytest.mark.parametrize("path", OWN)
async def test_who_is_not_signed_in_is_told_so_and_nobody_is_asked(ask, views, path):
    await is_problem(await ask(path, signed=False), 401, "not-signed-in")
    assert views.asked == []


@pytest.mark.parametrize("path", PUBLIC)
async def test_what_is_sold_anybody_may_see(ask, path):
    answer = await ask(path, signed=False)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "public, no-cache"


@pytest.mark.parametrize("path", [OWN[0], *OWN[6:]])
async def test_a_customer_in_the_path_or_query_is_the_callers(ask, views, path):
    await is_problem(await ask(path.replace(ALICE, BOB)), 403, "not-allowed")
    assert views.asked == []
    assert (await ask(path.replace(ALICE, ALICE.upper()))).status_code == 200
    await is_problem(await ask(path.replace(ALICE, "somebody")), 400, "bad-request")


async def test_a_history_without_a_name_is_the_callers_own(ask, views):
    await ask("/api/orders")
    assert views.asked == [("history", ALICE)]


async def test_a_history_of_two_customers_is_nobodys(ask, views):
    answer = await ask(f"/api/orders?customerId={ALICE}&customerId={BOB}")
    await is_problem(answer, 400, "bad-request")
    assert views.asked == []


@pytest.mark.parametrize("path", OWN[1:6])
async def test_a_thing_is_asked_for_by_its_id_in_the_callers_name(ask, views, path):
    await ask(path.replace(THING, THING.upper()))
    [(_, thing, reader, include)] = views.asked
    assert (thing, reader, include) == (THING, ALICE, frozenset())


@pytest.mark.parametrize("path", OWN[1:6])
async def test_support_may_read_any_and_admin_none(ask, views, path):
    for sub in ("carol@example.org", ALICE):
        await ask(path, signed=token(sub=sub, roles=["support"]))
        assert views.asked[-1][2] is None
    views.asked.clear()
    answer = await ask(path, signed=token(sub="carol@example.org", roles=["admin"]))
    await is_problem(answer, 403, "not-allowed")
    assert views.asked == []


@pytest.mark.parametrize("path", OWN[1:6])
async def test_garbage_for_an_id_and_somebody_elses_thing_look_like_an_unknown_one(
    ask, views, path
):
    views.answer = served(owner=None)
    unknown = await ask(path)
    await is_problem(unknown, 404, "not-found")
    views.answer = served(owner=BOB)
    for other in (await ask(path), await ask(path.replace(THING, "g" * 36))):
        assert await other.get_data() == await unknown.get_data()
        assert dict(other.headers) == dict(unknown.headers)


# What is asked for.


@pytest.mark.parametrize(
    ("path", "offered", "not_offered"),
    [
        (OWN[0], {"details", "prices", "stock"}, "reviews"),
        (OWN[1], {"details", "prices", "stock"}, "products"),
        (OWN[2], {"details", "prices", "stock"}, "reviews"),
        (OWN[4], {"products"}, "stock"),
        (OWN[6], set(), "products"),
        (PUBLIC[0], set(), "details"),
    ],
)
async def test_depth_is_what_the_view_offers(ask, views, path, offered, not_offered):
    mark = "&" if "?" in path else "?"
    for wish in offered:
        assert (await ask(f"{path}{mark}include={wish}")).status_code == 200
        assert views.asked[-1][-1] == {wish}
    if offered:
        await ask(f"{path}{mark}include=,{'%2C'.join(offered)},&include=")
        assert views.asked[-1][-1] == offered
    views.asked.clear()
    for wish in (not_offered, f"{not_offered},{next(iter(offered), '')}", "DETAILS"):
        await is_problem(await ask(f"{path}{mark}include={wish}"), 400, "bad-request")
    assert views.asked == []


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("page=2&pageSize=10", 200),
        ("page=&pageSize=", 200),
        ("page=-1&pageSize=100000", 200),
        ("page=two", 400),
        ("page=1.5", 400),
        ("page=1&page=2", 400),
        ("pageSize=" + "9" * 5000, 400),
        ("page=%D9%A2", 400),  # a two, in Arabic
        ("category=" + "x" * 100, 200),
        ("category=" + "x" * 101, 400),
    ],
)
async def test_a_page_is_a_number_and_a_category_a_few_words(ask, query, status):
    assert (await ask(f"/api/products?{query}")).status_code == status


# What is answered.


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json", 200),
        ("*/*", 200),
        ("application/*;q=0.1", 200),
        ("text/html, application/json;q=0.5", 200),
        ("", 200),
        ("text/html", 406),
        ("application/json;q=0", 406),
        ("text/event-stream", 406),
    ],
)
async def test_who_cannot_read_json_is_told_so_and_nobody_is_asked(ask, views, accept, status):
    answer = await ask(Accept=accept)
    assert answer.status_code == status
    assert len(views.asked) == (status == 200)
    if status == 406:
        await is_problem(answer, 406, "not-acceptable")


@pytest.mark.parametrize("path", [*OWN, *PUBLIC])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_a_view_is_read_and_nothing_else(ask, path, method):
    answer = await ask(path, method=method)
    assert answer.status_code == 405
    assert {"GET", "HEAD"} <= {name.strip() for name in answer.headers["Allow"].split(",")}


@pytest.mark.parametrize(
    ("error", "retry_after"),
    [
        (DownstreamTimeoutError("shopping", "secret words"), "5"),
        (DownstreamNonsenseError("shopping", "secret words"), "5"),
        (DownstreamOpenError("shopping", "secret words", retry_in=3.2), "4"),
        (DownstreamOpenError("shopping", "secret words", retry_in=0.0), "1"),
        (DownstreamUnavailableError("shopping", "secret words", retry_after=3600.0), "60"),
        (DownstreamUnavailableError("shopping", "secret words", retry_after=None), "5"),
    ],
)
async def test_nothing_to_show_is_503_and_a_time_to_come_back(ask, views, error, retry_after):
    views.fails = error
    answer = await ask()
    await is_problem(answer, 503, "not-available")
    assert answer.headers["Retry-After"] == retry_after
    assert b"secret" not in await answer.get_data()
    assert str(pause_after(error)) == retry_after


async def test_a_page_of_another_origin_may_read_the_headers_a_view_speaks_in(ask):
    answer = await ask(Origin="http://localhost:5238")
    assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:5238"
    assert "Storefront-Meta" in answer.headers["Access-Control-Expose-Headers"]
    assert set(answer.headers["Vary"].split(", ")) == {
        "Accept",
        "Authorization",
        "Cookie",
        "Origin",
    }


async def test_head_asks_as_get_does_and_sends_no_body(ask, views):
    got, head = await ask(), await ask(method="HEAD")
    assert (head.status_code, await head.get_data()) == (200, b"")
    assert head.headers["ETag"] == got.headers["ETag"]
    assert len(views.asked) == 2


async def test_an_old_answer_says_so_and_is_not_what_the_browser_has(ask, views):
    fresh = await ask()
    views.answer = served({"cartId": THING, "subtotal": 1}, freshness="expired", ttl=-12.0)
    tag = fresh.headers["ETag"]
    old = await ask(If_None_Match=tag)
    assert old.status_code == 200
    told = json.loads(await old.get_data())
    assert (told["isStale"], told["meta"]["freshness"]) == (True, "expired")
    assert (await ask(If_None_Match=old.headers["ETag"])).status_code == 304


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ([], False),
        ([""], False),
        (["*"], True),
        (['W/"abc"'], True),
        (['"abc"'], True),
        (['"x", W/"abc"'], True),
        (['"x"', 'W/"abc"'], True),
        (['"x,W/", "abc"'], True),
        (['"ab,c"'], False),
        (["abc"], False),
        (['W/"abc"def'], False),
        (['W/"x" "abc"'], False),
        (['"x" ,\tW/"abc" , "y"'], True),
        (['W/"ABC"'], False),
        (['"*"'], False),
        (['"abc'], False),
    ],
)
def test_a_tag_is_found_among_those_the_browser_has(given, found):
    assert holds(given, 'W/"abc"') is found


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"forwarded": "bypass"}, "storefront; fwd=bypass"),
        ({"forwarded": "uri-miss", "stored": True}, "storefront; fwd=uri-miss; stored"),
        ({"forwarded": "stale", "collapsed": True}, "storefront; fwd=stale; collapsed"),
        ({"freshness": "cached", "ttl": 12.7}, "storefront; hit; ttl=12"),
        ({"freshness": "expired", "ttl": -3.2}, "storefront; hit; ttl=-4"),
        ({"freshness": "expired"}, "storefront; hit"),
    ],
)
def test_the_cache_speaks_for_itself(how, said):
    assert cache_status(served({}, **how)) == said
