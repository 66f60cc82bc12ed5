"""Streams whose own tasks sleep: what comes is written for them, and nobody is kept waiting by it."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from storefront.realtime import fan_out, frames, transcript
from storefront.realtime.recent import Recent
from storefront.realtime.stream import CHANNEL_PARCELS
from storefront.store.memory import MemoryStore
from tests.realtime.rooms import ALICE, Log, at, open_room


@pytest.fixture
async def room(autojump_clock):
    async with open_room(Log(), Recent(window=300.0, room=0), streams=200) as made:
        yield made


class Socket:
    """A connection that takes what is written at once for as long as there is room."""

    def __init__(self, browser=None):
        self.browser = browser
        self.room = True
        self.writes = []

    def __call__(self, data):
        if self.room:
            self.writes.append(data)
            self.browser.came += data
        return self.room


@asynccontextmanager
async def sleeper(room):
    """A browser that has opened, whose task sleeps and takes nothing but what the socket refused."""
    socket = Socket()
    async with room.browser(at_once=socket) as browser, trio.open_nursery() as nursery:
        socket.browser = browser
        nursery.start_soon(browser.read, float("inf"))
        await wait_all_tasks_blocked()
        yield browser, socket
        nursery.cancel_scope.cancel()


async def test_what_comes_is_written_in_order_and_the_streams_own_task_sleeps_on(room):
    async with sleeper(room) as (browser, socket):
        opening = len(browser.writes)
        for _ in range(3):
            await room.log.add(1)
            await wait_all_tasks_blocked()
        browser.stream.tell(frames.control("token-expiring", {}))
        await wait_all_tasks_blocked()
        assert browser.numbers == [1, 2, 3]
        assert len(socket.writes) == 4
        assert socket.writes[3] == frames.control("token-expiring", {})
        assert len(browser.writes) == opening


async def test_what_came_before_its_turn_is_one_write(room):
    async with sleeper(room) as (browser, socket):
        await room.log.add(5)
        await wait_all_tasks_blocked()
        assert browser.numbers == [1, 2, 3, 4, 5]
        assert len(socket.writes) == 1


async def test_what_the_socket_has_no_room_for_is_written_by_the_streams_own_task_and_then_it_sleeps(
    room,
):
    async with sleeper(room) as (browser, socket):
        opening = len(browser.writes)
        socket.room = False
        await room.log.add(2)
        await wait_all_tasks_blocked()
        assert browser.numbers == [1, 2]
        assert len(browser.writes) == opening + 1
        socket.room = True
        await room.log.add(1)
        await wait_all_tasks_blocked()
        assert browser.numbers == [1, 2, 3]
        assert (len(browser.writes), len(socket.writes)) == (opening + 1, 1)


async def test_what_comes_between_a_refusal_and_the_waking_is_not_written_over_what_was_refused(
    room,
):
    async with sleeper(room) as (browser, socket):
        socket.room = False
        room.deaf = True
        await room.log.add(2)
        first, second = (
            await MemoryStore.since(
                room.log, ALICE, await at(room, 0), now=0.0, limit=9, max_bytes=9999
            )
        ).entries
        room.hub.publish([first])
        browser.body.serve()
        room.hub.publish([second])
        browser.body.serve()
        await wait_all_tasks_blocked()
        assert browser.numbers == [1, 2]


async def test_what_comes_while_the_own_task_writes_waits_behind_it(room):
    refused = []

    def refuse(data):
        refused.append(data)
        return False

    async with room.browser(at_once=refuse) as browser:
        browser.came += await anext(browser.body)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(browser.read, 0.5)
            await wait_all_tasks_blocked()
            await room.log.add(1)
        # Its task is elsewhere now: in a write that lasts. Nobody overtakes it.
        assert (browser.numbers, len(refused)) == ([1], 1)
        await room.log.add(2)
        await wait_all_tasks_blocked()
        assert len(refused) == 1
        await browser.read(0.5)
        assert browser.numbers == [1, 2, 3]


async def test_an_end_wakes_the_task_which_writes_what_waited_and_the_farewell(room):
    async with sleeper(room) as (browser, _):
        await room.log.add(1)
        browser.stream.end("shutdown", frames.control("shutdown", {}))
        await wait_all_tasks_blocked()
        assert browser.over
        assert browser.numbers == [1]
        assert browser.came.endswith(frames.control("shutdown", {}))


async def test_an_end_with_nothing_before_it_wakes_the_task_too(room):
    async with sleeper(room) as (browser, _):
        browser.stream.end("shutdown", frames.control("shutdown", {}))
        await wait_all_tasks_blocked()
        assert browser.over


async def test_more_than_a_write_may_hold_is_several_writes(room, monkeypatch):
    monkeypatch.setattr(transcript, "SLICE_BYTES", 200)
    async with sleeper(room) as (browser, socket):
        await room.log.add(12)
        await wait_all_tasks_blocked()
        assert browser.numbers == list(range(1, 13))
        assert len(socket.writes) > 2


async def test_a_gap_wakes_the_task_which_reads_the_log(room):
    async with sleeper(room) as (browser, _):
        room.deaf = True
        await room.log.add(1)
        room.deaf = False
        reads = room.log.reads
        await room.log.add(1)
        await wait_all_tasks_blocked()
        assert browser.numbers == [1, 2]
        assert room.log.reads == reads + 1


async def test_an_overflow_before_its_turn_wakes_the_task_which_reads_the_log(room):
    async with sleeper(room) as (browser, _):
        await room.log.add(CHANNEL_PARCELS + 40)
        await wait_all_tasks_blocked()
        assert browser.numbers == list(range(1, CHANNEL_PARCELS + 41))


async def test_one_that_left_before_its_turn_is_written_nothing(room):
    async with sleeper(room) as (browser, socket):
        pass
    browser.body.serve()
    assert socket.writes == []
    assert browser.stream.called is None


async def test_after_each_slice_the_others_have_their_turn(room, autojump_clock):
    turns = []

    async def others():
        while True:
            turns.append(sum(len(socket.writes) for socket in sockets))
            await trio.lowlevel.checkpoint()

    async with AsyncExitStack() as stack:
        room.hub._max_per_customer = 200
        opened = [await stack.enter_async_context(sleeper(room)) for _ in range(100)]
        sockets = [socket for _, socket in opened]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(others)
            await room.log.add(1)
            while sum(len(socket.writes) for socket in sockets) < 100:
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    steps = [after - before for before, after in pairwise(turns)]
    # Trio turns the order of a round about: two slices may lie between two turns of the others.
    assert max(steps) <= 2 * fan_out.SLICE
    assert len([step for step in steps if step]) >= 2
    assert all(browser.numbers == [1] for browser, _ in opened)
