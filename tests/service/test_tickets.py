"""Tickets through the whole application: an EventSource of another origin, without header or cookie."""

from __future__ import annotations

import json
import logging

import pytest
import structlog
import trio

from storefront.errors import StoreUnavailableError
from tests.service.browsers import open_tab
from tests.service.conftest import ALICE, BOB
from tests.service.test_who_you_are import CAROL, PAGE, STREAM, ask, problem_of, staff

TICKETS = "/sse/tickets"


async def ticket_of(world, token: str | None = None, **headers: str) -> str:
    answer = await ask(world, TICKETS, method="POST", token=token or world.token(), **headers)
    assert answer.status_code == 201
    return json.loads(await answer.get_data())["ticket"]


async def turned_away(world, path: str, **headers: str) -> list[str]:
    """The blocks of a 200 that ends cleanly, at once."""
    answer = await ask(world, path, **headers)
    assert answer.status_code == 200
    assert answer.content_type == "text/event-stream; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache, no-store, no-transform"
    assert world.shop.hub.statistics().streams == 0
    return (await answer.get_data()).decode().split("\n\n")


REAUTHENTICATE = ["retry: 60000", "event: reauthenticate\ndata: {}", ""]


async def test_a_ticket_opens_a_stream_where_neither_header_nor_cookie_is_sent(
    world, autojump_clock
):
    answer = await ask(world, TICKETS, method="POST", token=world.token(), Origin=PAGE)
    assert answer.status_code == 201
    assert answer.content_type == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    told = json.loads(await answer.get_data())
    assert set(told) == {"ticket", "expiresInSeconds"}
    assert told["expiresInSeconds"] == 30
    path = f"{STREAM}?ticket={told['ticket']}"
    async with open_tab(world.app, None, path, Origin=PAGE, Sec_Fetch_Site="cross-site") as tab:
        assert tab.status == 200
        await world.add_item(BOB, count=2)
        await world.add_item(ALICE, count=3)
        await trio.testing.wait_all_tasks_blocked()
        assert [event["itemCount"] for event in tab.events] == [3]


async def test_a_spent_ticket_is_told_to_come_back_with_another_and_ends_cleanly(
    world, autojump_clock
):
    path = f"{STREAM}?ticket={await ticket_of(world)}"
    async with open_tab(world.app, None, path) as tab:
        assert tab.status == 200
        assert await turned_away_beside(world, path) == REAUTHENTICATE
    assert await turned_away(world, path) == REAUTHENTICATE


async def turned_away_beside(world, path: str) -> list[str]:
    answer = await ask(world, path)
    assert answer.status_code == 200
    assert world.shop.hub.statistics().streams == 1
    return (await answer.get_data()).decode().split("\n\n")


async def test_a_ticket_that_lapsed_is_told_the_same(world, autojump_clock):
    path = f"{STREAM}?ticket={await ticket_of(world)}"
    await trio.sleep(30)
    assert await turned_away(world, path) == REAUTHENTICATE


async def test_a_browser_that_is_turned_away_keeps_its_cursor(world, autojump_clock):
    path = f"{STREAM}?ticket={await ticket_of(world)}"
    await trio.sleep(30)
    blocks = await turned_away(world, path, Last_Event_ID="e1-7")
    assert blocks == ["retry: 60000", "id: e1-7", *REAUTHENTICATE[1:]]


@pytest.mark.parametrize(
    "ticket",
    ["", "garbage", "A" * 48, "{good}&ticket={good}", "{good}x", "{token}", "%00", "{good}%0A"],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_is_no_ticket_is_401_and_no_cookie_mends_it(
    world, ticket, method, autojump_clock
):
    good, token = await ticket_of(world), world.token()
    path = f"{STREAM}?ticket={ticket.format(good=good, token=token)}"
    answer = await ask(world, path, method=method, Cookie=f"storefront={token}")
    assert answer.status_code == 401
    if method == "GET":
        await problem_of(answer, 401, "not-signed-in")


async def test_looking_with_head_does_not_spend_a_ticket(world, autojump_clock):
    path = f"{STREAM}?ticket={await ticket_of(world)}"
    for _ in range(2):
        answer = await ask(world, path, method="HEAD")
        assert answer.status_code == 200
        assert await answer.get_data() == b""
    async with open_tab(world.app, None, path) as tab:
        assert tab.controls("stream") != []


async def test_a_stream_opened_by_a_ticket_ends_with_the_token_that_asked_for_it(
    world, autojump_clock
):
    path = f"{STREAM}?ticket={await ticket_of(world, world.token(lifetime=100))}"
    await trio.sleep(20)
    async with open_tab(world.app, None, path) as tab:
        await trio.sleep(79.5)
        assert tab.controls("token-expired") == []
        # 80 % of the time from its opening to the end of the token.
        assert tab.times_of("token-expiring") == [84.0]
        await tab.ended.wait()
        assert tab.times_of("token-expired") == [100.0]


async def test_a_ticket_holds_nothing_longer_than_its_token(world, autojump_clock):
    token = world.token(lifetime=10)
    answer = await ask(world, TICKETS, method="POST", token=token)
    assert json.loads(await answer.get_data())["expiresInSeconds"] == 10
    path = f"{STREAM}?ticket={await ticket_of(world, token)}"
    await trio.sleep(10)
    assert await turned_away(world, path) == REAUTHENTICATE


# Who gets one.


@pytest.mark.parametrize("header", ["", "Bearer garbage", "Basic YTpi"])
async def test_nobody_gets_a_ticket_without_a_token(world, header, autojump_clock):
    answer = await ask(world, TICKETS, method="POST", Authorization=header)
    await problem_of(answer, 401, "not-signed-in")


async def test_a_ticket_buys_no_ticket_and_no_view(world, autojump_clock):
    ticket = await ticket_of(world)
    answer = await ask(world, f"{TICKETS}?ticket={ticket}", method="POST")
    await problem_of(answer, 401, "not-signed-in")
    view = f"/api/carts/{ALICE}/view?ticket={ticket}"
    await problem_of(await ask(world, view), 401, "not-signed-in")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Origin": PAGE}, 201),
        ({"Sec_Fetch_Site": "same-origin"}, 201),
    ],
    ids=str,
)
async def test_a_cookie_gets_a_ticket_for_pages_of_ours_only(
    world, headers, status, autojump_clock
):
    cookie = f"storefront={world.token()}"
    answer = await ask(world, TICKETS, method="POST", Cookie=cookie, **headers)
    assert answer.status_code == status
    if status == 403:
        await problem_of(answer, 403, "not-allowed")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_a_ticket_is_asked_for_with_post(world, method, autojump_clock):
    answer = await ask(world, TICKETS, method=method, token=world.token())
    await problem_of(answer, 405, "http-405")


async def test_who_asks_for_too_many_is_told_when_to_come_back(world, autojump_clock):
    for _ in range(20):
        await ticket_of(world)
    answer = await ask(world, TICKETS, method="POST", token=world.token(), Origin=PAGE)
    await problem_of(answer, 429, "too-many-requests")
    assert answer.headers["Retry-After"] == "1"
    await ticket_of(world, world.token(BOB))
    await trio.sleep(1)
    await ticket_of(world)


# Whose stream.


async def test_a_ticket_opens_its_customers_stream_only(world, autojump_clock):
    path = f"{STREAM}?ticket={await ticket_of(world)}&customerId={BOB}"
    await problem_of(await ask(world, path), 403, "not-allowed")
    # It was shown, so it is spent.
    assert await turned_away(world, path) == REAUTHENTICATE


async def test_support_reads_anothers_stream_by_ticket_and_it_is_written_down(
    world, autojump_clock
):
    ticket = await ticket_of(world, staff("support"))
    with structlog.testing.capture_logs() as lines:
        path = f"{STREAM}?ticket={ticket}&customerId={BOB}"
        async with open_tab(world.app, None, path) as tab:
            await world.add_item(ALICE)
            await world.add_item(BOB)
            await trio.testing.wait_all_tasks_blocked()
            assert [event["customerId"] for event in tab.events] == [BOB]
    audit = [line for line in lines if line["event"] == "audit"]
    assert [(line["by"], line["customer"], line["roles"]) for line in audit] == [
        (CAROL, BOB, ["support"])
    ]


async def test_a_ticket_of_an_admin_opens_nobodys_stream(world, autojump_clock):
    for query in ("", f"&customerId={BOB}"):
        ticket = await ticket_of(world, staff("admin"))
        answer = await ask(world, f"{STREAM}?ticket={ticket}{query}")
        await problem_of(answer, 403, "not-allowed")


# What goes wrong.


async def test_a_store_that_does_not_answer_gives_no_ticket_and_spends_none(
    world, monkeypatch, autojump_clock
):
    ticket = await ticket_of(world)

    async def away(*_args, **_options):
        raise StoreUnavailableError("gone")

    with monkeypatch.context() as gone:
        gone.setattr(world.store, "issue_ticket", away)
        gone.setattr(world.store, "spend_ticket", away)
        answer = await ask(world, TICKETS, method="POST", token=world.token())
        await problem_of(answer, 503, "not-available")
        assert answer.headers["Retry-After"] == "5"
        blocks = await turned_away(world, f"{STREAM}?ticket={ticket}")
        assert blocks == ["retry: 10000", 'event: busy\ndata: {"reason":"log"}', ""]
    async with open_tab(world.app, None, f"{STREAM}?ticket={ticket}") as tab:
        assert tab.controls("stream") != []


async def test_no_line_of_the_log_holds_a_ticket(world, caplog, monkeypatch, autojump_clock):
    caplog.set_level(logging.DEBUG)

    def fail(*_args):
        raise ZeroDivisionError

    with structlog.testing.capture_logs() as lines:
        used, late = await ticket_of(world), await ticket_of(world)
        async with open_tab(world.app, None, f"{STREAM}?ticket={used}"):
            await turned_away_beside(world, f"{STREAM}?ticket={used}")
        await ask(world, f"{STREAM}?ticket={late}x")
        await ask(world, f"/nothing/here?ticket={late}")
        monkeypatch.setattr("storefront.web.sse.whose", fail)
        answer = await ask(world, f"{STREAM}?ticket={late}")
        assert answer.status_code == 500
        body = await answer.get_data()
    said = str(lines) + caplog.text + body.decode()
    assert "request failed" in said
    assert used not in said
    assert late not in said
