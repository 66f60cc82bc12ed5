"""From the opening to the farewell: nothing missing and nothing twice, whatever happens in between."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

import pytest
import trio

from storefront.domain.ids import CustomerId
from storefront.domain.positions import Position
from storefront.errors import StoreUnavailableError
from storefront.realtime import stream as streams
from storefront.realtime.body import EventStreamBody, Visit
from storefront.realtime.heartbeat import Heartbeat
from storefront.realtime.hub import Hub
from storefront.realtime.pauses import Pauses
from storefront.realtime.replay import SLICE_ENTRIES, LogReader
from storefront.realtime.stream import Stream
from storefront.store.contract import Recording
from storefront.store.memory import MemoryStore

ALICE = CustomerId("11111111-1111-1111-1111-111111111111")


class Log(MemoryStore):
    """The store in memory, in which something happens just before and just after it is read."""

    def __init__(self) -> None:
        epochs = (f"e{number}" for number in count())
        super().__init__(window=300.0, kept_ids=10_000, token=epochs.__next__)
        self.serial = count(1)
        self.before = self.after = 0
        self.away = False

    async def add(self, number: int) -> None:
        await self.record(
            [
                Recording(
                    message_id=str(next(self.serial)),
                    customer=ALICE,
                    payload=b'{"eventType":"cart-updated"}',
                )
                for _ in range(number)
            ],
            now=trio.current_time(),
        )

    async def since(self, *args, **kwargs):
        return await self._amid(super().since, *args, **kwargs)

    async def position(self, *args, **kwargs):
        return await self._amid(super().position, *args, **kwargs)

    async def _amid(self, read, *args, **kwargs):
        if self.away:
            raise StoreUnavailableError("away")
        before, self.before, after, self.after = self.before, 0, self.after, 0
        await self.add(before)
        found = await read(*args, **kwargs)
        await self.add(after)
        return found


@dataclass
class Browser:
    """What came down one stream."""

    body: EventStreamBody
    stream: Stream
    came: bytes = b""
    writes: list[bytes] = field(default_factory=list)
    over: bool = False

    async def read(self) -> None:
        """Take what there is to take now."""
        while not self.over:
            with trio.move_on_after(1):
                try:
                    self.writes.append(await anext(self.body))
                except StopAsyncIteration:
                    self.over = True
                else:
                    self.came += self.writes[-1]
                    continue
            return

    @property
    def numbers(self) -> list[int]:
        return [int(each) for each in re.findall(rb"id: e\d+-(\d+)\ndata", self.came)]

    @property
    def verdicts(self) -> list[bytes]:
        return re.findall(rb'"mode":"(\w+)"', self.came)


@dataclass
class Room:
    log: Log
    hub: Hub
    deaf: bool = False  # announcements are lost

    @asynccontextmanager
    async def browser(self, cursor: Position | None = None, *, slow: bool = False):
        stream = Stream(ALICE, now=trio.current_time(), every=1e6)
        body = EventStreamBody(
            stream,
            Visit(cursor=cursor, returning=cursor is not None, was_slow=lambda: slow),
            hub=self.hub,
            heartbeat=Heartbeat(),
            log=LogReader(self.log, clock=trio.current_time),
            pauses=Pauses(lambda low, high: (low + high) / 2),
        )
        async with body:
            yield Browser(body, stream)


@pytest.fixture
async def room(nursery):
    made = Room(Log(), Hub(max_streams=9, max_per_customer=9, superseded_pause=lambda: 60.0))

    def hear(entries) -> None:
        if not made.deaf:
            made.hub.publish(entries)

    await nursery.start(made.log.follow, hear, made.hub.lost)
    yield made
    nursery.cancel_scope.cancel()


async def at(room: Room, seq: int) -> Position:
    head = await MemoryStore.position(room.log, ALICE, now=trio.current_time())
    return Position(head.epoch, seq)


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
        await browser.read()
    assert browser.over
    assert browser.came.endswith(b'retry: 10000\n\nevent: busy\ndata: {"reason":"log"}\n\n')
    assert room.hub.statistics().ended == {"log": 1}


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
