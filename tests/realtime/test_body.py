"""From the opening to the farewell: nothing missing and nothing twice, whatever happens in between."""

from __future__ import annotations

import pytest
import trio

from storefront.realtime import stream as streams
from storefront.realtime.body import RESTS
from storefront.realtime.heartbeat import SLICE
from storefront.realtime.recent import Recent
from storefront.realtime.replay import SLICE_ENTRIES
from tests.realtime.rooms import Log, at, open_room


@pytest.fixture
async def room(autojump_clock):
    # Nothing is remembered, so what is to be read from the log is read from the log.
    async with open_room(Log(), Recent(window=300.0, room=0)) as made:
        yield made


@pytest.mark.parametrize("returning", [False, True], ids=["fresh", "resumed"])
async def test_what_happens_while_the_stream_opens_comes_once_before_and_after_the_reading(
    autojump_clock, room, returning
):
    await room.log.add(2)
    room.log.before, room.log.after = 3, 2
    async with room.browser(await at(room, 2) if returning else None) as browser:
        await browser.read()
        # A fresh stream begins after what had been recorded when the log was read. Looked at before
        # the next event, whose gap would heal what the opening had missed.
        assert browser.numbers == ([3, 4, 5, 6, 7] if returning else [6, 7])
        await room.log.add(1)
        await browser.read()
    assert browser.numbers[-2:] == [7, 8]


async def test_a_log_longer_than_a_write_is_read_to_its_end_in_slices(autojump_clock, room):
    await room.log.add(2 * SLICE_ENTRIES + 7)
    async with room.browser(await at(room, 0)) as browser:
        room.log.after = 3
        await browser.read()
    assert browser.numbers == list(range(1, 2 * SLICE_ENTRIES + 11))
    assert len(browser.writes) >= 3
    assert b'"replayed":1007' in browser.came


async def test_an_announcement_that_was_lost_shows_as_a_gap_and_is_read_from_the_log(
    autojump_clock, room
):
    async with room.browser() as browser:
        await browser.read()
        room.deaf = True
        await room.log.add(1)
        room.deaf = False
        await room.log.add(2)
        await browser.read()
    assert browser.numbers == [1, 2, 3]


async def test_a_burst_beyond_the_channel_ends_no_stream_and_leaves_no_hole(autojump_clock, room):
    async with room.browser() as browser:
        await browser.read()
        await room.log.add(3 * streams.CHANNEL_PARCELS)
        assert browser.stream.behind
        room.log.before, room.log.after = 5, 5
        await browser.read()
    assert browser.numbers == list(range(1, 3 * streams.CHANNEL_PARCELS + 11))
    assert browser.stream.ended == "disconnected"


async def test_what_was_told_while_the_stream_was_behind_is_written(autojump_clock, room):
    async with room.browser() as browser:
        await browser.read()
        await room.log.add(2 * streams.CHANNEL_PARCELS)
        browser.stream.tell(b"event: token-expiring\ndata: {}\n\n")
        await browser.read()
    assert browser.came.count(b"event: token-expiring") == 1


async def test_a_stream_that_was_told_something_while_nothing_happens_is_woken(
    autojump_clock, room
):
    async with room.browser() as browser:
        await browser.read()
        browser.stream.tell(b"event: token-expiring\ndata: {}\n\n")
        await browser.read()
    assert browser.came.endswith(b"event: token-expiring\ndata: {}\n\n")


async def test_a_laggard_whose_place_in_the_log_is_gone_is_told_to_start_over(autojump_clock, room):
    async with room.browser() as browser:
        await browser.read()
        await room.log.add(2 * streams.CHANNEL_PARCELS)
        await trio.sleep(400)
        await browser.read()
        await room.log.add(1)
        await browser.read()
    assert browser.verdicts == [b"fresh", b"reset"]
    assert browser.numbers == [2 * streams.CHANNEL_PARCELS + 1]


async def test_a_log_that_goes_away_while_a_stream_catches_up_ends_it_with_its_cursor_kept(
    autojump_clock, room
):
    async with room.browser() as browser:
        await browser.read()
        room.hub.lost()
        room.log.away = True
        began = trio.current_time()
        await browser.read(patience=10)
        assert trio.current_time() - began == sum(RESTS)
    assert browser.over
    assert browser.came.endswith(b'retry: 10000\n\nevent: busy\ndata: {"reason":"log"}\n\n')
    assert room.hub.statistics().ended == {"log": 1}


async def test_a_log_that_is_away_for_a_moment_ends_no_stream_and_nothing_is_missing(
    autojump_clock, room
):
    async with room.browser() as browser:
        await browser.read()
        for _ in range(3):
            room.hub.lost()
            room.log.away = True
            await browser.read(patience=0.5)
            await room.log.add(2)
            room.log.away = False
            await browser.read()
    assert browser.numbers == [1, 2, 3, 4, 5, 6]
    assert browser.stream.ended == "disconnected"


async def test_a_stream_that_waits_for_the_log_is_ended_at_once(autojump_clock, room):
    async with room.browser() as browser:
        await browser.read()
        room.hub.lost()
        room.log.away = True
        await browser.read(patience=0.3)
        browser.stream.end("shutdown", b"event: shutdown\ndata: {}\n\n")
        began = trio.current_time()
        await browser.read()
        assert trio.current_time() == began
    assert browser.came.endswith(b"event: shutdown\ndata: {}\n\n")


async def test_a_stream_that_is_ended_while_it_is_behind_writes_nothing_out_of_its_place(
    autojump_clock, room
):
    async with room.browser() as browser:
        await browser.read()
        room.deaf = True
        await room.log.add(1)
        room.deaf = False
        await room.log.add(1)
        browser.stream.end("shutdown", b"event: shutdown\ndata: {}\n\n")
        await browser.read()
    assert browser.numbers == []
    assert browser.came.endswith(b"event: shutdown\ndata: {}\n\n")


async def test_a_stream_whose_numbering_began_anew_is_told_to_start_over(autojump_clock, room):
    async with room.browser() as browser:
        await browser.read()
        await room.log.add(2)
        await browser.read()
        room.log._logs.clear()
        await room.log.add(1)
        await browser.read()
    assert browser.verdicts == [b"fresh", b"reset"]
    assert browser.numbers == [1, 2], "what stands before the new head is for the views to show"


async def test_browsers_that_come_and_go_leave_nothing_on_the_heartbeats_wheel(
    autojump_clock, room
):
    for _ in range(500):
        async with room.browser() as browser:
            await anext(browser.body)
    assert len(room.heartbeat._wheel) <= 2 * SLICE


@pytest.mark.parametrize(
    ("error", "slow", "reason"),
    [
        (None, False, "disconnected"),
        (None, True, "slow"),
        (trio.Cancelled, False, "disconnected"),
        (ZeroDivisionError, False, "failed"),
    ],
)
async def test_the_reason_for_an_end_is_counted_as_what_it_was(
    autojump_clock, room, error, slow, reason
):
    with trio.CancelScope() as scope:
        try:
            async with room.browser(slow=slow) as browser:
                await browser.read()
                if error is ZeroDivisionError:
                    _stumble()
                if error is trio.Cancelled:
                    scope.cancel()
                    await trio.lowlevel.checkpoint()
        except ZeroDivisionError:
            pass
    assert room.hub.statistics().ended == {reason: 1}
    assert room.hub.statistics().streams == 0


def _stumble() -> None:
    raise ZeroDivisionError
