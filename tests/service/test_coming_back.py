"""Which cursor is resumed, to the second: the window, the numbering's life, and cursors of nowhere.

An event is replayable while `now - recorded <= window`, on the process's clock: at 300 s it is, and
at the next instant not.
"""

from __future__ import annotations

import pytest
import trio

from storefront.store.contract import HEAD_LIFE
from tests.service.browsers import open_tab
from tests.service.conftest import ALICE, BOB, wall_clock

wait = trio.testing.wait_all_tasks_blocked
DAY = 24 * 3600.0
# The wall clock is a double of 31 bits of seconds: this is the least that can pass on it.
INSTANT = 2.0**-22


async def leave_with(world, *counts):
    """The cursor of a browser that saw these events and left."""
    async with open_tab(world.app, world.token()) as tab:
        for count in counts:
            await world.add_item(count=count)
        await wait()
        return tab.ids[-1] if tab.ids else tab.controls("stream")[0]["position"]


def modes(tab):
    return [each["mode"] for each in tab.controls("stream")]


@pytest.mark.parametrize(
    ("after", "mode", "counts"),
    [
        (299.0, "resumed", [2, 3]),
        (300.0, "resumed", [2, 3]),
        (300.0 + INSTANT, "reset", []),
        (301.0, "reset", []),
        (6 * DAY, "reset", []),
    ],
)
async def test_a_return_is_resumed_at_300_seconds_and_reset_right_after(
    world, autojump_clock, after, mode, counts
):
    cursor = await leave_with(world, 1)
    missed_at = wall_clock()
    await world.add_item(count=2)
    await wait()
    await trio.sleep(20)
    await world.add_item(count=3)
    await wait()
    await trio.sleep(after - 20)
    assert wall_clock() - missed_at == after
    async with open_tab(world.app, world.token(), Last_Event_ID=cursor) as tab:
        assert modes(tab) == [mode]
        assert [event["itemCount"] for event in tab.events] == counts
        # Reset or not: what comes now is shown, and the next return is resumed from there.
        await world.add_item(count=4)
        await wait()
        assert [event["itemCount"] for event in tab.events] == [*counts, 4]
        cursor = tab.ids[-1]
    await world.add_item(count=5)
    async with open_tab(world.app, world.token(), Last_Event_ID=cursor) as tab:
        await wait()
        assert (modes(tab), [each["itemCount"] for each in tab.events]) == (["resumed"], [5])


async def test_the_window_counts_from_the_first_event_that_was_missed_and_not_from_leaving(
    world, autojump_clock
):
    cursor = await leave_with(world, 1)
    await trio.sleep(1000)
    await world.add_item(count=2)
    await wait()
    await trio.sleep(300)
    async with open_tab(world.app, world.token(), Last_Event_ID=cursor) as tab:
        assert (modes(tab), [each["itemCount"] for each in tab.events]) == (["resumed"], [2])


async def test_a_return_after_days_is_resumed_when_nothing_happened(world, autojump_clock):
    cursor = await leave_with(world, 1)
    await trio.sleep(HEAD_LIFE - 1)
    async with open_tab(world.app, world.token(), Last_Event_ID=cursor) as tab:
        assert tab.controls("stream") == [{"mode": "resumed", "replayed": 0, "position": cursor}]


async def test_a_numbering_that_was_let_go_is_answered_with_reset_and_another_epoch(
    world, autojump_clock
):
    cursor = await leave_with(world, 1)
    await trio.sleep(HEAD_LIFE + 2 * DAY)
    async with open_tab(world.app, world.token(), Last_Event_ID=cursor) as tab:
        await wait()
        # A process that remembers the old numbering may begin with `resumed`; what stands is this.
        mode, position = tab.controls("stream")[-1].values()
        assert mode == "reset"
        assert position.endswith("-0")
        assert position.partition("-")[0] != cursor.partition("-")[0]
        assert tab.blocks[-1] == f"id: {position}"
        await world.add_item(count=2)
        await wait()
        assert tab.ids == [f"{position.partition('-')[0]}-1"]


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "-",
        "e0",
        "{mine}--1",
        "{mine}-1.5",
        "{mine}-1e3",
        "{mine}-999999999999999999",
        "{mine}-1000000000000000000000",
        "{mine}- 1",
        "{mine}-1; DROP TABLE events",
        "%00",
        "{theirs}-1",
        "{theirs}-0",
        "019c5dd6-29d2-7fb9-9d90-cf760997d1c0",
    ],
)
async def test_whatever_a_browser_brings_is_answered_with_a_stream_of_its_own_customer(
    world, autojump_clock, cursor
):
    await world.add_item(ALICE)
    await world.add_item(BOB, count=7)
    await wait()
    mine, theirs = [await world.store.position(who, now=wall_clock()) for who in (ALICE, BOB)]
    given = cursor.format(mine=mine.epoch, theirs=theirs.epoch)
    async with open_tab(world.app, world.token(), Last_Event_ID=given) as tab:
        expected = "reset" if given else "fresh"
        assert tab.status == 200
        assert tab.controls("stream") == [{"mode": expected, "position": str(mine)}]
        assert tab.events == []
