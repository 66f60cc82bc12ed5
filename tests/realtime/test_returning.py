"""Those who come back: from memory where it can be, and told the truth when it could not."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
import trio

from storefront.domain.ids import CustomerId
from storefront.domain.positions import Position
from storefront.realtime import stream as streams
from storefront.realtime.recent import Recent
from storefront.realtime.replay import READS
from storefront.store.memory import MemoryStore
from tests.realtime.rooms import Log, at, open_room

CUSTOMERS = [CustomerId(f"c4401000-0000-4000-8000-{number:012d}") for number in range(250)]


@pytest.fixture
async def room(autojump_clock):
    async with open_room(Log(), Recent(window=300.0)) as made:
        yield made


async def test_a_return_within_what_was_heard_asks_the_store_for_nothing_but_the_head(
    autojump_clock, room
):
    await room.log.add(5)
    async with room.browser(await at(room, 2)) as browser:
        await browser.read()
        await room.log.add(1)
        await browser.read()
    assert b'{"mode":"resumed","replayed":3,"position":"e0-5"}' in browser.came
    assert browser.numbers == [3, 4, 5, 6]
    assert (room.log.reads, room.log.looks) == (0, 1)


async def test_a_stream_that_fell_behind_goes_on_from_memory(autojump_clock, room):
    async with room.browser() as browser:
        await browser.read()
        for _ in range(3):
            await room.log.add(streams.CHANNEL_PARCELS + 50)
            assert browser.stream.behind
            await browser.read()
    assert browser.numbers == list(range(1, 3 * (streams.CHANNEL_PARCELS + 50) + 1))
    assert room.log.reads == 0


async def test_what_memory_has_let_go_of_is_read_from_the_log_and_then_memory_goes_on(
    autojump_clock, room
):
    await room.log.add(3000)
    async with room.browser(await at(room, 0)) as browser:
        await browser.read()
    assert browser.numbers == list(range(1, 3001))
    # 64 KiB or 500 entries of a slice: four of six from the store.
    assert 0 < room.log.reads < 6
    assert room.reader.statistics().remembered > 0


async def test_an_announcement_that_was_lost_before_a_return_is_made_up_for_at_once(
    autojump_clock, room
):
    await room.log.add(2)
    room.deaf = True
    await room.log.add(1)
    async with room.browser(await at(room, 1)) as browser:
        await browser.read()
        assert trio.current_time() < 5, "the heartbeat does not run here, nor is it waited for"
    assert b'"replayed":1,"position":"e0-2"' in browser.came
    assert browser.numbers == [2, 3]
    async with room.browser(await at(room, 1)) as browser:
        await browser.read()
    assert browser.numbers == [2, 3]


async def test_a_return_to_a_log_that_lost_its_data_is_told_to_start_over(autojump_clock, room):
    await room.log.add(3)
    cursor = await at(room, 1)
    room.log._logs.clear()
    async with room.browser(cursor) as browser:
        await browser.read()
        await room.log.add(1)
        await browser.read()
    assert browser.verdicts == [b"resumed", b"reset"]
    assert browser.numbers == [2, 3, 1]


async def test_a_return_to_a_log_that_began_anew_unheard_is_told_to_start_over(
    autojump_clock, room
):
    await room.log.add(3)
    cursor = await at(room, 3)
    room.log._logs.clear()
    room.deaf = True
    await room.log.add(1)
    async with room.browser(cursor) as browser:
        await browser.read()
    assert browser.verdicts == [b"resumed", b"reset"]


async def test_after_a_reconnection_of_the_store_the_log_is_read(autojump_clock, room):
    await room.log.add(2)
    room.hub.lost()
    async with room.browser(await at(room, 1)) as browser:
        await browser.read()
    assert browser.numbers == [2]
    assert room.log.reads == 1


async def test_what_is_announced_between_joining_and_asking_comes_once(autojump_clock, room):
    await room.log.add(2)
    async with room.browser(await at(room, 1)) as browser:
        await room.log.add(2)
        await browser.read()
        await room.log.add(1)
        await browser.read()
    assert browser.numbers == [2, 3, 4, 5]


async def storm(room) -> list:
    """A thousand browsers, four of each customer, who had seen two of five events, all at once."""
    browsers = []
    async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
        for _ in range(4):
            for customer in CUSTOMERS:
                head = await MemoryStore.position(room.log, customer, now=trio.current_time())
                browser = await stack.enter_async_context(
                    room.browser(Position(head.epoch, 2), customer=customer)
                )
                browsers.append(browser)
                nursery.start_soon(browser.read)
    return browsers


@pytest.mark.parametrize("restarted", [False, True], ids=["cut", "restarted"])
async def test_a_thousand_returns_at_once_cost_the_store_little(autojump_clock, restarted):
    log = Log()
    log.takes = 0.01
    async with open_room(log, Recent(window=300.0), streams=2000) as room:
        for customer in CUSTOMERS:
            await log.add(5, customer)
        if restarted:
            room.recent.lost()
        browsers = await storm(room)
    assert len(browsers) == 1000
    assert all(browser.numbers == [3, 4, 5] for browser in browsers)
    if restarted:
        # The memory is empty: so many at a time, and one for all of a customer who wait, which those
        # who come while the first are being read do anew.
        assert log.most_at_once == READS
        assert log.reads <= len(CUSTOMERS) + READS
    else:
        assert log.reads == 0
        assert log.looks <= 3, "the heads of all, together"


class SlowThenAway(Log):
    """Takes two seconds to say that it cannot answer."""

    async def since(self, *args, **kwargs):
        if self.away:
            await trio.sleep(2)
        return await super().since(*args, **kwargs)


async def test_what_comes_while_a_log_fails_to_answer_is_not_written_before_the_verdict(
    autojump_clock,
):
    """It would move the browser's cursor over all that it still lacks."""
    async with open_room(SlowThenAway(), Recent(window=300.0)) as room:
        await room.log.add(5)
        room.hub.lost()  # as after a restart: nothing is known from memory
        room.log.away = True
        async with room.browser(await at(room, 2)) as browser, trio.open_nursery() as nursery:
            nursery.start_soon(browser.read, 9)
            await trio.sleep(1)
            await room.log.add(1)
    assert browser.numbers == []
    assert browser.came.endswith(b'event: busy\ndata: {"reason":"log"}\n\n')
