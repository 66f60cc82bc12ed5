"""Who may open which stream: through the whole application, as an attacker or a browser asks."""

from __future__ import annotations

import itertools
import json

import msgspec
import pytest
import structlog
import trio
from prometheus_client.parser import text_string_to_metric_families

from storefront.back_office import Ports, run_back_office
from storefront.messaging.memory import MemoryBroker
from storefront.settings import AuthSettings
from storefront.store.memory import MemoryStore
from storefront.web.auth import mint
from tests.service.browsers import open_tab
from tests.service.conftest import ALICE, BOB, SECRET, SETTINGS, World, wall_clock

PAGE = "http://localhost:5238"
STREAM = "/sse/storefront"
CAROL = "carol@example.org"  # of the staff


async def ask(
    world, path: str = STREAM, *, method: str = "GET", token: str | None = None, **headers: str
):
    """A request that is answered at once; a stream would never end, and five seconds say so."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if token is not None:
        given["Authorization"] = f"Bearer {token}"
    with trio.fail_after(5):
        return await world.app.test_client().open(path, method=method, headers=given)


async def problem_of(answer, status: int, name: str) -> dict:
    """The answer is the problem it should be, and holds nothing internal."""
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Origin" in answer.headers["Vary"]
    told = json.loads(await answer.get_data())
    assert told["type"] == f"urn:storefront:problem:{name}"
    assert told["status"] == status
    assert set(told) <= {"type", "title", "status", "detail"}
    return told


def staff(*roles: str, customer: str | None = None) -> str:
    import jwt

    claims = {"sub": customer or CAROL, "exp": wall_clock() + 3600, "roles": list(roles)}
    return jwt.encode(claims, SECRET, algorithm="HS256")


@pytest.fixture
def questions(world, monkeypatch) -> list[str]:
    """What is asked of the store from now on."""
    asked: list[str] = []
    for name in ("since", "position", "heads", "owner", "facts", "generation"):
        method = getattr(world.store, name)

        async def noted(*args, _name=name, _method=method, **options):
            asked.append(_name)
            return await _method(*args, **options)

        monkeypatch.setattr(world.store, name, noted)
    return asked


# 401.


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer  ",
        "Basic YTpi",
        "Bearer null",
        "Bearer undefined",
        "Bearer a.b.c",
        "Token {good}",
        "{good}",
        "Bearer {good} {good}",
        "Bearer\t{good}",
        "Bearer {good}\u00e9",
        "Digest username=x",
    ],
)
async def test_without_a_token_that_proves_something_nobody_is_let_in(
    world, questions, header, autojump_clock
):
    answer = await ask(world, Authorization=header.format(good=world.token()))
    await problem_of(answer, 401, "not-signed-in")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="storefront"'
    assert questions == []
    assert world.shop.hub.statistics().streams == 0


@pytest.mark.parametrize(
    "path",
    [
        STREAM,
        f"{STREAM}?customerId={ALICE}",
        f"{STREAM}?customerId=garbage",
        f"{STREAM}?access_token={{good}}&token={{good}}",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_whoever_did_not_say_who_they_are_learns_nothing_else(
    world, path, method, autojump_clock
):
    answer = await ask(world, path.format(good=world.token()), method=method)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"]


async def test_a_token_opens_nothing_from_the_second_it_expires(world, autojump_clock):
    token = world.token(lifetime=60)
    await trio.sleep(59.5)
    async with open_tab(world.app, token) as tab:
        assert tab.status == 200
    await trio.sleep(0.5)
    told = await problem_of(await ask(world, token=token), 401, "not-signed-in")
    assert told["detail"] == "the token has expired"


@pytest.mark.parametrize("spelling", ["Bearer {}", "bearer {}", "BEARER {}", "Bearer   {}"])
async def test_the_scheme_is_named_in_any_case(world, spelling, autojump_clock):
    async with open_tab(world.app, None, Authorization=spelling.format(world.token())) as tab:
        assert tab.status == 200


# Cookies.


async def test_the_token_may_come_in_the_cookie(world, autojump_clock):
    async with open_tab(
        world.app, None, Cookie=f"theme=dark; storefront={world.token()}; x=y"
    ) as tab:
        await world.add_item(ALICE)
        await trio.testing.wait_all_tasks_blocked()
        assert len(tab.events) == 1


async def test_a_cookie_that_is_no_token_is_no_token(world, autojump_clock):
    for cookie in (
        "storefront=",
        "storefront=garbage",
        'storefront="',
        "other=x",
        f"__Host-storefront={world.token()}",
    ):
        await problem_of(await ask(world, Cookie=cookie), 401, "not-signed-in")


async def test_a_header_is_not_mended_by_a_cookie(world, autojump_clock):
    answer = await ask(world, Authorization="Bearer garbage", Cookie=f"storefront={world.token()}")
    await problem_of(answer, 401, "not-signed-in")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "https://evil.example", "Sec_Fetch_Site": "same-origin"},
        {"Origin": f"{PAGE}.evil.example"},
        {"Origin": f"{PAGE}/"},
        {"Origin": "https://localhost:5238"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "http://localhost", "Sec_Fetch_Site": "cross-site"},
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_cookie_is_not_taken_from_a_foreign_page(
    world, questions, headers, method, autojump_clock
):
    answer = await ask(world, method=method, Cookie=f"storefront={world.token()}", **headers)
    assert answer.status_code == 403
    if method == "GET":
        await problem_of(answer, 403, "not-allowed")
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert questions == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": PAGE},
        {"Origin": PAGE, "Sec_Fetch_Site": "cross-site"},
        {"Origin": "http://localhost"},
        {"Sec_Fetch_Site": "same-origin"},
        {"Sec_Fetch_Site": "none"},
    ],
    ids=str,
)
async def test_a_cookie_is_taken_from_a_page_of_ours_and_from_what_is_no_page(
    world, headers, autojump_clock
):
    async with open_tab(world.app, None, Cookie=f"storefront={world.token()}", **headers) as tab:
        assert tab.status == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", PAGE])
async def test_a_bearer_token_is_taken_from_anywhere_for_a_script_had_it(
    world, origin, autojump_clock
):
    async with open_tab(
        world.app, world.token(), Origin=origin, Sec_Fetch_Site="cross-site"
    ) as tab:
        assert tab.status == 200
        allowed = tab.connection.headers.get("Access-Control-Allow-Origin")
        assert allowed == (origin if origin == PAGE else None)


@pytest.fixture
async def production(nursery, autojump_clock):
    """A shop with the default names, for pages of its own host only."""
    settings = msgspec.structs.replace(SETTINGS, auth=AuthSettings(jwt_secret=SECRET))
    store = MemoryStore(
        window=300.0, kept_ids=200, token=(f"e{n}" for n in itertools.count()).__next__
    )
    broker = MemoryBroker()
    shop = await nursery.start(
        run_back_office, settings, Ports(store=store, broker=broker, clock=wall_clock)
    )
    yield World(shop, settings, store, broker)
    nursery.cancel_scope.cancel()


async def test_by_default_the_cookie_is_one_that_no_other_host_can_set(production, autojump_clock):
    await problem_of(
        await ask(production, Cookie=f"storefront={production.token()}"), 401, "not-signed-in"
    )
    async with open_tab(
        production.app, None, Cookie=f"__Host-storefront={production.token()}"
    ) as tab:
        assert tab.status == 200


async def test_by_default_no_page_of_another_origin_reads_anything(production, autojump_clock):
    answer = await ask(production, Origin=PAGE, token=production.token(), method="HEAD")
    assert answer.status_code == 200
    assert not any(name.lower().startswith("access-control") for name, _ in answer.headers)


# Whose stream.


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_another_customers_id_is_refused_before_anything_is_opened_or_asked(
    world, questions, method, autojump_clock
):
    answer = await ask(world, f"{STREAM}?customerId={BOB}", method=method, token=world.token(ALICE))
    assert answer.status_code == 403
    if method == "GET":
        told = await problem_of(answer, 403, "not-allowed")
        assert BOB not in str(told)
    assert questions == []
    assert world.shop.hub.statistics().streams == 0
    assert world.shop.hub.statistics().ended == {}


async def test_ones_own_id_may_be_named_in_any_case(world, autojump_clock):
    mine = "abcdefab-cdef-abcd-efab-cdefabcdefab"
    async with open_tab(world.app, world.token(mine), f"{STREAM}?customerId={mine.upper()}") as tab:
        await world.add_item(mine)
        await trio.testing.wait_all_tasks_blocked()
        assert [event["customerId"] for event in tab.events] == [mine]


@pytest.mark.parametrize(
    "query",
    [
        f"customerId={ALICE}",
        "",
        f"customerid={BOB}",
        f"CustomerId={BOB}",
        f"customer_id={BOB}",
        f"customerId={ALICE}&customerId={ALICE}",
    ],
)
async def test_a_stream_of_one_customer_never_carries_anothers_events_whatever_the_query(
    world, query, autojump_clock
):
    async with open_tab(world.app, world.token(ALICE), f"{STREAM}?{query}") as tab:
        for n in range(20):
            await world.add_item(BOB, count=n)
        await world.add_item(ALICE, count=99)
        await trio.sleep(61)
        assert [event["itemCount"] for event in tab.events] == [99]
        assert BOB not in "".join(tab.blocks)


@pytest.mark.parametrize(
    "query",
    [
        "customerId=",
        "customerId=bob",
        f"customerId={{{ALICE}}}",
        "customerId=%00",
        "customerId=null",
        f"customerId={ALICE}%20",
        f"customerId=%EF%BB%BF{ALICE}",
        "customerId=<script>alert(1)</script>",
    ],
)
async def test_a_customer_id_that_is_none_is_a_bad_request(world, query, autojump_clock):
    told = await problem_of(
        await ask(world, f"{STREAM}?{query}", token=world.token()), 400, "bad-request"
    )
    assert told["detail"] == "customerId is not a GUID"


@pytest.mark.parametrize("roles", [(), ("support",)], ids=str)
async def test_two_customers_in_one_query_are_a_bad_request_for_everyone(
    world, roles, autojump_clock
):
    path = f"{STREAM}?customerId={ALICE}&customerId={BOB}"
    await problem_of(
        await ask(world, path, token=world.token(ALICE, roles=roles)), 400, "bad-request"
    )


# Staff.


async def test_support_reads_anothers_stream_and_it_is_written_down_who_read_whose(
    world, autojump_clock
):
    with structlog.testing.capture_logs() as lines:
        async with open_tab(
            world.app, staff("support"), f"{STREAM}?customerId={BOB.upper()}"
        ) as tab:
            await world.add_item(ALICE)
            await world.add_item(BOB)
            await trio.testing.wait_all_tasks_blocked()
            assert [event["customerId"] for event in tab.events] == [BOB]
    audit = [line for line in lines if line["event"] == "audit"]
    assert audit == [
        {
            "event": "audit",
            "log_level": "info",
            "action": "stream",
            "by": CAROL,
            "customer": BOB,
            "roles": ["support"],
        }
    ]


async def test_a_customers_own_stream_is_nobodys_business(world, autojump_clock):
    with structlog.testing.capture_logs() as lines:
        async with open_tab(
            world.app, world.token(ALICE, roles=("support",)), f"{STREAM}?customerId={ALICE}"
        ):
            pass
    assert [line for line in lines if line["event"] == "audit"] == []


@pytest.mark.parametrize("roles", [("support",), ("admin",), ("support", "admin")], ids=str)
async def test_staff_without_a_customer_have_no_stream_of_their_own(world, roles, autojump_clock):
    told = await problem_of(await ask(world, token=staff(*roles)), 403, "not-allowed")
    assert told["detail"] == "say whose data with customerId"


async def test_admin_is_not_support(world, questions, autojump_clock):
    await problem_of(
        await ask(world, f"{STREAM}?customerId={BOB}", token=staff("admin")), 403, "not-allowed"
    )
    assert questions == []


async def test_a_refusal_is_no_audit(world, autojump_clock):
    with structlog.testing.capture_logs() as lines:
        await ask(world, f"{STREAM}?customerId={BOB}", token=world.token(ALICE))
    assert [line for line in lines if line["event"] == "audit"] == []


# CORS, and the form of what is refused.


async def refusals(world):
    mine = world.token()
    return {
        200: await ask(world, token=mine, method="HEAD", Origin=PAGE),
        401: await ask(world, Origin=PAGE),
        403: await ask(world, f"{STREAM}?customerId={BOB}", token=mine, Origin=PAGE),
        400: await ask(world, f"{STREAM}?customerId=x", token=mine, Origin=PAGE),
        404: await ask(world, "/nothing/here", token=mine, Origin=PAGE),
        405: await ask(world, token=mine, method="DELETE", Origin=PAGE),
    }


async def test_a_page_of_ours_can_read_every_answer_the_refusals_too(world, autojump_clock):
    for status, answer in (await refusals(world)).items():
        assert answer.status_code == status
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        assert "Origin" in answer.headers["Vary"]


async def test_every_refusal_is_a_problem_with_a_stable_name(world, autojump_clock):
    answers = await refusals(world)
    for status, name in {
        401: "not-signed-in",
        403: "not-allowed",
        400: "bad-request",
        404: "http-404",
        405: "http-405",
    }.items():
        await problem_of(answers[status], status, name)
    assert set(answers[405].headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


async def test_a_bug_is_a_problem_that_says_nothing_of_itself_and_a_page_of_ours_can_read_it(
    world, monkeypatch, autojump_clock
):
    def fail(*_args):
        raise ZeroDivisionError("a password, perhaps")

    monkeypatch.setattr("storefront.web.sse.whose", fail)
    with structlog.testing.capture_logs() as lines:
        answer = await ask(world, token=world.token(), Origin=PAGE)
    told = await problem_of(answer, 500, "failed")
    assert "detail" not in told
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert [line["event"] for line in lines] == ["request failed", "request"]


async def test_a_page_of_ours_may_ask_whether_what_it_has_still_holds_and_read_what_it_is_told(
    world, autojump_clock
):
    """Each of these costs a preflight, and one that the preflight does not name fails the request."""
    for sent in (
        "authorization,if-none-match",
        "content-type,idempotency-key,traceparent,tracestate",
        "last-event-id",
    ):
        preflight = await ask(
            world,
            "/api/orders",
            method="OPTIONS",
            Origin=PAGE,
            Access_Control_Request_Method="GET",
            Access_Control_Request_Headers=sent,
        )
        allowed = preflight.headers["Access-Control-Allow-Headers"].lower().split(", ")
        assert set(sent.split(",")) <= set(allowed)
    # A refusal is told as openly as an answer: `Retry-After` is for those who were refused.
    for token in (None, world.token()):
        answer = await ask(world, "/api/orders", token=token, Origin=PAGE)
        exposed = set(answer.headers["Access-Control-Expose-Headers"].split(", "))
        assert {
            "ETag",
            "Cache-Status",
            "Retry-After",
            "Server-Timing",
            "Storefront-Meta",
        } <= exposed


@pytest.mark.parametrize("path", [STREAM, "/api/orders", "/nothing/here"])
async def test_a_preflight_is_answered_without_a_token_for_no_browser_sends_one(
    world, path, autojump_clock
):
    answer = await ask(
        world,
        path,
        method="OPTIONS",
        Origin=PAGE,
        Access_Control_Request_Method="GET",
        Access_Control_Request_Headers="authorization,last-event-id",
    )
    assert answer.status_code == 204
    assert await answer.get_data() == b""
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    assert "Last-Event-ID" in answer.headers["Access-Control-Allow-Headers"]
    assert "GET" in answer.headers["Access-Control-Allow-Methods"]
    assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", f"{PAGE}/", f"{PAGE}0", "http://LOCALHOST:5238", "*"]
)
async def test_a_preflight_of_a_foreign_page_names_no_origin_and_so_allows_nothing(
    world, origin, autojump_clock
):
    answer = await ask(world, method="OPTIONS", Origin=origin, Access_Control_Request_Method="GET")
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "Origin" in answer.headers["Vary"]


async def test_the_stream_itself_tells_caches_that_it_differs_by_origin(world, autojump_clock):
    async with open_tab(world.app, world.token(), Origin=PAGE) as tab:
        assert tab.connection.headers["Access-Control-Allow-Origin"] == PAGE
        assert "Origin" in tab.connection.headers["Vary"]
    async with open_tab(world.app, world.token()) as tab:
        assert "Access-Control-Allow-Origin" not in tab.connection.headers
        assert "Origin" in tab.connection.headers["Vary"]


# Health and metrics.


async def test_a_process_is_ready_only_between_its_start_and_its_drain(world, autojump_clock):
    for phase, status in (("starting", 503), ("ready", 200), ("draining", 503)):
        world.shop.readiness.phase.value = phase
        answer = await ask(world, "/health/ready")
        assert (answer.status_code, json.loads(await answer.get_data())) == (
            status,
            {"status": phase},
        )
        assert answer.headers["Cache-Control"] == "no-store"
        assert (await ask(world, "/health/live")).status_code == 200


async def test_a_part_that_is_down_is_told_and_takes_nobody_out_of_service(world, autojump_clock):
    world.shop.readiness.phase.value = "ready"
    world.shop.readiness.parts["tea kitchen"] = lambda: "down"
    answer = await ask(world, "/health/ready?verbose")
    assert answer.status_code == 200
    assert json.loads(await answer.get_data())["parts"]["tea kitchen"] == "down"


async def test_metrics_can_be_read_by_prometheus_and_name_no_customer(world, autojump_clock):
    async with (
        open_tab(world.app, world.token(ALICE)),
        open_tab(world.app, staff("support"), f"{STREAM}?customerId={BOB}"),
    ):
        for customer in (ALICE, BOB):
            await world.add_item(customer)
            await world.publish(f"Unknown.{customer}", {"customerId": customer})
            await world.publish("Shopping.ItemAdded", {"customerId": customer})
        await ask(world, f"{STREAM}?customerId={BOB}", token=world.token(ALICE))
        await trio.testing.wait_all_tasks_blocked()
        answer = await ask(world, "/metrics")
        text = (await answer.get_data()).decode()
    assert answer.content_type.startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families["storefront_streams"].samples[0].value == 2
    assert families["storefront_stream_customers"].samples[0].value == 2
    outcomes = {
        sample.labels["outcome"]: sample.value
        for sample in families["storefront_deliveries"].samples
        if sample.name.endswith("_total")
    }
    assert outcomes == {"recorded": 2, "unknown-type": 2, "dead-letter": 2}
    assert not any(customer in text for customer in (ALICE, BOB, CAROL))


async def test_a_token_minted_by_another_shop_is_none_of_ours(world, autojump_clock):
    other = AuthSettings(jwt_secret="another secret of thirty-two bytes!")
    foreign = mint(other, customer=ALICE, now=wall_clock(), lifetime=60)
    await problem_of(await ask(world, token=foreign), 401, "not-signed-in")


@pytest.mark.parametrize("space", ["\xa0", "\x1f", "\x1c"])
async def test_white_space_that_http_does_not_know_belongs_to_the_token(
    world, autojump_clock, space
):
    client = world.app.test_client()
    path = f"/api/storefront/orders?customerId={ALICE}"
    for between, status in [("\t", 503), (space, 401)]:  # nobody is there to tell of orders
        identity = {"Authorization": f"Bearer {between}{world.token()}"}
        assert (await client.get(path, headers=identity)).status_code == status
