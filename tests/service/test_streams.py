"""Streams as a browser sees them: bytes in order, at exact times."""

from __future__ import annotations

import pytest
import trio

from storefront.realtime.drain import end_streams
from tests.service.browsers import open_tab
from tests.service.conftest import ALICE, BOB, wall_clock


async def test_a_fresh_stream_opens_with_retry_its_verdict_and_a_block_of_only_the_id(
    world, autojump_clock
):
    async with open_tab(world.app, world.token()) as tab:
        position = str(await world.store.position(ALICE, now=wall_clock()))
        assert tab.blocks == [
            "retry: 3000",
            f'event: stream\ndata: {{"mode":"fresh","position":"{position}"}}',
            f"id: {position}",
        ]
        assert tab.connection.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert tab.connection.headers["Cache-Control"] == "no-cache, no-store, no-transform"
        assert tab.connection.headers["X-Accel-Buffering"] == "no"


async def test_a_message_becomes_an_unnamed_frame_with_an_id_and_event_type_first(
    world, autojump_clock
):
    async with open_tab(world.app, world.token()) as tab:
        await world.add_item()
        await trio.testing.wait_all_tasks_blocked()
        epoch = (await world.store.position(ALICE, now=wall_clock())).epoch
        assert tab.blocks[-1] == (
            f"id: {epoch}-1\n"
            'data: {"eventType":"cart-updated","cartId":"019c5dd6-29d2-7fb9-9d90-cf760997d1c0",'
            f'"customerId":"{ALICE}","itemCount":1,"totalAmount":39.98,'
            '"occurredAt":"2026-02-17T21:58:44.1234567+00:00"}'
        )


async def test_named_frames_are_given_to_those_who_ask_for_them(world, autojump_clock):
    async with open_tab(world.app, world.token(), "/sse/storefront?named=1") as tab:
        await world.add_item()
        await trio.testing.wait_all_tasks_blocked()
        assert tab.blocks[-1].startswith("event: cart-updated\nid: ")


async def test_a_stream_that_asks_for_pings_opens_with_one_and_beats_so_that_a_script_sees_it(
    world, autojump_clock
):
    async with open_tab(world.app, world.token(), "/sse/storefront?pings=1") as tab:
        await trio.sleep(61)
        assert tab.blocks[-3:] == ['event: ping\ndata: {"everySeconds":30.0}'] * 3
        # The opening's comes last: whoever hears it has been told where the stream stands.
        assert [block.split("\n")[0] for block in tab.blocks[1:3]] == [
            "event: stream",
            tab.blocks[2],
        ]
        assert tab.times_of("event: ping") == [tab.came[0][0] + after for after in (0, 30, 60)]
        assert ":ping" not in tab.blocks
    # Back with the browser's own cursor, which a frame without an id would take away.
    cursor = tab.blocks[2].removeprefix("id: ")
    async with open_tab(
        world.app, world.token(), "/sse/storefront?pings=1", Last_Event_ID=cursor
    ) as tab:
        assert tab.blocks[1] == f"id: {cursor}"
        assert tab.blocks[-1].startswith("event: ping")


async def test_an_event_reaches_every_tab_of_its_customer_and_no_one_elses(world, autojump_clock):
    async with (
        open_tab(world.app, world.token(ALICE)) as one,
        open_tab(world.app, world.token(ALICE)) as two,
        open_tab(world.app, world.token(BOB)) as other,
    ):
        await world.add_item(ALICE, count=1)
        await world.add_item(BOB, count=2)
        await world.add_item(ALICE, count=3)
        await trio.testing.wait_all_tasks_blocked()
        assert [event["itemCount"] for event in one.events] == [1, 3]
        assert one.events == two.events
        assert [event["itemCount"] for event in other.events] == [2]


@pytest.mark.parametrize("busy", [False, True], ids=["silent", "with events in between"])
async def test_a_stream_is_pinged_exactly_30_60_and_90_s_after_it_opened(
    world, nursery, busy, autojump_clock
):
    async def keep_publishing() -> None:
        while True:
            await world.add_item()
            await trio.sleep(0.7)

    await trio.sleep(7.3)
    opened = trio.current_time()
    async with open_tab(world.app, world.token()) as tab:
        if busy:
            nursery.start_soon(keep_publishing)
        await trio.sleep(95)
        assert [at - opened for at in tab.times_of(":ping")] == pytest.approx(
            [30, 60, 90], abs=1e-9
        )
        assert (len(tab.events) > 100) is busy


async def test_each_of_two_streams_is_pinged_by_its_own_clock(world, autojump_clock):
    async with open_tab(world.app, world.token()) as first:
        await trio.sleep(11)
        async with open_tab(world.app, world.token(BOB)) as second:
            await trio.sleep(61)
            assert first.times_of(":ping") == [30, 60]
            assert second.times_of(":ping") == [41, 71]


async def test_a_stream_warns_at_80_percent_and_ends_exactly_at_exp(world, autojump_clock):
    async with open_tab(world.app, world.token(lifetime=100)) as tab:
        await tab.ended.wait()
        assert trio.current_time() == pytest.approx(100, abs=1e-6)
        assert tab.times_of("token-expiring") == pytest.approx([80], abs=1e-6)
        assert tab.controls("token-expiring") == [{"expiresInSeconds": 20.0}]
        assert tab.blocks[-1] == "event: token-expired\ndata: {}"
    assert world.shop.hub.statistics().ended == {"expired": 1}


async def test_a_reader_that_does_not_read_costs_nothing_and_misses_nothing(world, autojump_clock):
    async with open_tab(world.app, world.token()) as tab:
        for n in range(2000):
            await world.add_item(count=n)
        with trio.fail_after(60):
            while len(tab.events) < 2000:
                await trio.sleep(1)
        assert [event["itemCount"] for event in tab.events] == list(range(2000))
        assert [int(each.rpartition("-")[2]) for each in tab.ids] == list(range(1, 2001))


async def test_a_browser_that_comes_back_gets_what_it_missed_in_order_and_once(
    world, autojump_clock
):
    async with open_tab(world.app, world.token()) as tab:
        await world.add_item(count=1)
        await trio.testing.wait_all_tasks_blocked()
        last = tab.ids[-1]
    for n in (2, 3):
        await world.add_item(count=n)
    await trio.sleep(299)
    async with open_tab(world.app, world.token(), Last_Event_ID=last) as tab:
        await world.add_item(count=4)
        await trio.testing.wait_all_tasks_blocked()
        assert tab.controls("stream")[0] | {"position": ""} == {
            "mode": "resumed",
            "replayed": 2,
            "position": "",
        }
        assert [event["itemCount"] for event in tab.events] == [2, 3, 4]


@pytest.mark.parametrize(
    "cursor",
    ["garbage", "e999-1", "{epoch}-99", "{epoch}-01", "x" * 500, "{epoch}-1\u00e9", "{bob}-1"],
)
async def test_a_cursor_that_means_nothing_here_is_answered_with_reset_and_never_with_other_data(
    world, cursor, autojump_clock
):
    await world.add_item(ALICE)
    await world.add_item(BOB, count=7)
    await trio.testing.wait_all_tasks_blocked()
    alice = await world.store.position(ALICE, now=wall_clock())
    bob = await world.store.position(BOB, now=wall_clock())
    given = cursor.format(epoch=alice.epoch, bob=bob.epoch)
    async with open_tab(
        world.app, world.token(), Last_Event_ID=given.encode().decode("latin-1")
    ) as tab:
        assert tab.controls("stream") == [{"mode": "reset", "position": str(alice)}]
        assert tab.blocks[-1] == f"id: {alice}"
        assert tab.events == []


async def test_the_header_beats_the_query(world, autojump_clock):
    for n in range(3):
        await world.add_item(count=n)
    await trio.testing.wait_all_tasks_blocked()
    epoch = (await world.store.position(ALICE, now=wall_clock())).epoch
    path = f"/sse/storefront?lastEventId={epoch}-0"
    async with open_tab(world.app, world.token(), path) as tab:
        assert len(tab.events) == 3
    async with open_tab(world.app, world.token(), path, Last_Event_ID=f"{epoch}-2") as tab:
        assert len(tab.events) == 1


async def test_the_oldest_stream_makes_room_for_the_fourth_of_one_customer(world, autojump_clock):
    async with (
        open_tab(world.app, world.token()) as oldest,
        open_tab(world.app, world.token()) as second,
        open_tab(world.app, world.token()),
        open_tab(world.app, world.token()) as newest,
    ):
        await trio.testing.wait_all_tasks_blocked()
        assert oldest.ended.is_set()
        assert oldest.blocks[-2:] == ["retry: 60000", "event: superseded\ndata: {}"]
        assert not second.ended.is_set()
        assert not newest.ended.is_set()
    assert world.shop.hub.statistics().ended["superseded"] == 1


async def test_when_there_is_no_room_the_browser_is_told_busy_with_200_and_comes_back(
    world, autojump_clock
):
    from contextlib import AsyncExitStack

    async with AsyncExitStack() as stack:
        for n in range(50):
            customer = f"33333333-3333-3333-3333-{n:012d}"
            await stack.enter_async_context(open_tab(world.app, world.token(customer)))
        async with open_tab(world.app, world.token()) as tab:
            await tab.ended.wait()
            assert tab.status == 200
            assert tab.blocks == ["retry: 10000", 'event: busy\ndata: {"reason":"full"}']
    assert world.shop.hub.statistics().streams == 0
    assert world.shop.hub.statistics().refused == 1


async def test_the_drain_ends_streams_one_after_the_other_over_its_window_and_refuses_new_ones(
    world, autojump_clock
):
    async with (
        open_tab(world.app, world.token(ALICE)) as first,
        open_tab(world.app, world.token(BOB)) as second,
    ):
        began = trio.current_time()
        await end_streams(world.shop.hub, over=10, pause=lambda: 2.5)
        await trio.testing.wait_all_tasks_blocked()
        assert [at - began for at in first.times_of("event: shutdown")] == [0]
        assert [at - began for at in second.times_of("event: shutdown")] == [5]
        assert second.blocks[-2:] == ["retry: 2500", "event: shutdown\ndata: {}"]
        assert first.ended.is_set()
        assert second.ended.is_set()
        async with open_tab(world.app, world.token(ALICE)) as late:
            await late.ended.wait()
            assert late.status == 200
            assert late.blocks[-1] == "event: shutdown\ndata: {}"


async def test_a_stream_outlives_quarts_minute(world, autojump_clock):
    async with open_tab(world.app, world.token(lifetime=7200)) as tab:
        await trio.sleep(3001)
        assert not tab.ended.is_set()
        assert len(tab.times_of(":ping")) == 100


async def test_head_answers_the_headers_and_ends(world, autojump_clock):
    client = world.app.test_client()
    with trio.fail_after(1):
        answer = await client.head(
            "/sse/storefront", headers={"Authorization": f"Bearer {world.token()}"}
        )
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert world.shop.hub.statistics().streams == 0


async def test_other_methods_are_refused_with_a_problem(world, autojump_clock):
    answer = await world.app.test_client().post("/sse/storefront")
    assert answer.status_code == 405
    assert answer.content_type == "application/problem+json"
    assert set(answer.headers["Allow"].split(", ")) >= {"GET", "HEAD"}


async def test_a_log_that_does_not_answer_is_told_and_the_browser_keeps_its_cursor(
    world, monkeypatch, autojump_clock
):
    from storefront.errors import StoreUnavailableError

    async def away(*_args, **_kwargs):
        raise StoreUnavailableError("away")

    monkeypatch.setattr(world.store, "since", away)
    async with open_tab(world.app, world.token(), Last_Event_ID="e0-1") as tab:
        await tab.ended.wait()
        assert tab.blocks == ["id: e0-1", "retry: 10000", 'event: busy\ndata: {"reason":"log"}']
    assert world.shop.hub.statistics().ended == {"log": 1}


async def test_a_client_by_the_letter_of_the_standard_keeps_its_cursor_when_it_missed_nothing(
    world, autojump_clock
):
    """WHATWG HTML, 9.2.6: the last event id is empty at the start of every response, and each event sets it."""
    async with open_tab(world.app, world.token()) as tab:
        cursor = tab.blocks[-1].removeprefix("id: ")
    for _ in range(2):
        async with open_tab(world.app, world.token(), Last_Event_ID=cursor) as tab:
            verdict = f'{{"mode":"resumed","replayed":0,"position":"{cursor}"}}'
            opening = ["retry: 3000", f"id: {cursor}", f"event: stream\ndata: {verdict}"]
            assert tab.blocks == opening


async def test_a_browser_that_leaves_is_forgotten_at_once(world, autojump_clock):
    async with open_tab(world.app, world.token()):
        assert world.shop.hub.statistics().streams == 1
    assert world.shop.hub.statistics().streams == 0
    assert world.shop.hub.statistics().ended == {"disconnected": 1}


async def test_an_event_whose_announcement_was_lost_is_shown_with_the_next_beat(
    world, autojump_clock, monkeypatch
):
    async with open_tab(world.app, world.token()) as tab:
        await world.add_item(count=1)
        await trio.sleep(1)
        monkeypatch.setattr(world.store, "_announce", lambda _: None)
        await world.add_item(count=2)
        await trio.sleep(28.9)
        assert [event["itemCount"] for event in tab.events] == [1]
        await trio.sleep(0.2)
        assert [event["itemCount"] for event in tab.events] == [1, 2]
        assert [at for at, block in tab.came if '"itemCount":2' in block] == [30]


async def test_a_stream_that_missed_nothing_asks_the_log_nothing_with_its_beats(
    world, autojump_clock, monkeypatch
):
    async with open_tab(world.app, world.token()) as tab:
        await world.add_item(count=1)
        await trio.sleep(1)
        reads = []
        since = world.store.since

        async def counted(*args, **kwargs):
            reads.append(args)
            return await since(*args, **kwargs)

        monkeypatch.setattr(world.store, "since", counted)
        await trio.sleep(300)
        assert len(tab.times_of(":ping")) == 10
        assert reads == []
