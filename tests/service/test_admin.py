"""/admin on virtual time: who may see what, how a stream of pictures begins and ends, and what the audit says."""

from __future__ import annotations

import itertools
import json
import re
from contextlib import AsyncExitStack

import msgspec
import pytest
import structlog
import trio

from storefront.back_office import Ports, run_back_office
from storefront.dashboard.board import Alone
from storefront.dashboard.reports import Process
from storefront.dashboard.sampler import MOST_WATCHERS
from storefront.messaging.memory import MemoryBroker
from storefront.settings import ServingSettings
from storefront.store.memory import MemoryStore
from tests.service.browsers import Tab, open_tab
from tests.service.conftest import ALICE, BOB, SETTINGS, World, wall_clock

DATA = ("/admin/session", "/admin/stream", f"/admin/customers/{ALICE}")


@pytest.fixture
async def world(nursery, autojump_clock):
    store = MemoryStore(
        window=300.0, kept_ids=200, token=(f"e{n}" for n in itertools.count()).__next__
    )
    broker = MemoryBroker()
    nursery.start_soon(broker.run)
    ports = Ports(
        store=store,
        broker=broker,
        clock=wall_clock,
        board=Alone(),
        uniform=lambda low, high: (low + high) / 2,
    )
    shop = await nursery.start(run_back_office, SETTINGS, ports)
    await trio.testing.wait_all_tasks_blocked()
    yield World(shop, SETTINGS, store, broker)
    nursery.cancel_scope.cancel()


async def ask(world, path, token=None, method="GET", cookie=None, **headers):
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    if cookie is not None:
        headers["Cookie"] = cookie
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    # A stream where there should be none would never end.
    with trio.fail_after(30):
        return await world.app.test_client().open(path, method=method, headers=named)


def staff(world, *roles: str, lifetime: float = 3600.0, customer: str | None = None) -> str:
    return world.token(customer, lifetime=lifetime, roles=roles)


def pictures(tab: Tab) -> list[dict]:
    return tab.controls("picture")


@pytest.mark.parametrize("path", DATA)
async def test_nobody_without_a_token_and_no_customer_sees_anything(world, path, autojump_clock):
    for token, status in ((None, 401), (world.token(ALICE), 403), ("x.y.z", 401)):
        answer = await ask(world, path, token)
        assert answer.status_code == status
        assert answer.mimetype == "application/problem+json"
        assert b"streams" not in await answer.get_data()


async def test_admin_sees_the_dashboard_and_no_customer_support_the_other_way_round(
    world, autojump_clock
):
    admin, support = staff(world, "admin"), staff(world, "support")
    assert (await ask(world, f"/admin/customers/{ALICE}", admin)).status_code == 403
    assert (await ask(world, "/admin/stream", support)).status_code == 403
    assert (await ask(world, f"/admin/customers/{ALICE}", support)).status_code == 200
    async with open_tab(world.app, admin, "/admin/stream") as tab:
        assert tab.status == 200
    roles = [
        (await (await ask(world, "/admin/session", token)).get_json())["roles"]
        for token in (admin, support)
    ]
    assert roles == [["admin"], ["support"]]


async def test_the_page_is_everybodys_and_empty_and_runs_no_script_but_its_own(
    world, autojump_clock
):
    page = await ask(world, "/admin")
    assert page.status_code == 200
    text = await page.get_data(as_text=True)
    policy = page.headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=", text)
    for name in re.findall(r'(?:src|href)="(/[^"]+)"', text):
        found = await ask(world, name)
        assert found.status_code == 200, name
        assert found.headers["Content-Security-Policy"] == policy
    assert (await ask(world, "/admin/ui/index.html")).status_code == 404
    assert (await ask(world, "/admin/ui/../../README.md")).status_code == 404
    again = await ask(world, "/admin", If_None_Match=page.headers["ETag"])
    assert again.status_code == 304


async def test_the_token_that_is_handed_over_is_kept_where_no_script_sees_it(world, autojump_clock):
    token = staff(world, "admin", lifetime=600.0)
    answer = await ask(world, "/admin/session", token, "POST")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"storefront-admin={token};")
    assert {"HttpOnly", "SameSite=Strict", "Max-Age=600", "Path=/"} <= {
        part.strip() for part in cookie.split(";")
    }
    kept = f"storefront-admin={token}"
    assert (await ask(world, "/admin/session", cookie=kept)).status_code == 200
    # Whoever is a customer in the same browser stays one, and is no administrator by it.
    both = f"storefront={world.token(ALICE)}; {kept}"
    assert (await ask(world, "/admin/session", cookie=both)).status_code == 200
    assert (
        await ask(world, "/admin/session", cookie=f"storefront={world.token(ALICE)}")
    ).status_code == 403
    # Another page cannot use it.
    foreign = await ask(world, "/admin/session", cookie=kept, Origin="https://evil.example")
    assert foreign.status_code == 403
    gone = await ask(world, "/admin/session", method="DELETE")
    assert gone.status_code == 204
    assert gone.headers["Set-Cookie"].startswith("storefront-admin=;")


async def test_nobody_else_is_let_in_by_handing_a_token_over(world, autojump_clock):
    for token, status in ((world.token(ALICE), 403), (None, 401)):
        answer = await ask(world, "/admin/session", token, "POST")
        assert answer.status_code == status
        assert "Set-Cookie" not in answer.headers


async def test_pictures_come_every_second_and_streams_rise_in_them(world, autojump_clock):
    async with open_tab(world.app, staff(world, "admin"), "/admin/stream") as tab:
        await trio.sleep(2.5)
        async with open_tab(world.app, world.token(ALICE)), open_tab(world.app, world.token(BOB)):
            await world.add_item(ALICE)
            await trio.sleep(2)
            now = pictures(tab)[-1]
            assert now["point"]["live"] == 2
            assert now["customers"] == 2
            assert now["opened"] == {"fresh": 2}
            assert sum(each["point"]["eventsOut"] for each in pictures(tab)) == 1
            assert [each["queue"] for each in now["queues"]] == sorted(
                [
                    "storefront-notifications",
                    "storefront-fulfillment-events",
                    "storefront-returns-events",
                ]
            )
        await trio.sleep(2)
        assert pictures(tab)[-1]["point"]["live"] == 0
        assert pictures(tab)[-1]["ended"] == {"disconnected": 2}
    times = tab.times_of("event: picture")
    assert all(later - earlier <= 1.001 for earlier, later in itertools.pairwise(times))
    assert ALICE not in "".join(tab.blocks)


async def test_what_was_before_comes_first(world, autojump_clock):
    await trio.sleep(21)
    async with open_tab(world.app, staff(world, "admin"), "/admin/stream") as tab:
        retry, history, *_ = tab.blocks
        assert retry.startswith("retry: ")
        points = json.loads(history.partition("data: ")[2])
        assert [
            round(later["at"] - earlier["at"]) for earlier, later in itertools.pairwise(points)
        ] == [5, 5, 5, 5]


async def test_the_stream_ends_with_its_token(world, autojump_clock):
    # Pictures come at 1.4, 2.4 and so on; a token ends with a whole second.
    await trio.sleep(1.4)
    async with open_tab(world.app, staff(world, "admin", lifetime=7.0), "/admin/stream") as tab:
        await tab.ended.wait()
        assert trio.current_time() == pytest.approx(8)
        assert tab.blocks[-1].startswith("event: token-expired")


async def test_the_stream_ends_when_the_process_leaves(world, autojump_clock):
    async with open_tab(world.app, staff(world, "admin"), "/admin/stream") as tab:
        await trio.sleep(1.5)
        left = trio.current_time()
        world.shop.stopping.set()
        await tab.ended.wait()
        assert trio.current_time() == left
        assert tab.blocks[-1].startswith("event: shutdown")


async def test_one_watcher_too_many_is_told_so_and_comes_back_later(world, autojump_clock):
    admin = staff(world, "admin")
    async with AsyncExitStack() as watchers:
        for _ in range(MOST_WATCHERS):
            await watchers.enter_async_context(open_tab(world.app, admin, "/admin/stream"))
        async with open_tab(world.app, admin, "/admin/stream") as tab:
            await tab.ended.wait()
            assert tab.status == 200, "an EventSource gives up for ever on anything else"
            assert re.fullmatch(r"retry: \d+", tab.blocks[0])
            assert tab.controls("busy") == [{"reason": "full"}]
    async with open_tab(world.app, admin, "/admin/stream") as tab:
        assert not tab.controls("busy")


async def test_a_head_opens_no_stream(world, autojump_clock):
    answer = await ask(world, "/admin/stream", staff(world, "admin"), "HEAD")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/event-stream")


async def test_support_sees_one_customers_streams_and_last_events_without_their_contents(
    world, autojump_clock
):
    async with open_tab(world.app, world.token(ALICE)), open_tab(world.app, world.token(BOB)):
        for number in range(3):
            await world.add_item(ALICE, count=number + 1, total="123.45")
        await trio.sleep(1)
        with structlog.testing.capture_logs() as lines:
            answer = await ask(world, f"/admin/customers/{ALICE.upper()}", staff(world, "support"))
        text = await answer.get_data(as_text=True)
        found = json.loads(text)
        (stream,) = found["streams"]
        assert stream == {
            "state": "live",
            "openForSeconds": 1.0,
            "position": "e0-3",
            "named": False,
        }
        assert [event["id"] for event in found["events"]] == ["e0-3", "e0-2", "e0-1"]
        assert {event["eventType"] for event in found["events"]} == {"cart-updated"}
        assert "123.45" not in text
        assert BOB not in text
        (line,) = [line for line in lines if line["event"] == "audit"]
        assert (line["action"], line["customer"], line["roles"]) == ("lookup", ALICE, ["support"])


async def test_of_a_customer_nobody_knows_nothing_is_told_and_nothing_begun(world, autojump_clock):
    answer = await ask(world, f"/admin/customers/{BOB}", staff(world, "support"))
    assert await answer.get_json() == {
        "customerId": BOB,
        "position": None,
        "streams": [],
        "events": [],
    }
    assert not await world.store.heads({BOB}, now=wall_clock())
    assert (await ask(world, "/admin/customers/17", staff(world, "support"))).status_code == 400


async def test_of_many_events_the_last_are_told_also_where_the_oldest_of_them_have_lapsed(
    world, autojump_clock
):
    for number in range(40):
        await world.add_item(ALICE, count=number)
    await trio.sleep(1)
    support = staff(world, "support")
    told = await (await ask(world, f"/admin/customers/{ALICE}", support)).get_json()
    assert [event["id"] for event in told["events"]] == [f"e0-{n}" for n in range(40, 8, -1)]
    await trio.sleep(250)
    for number in range(5):
        await world.add_item(ALICE, count=number)
    await trio.sleep(100)
    told = await (await ask(world, f"/admin/customers/{ALICE}", support)).get_json()
    assert [event["id"] for event in told["events"]] == ["e0-45", "e0-44", "e0-43", "e0-42"]


async def test_requests_are_timed_by_their_route_and_streams_are_not(world, autojump_clock):
    await ask(world, f"/admin/customers/{ALICE}", staff(world, "support"))
    await ask(world, "/no/such/path")
    await ask(world, "/also/none", method="BREW")
    async with open_tab(world.app, world.token(ALICE)):
        pass
    text = await (await ask(world, "/metrics")).get_data(as_text=True)
    counted = set(
        re.findall(r"^http_server_request_duration_seconds_count{(.*)} 1.0$", text, re.MULTILINE)
    )
    assert counted == {
        'http_request_method="GET",http_response_status_code="200",http_route="/admin/customers/<customer_id>"',
        'http_request_method="GET",http_response_status_code="404",http_route=""',
        'http_request_method="_OTHER",http_response_status_code="404",http_route=""',
    }
    assert ALICE not in text


async def test_metrics_say_which_worker_answered_and_have_one_place_only(
    nursery, world, autojump_clock
):
    me = Process(name="here:7", worker=2, version="1", started_at=0.0)
    for bind, status in ((None, 200), ("127.0.0.1:9", 404)):
        settings = msgspec.structs.replace(SETTINGS, serving=ServingSettings(metrics_bind=bind))
        shop = await nursery.start(
            run_back_office, settings, Ports(store=world.store, broker=MemoryBroker(), me=me)
        )
        answer = await shop.app.test_client().get("/metrics")
        assert answer.status_code == status
        assert (answer.headers.get("Storefront-Worker") == "2") == (status == 200)
        assert (b'service_instance_id="here:7"' in await answer.get_data()) == (status == 200)
        assert (await shop.app.test_client().get("/admin")).status_code == 404, (
            "without a board there is no dashboard"
        )


async def test_questions_to_the_log_are_timed(world, autojump_clock):
    async with open_tab(world.app, world.token(ALICE)):
        await world.add_item(ALICE)
        await trio.sleep(0.1)
    text = await (await ask(world, "/metrics")).get_data(as_text=True)
    found = dict(
        re.findall(
            r'^db_client_operation_duration_seconds_count{.*operation_name="(\w+)".*} (\S+)$',
            text,
            re.MULTILINE,
        )
    )
    assert found["record"] == found["position"] == "1.0"
    assert "storefront_store_durable 0.0" in text or "storefront_store_durable 1.0" in text
