"""The log away while browsers come back and while messages come in, at exact times."""

from __future__ import annotations

import itertools

import pytest
import trio

from storefront.messaging.memory import MemoryBroker
from storefront.service import Ports, run_back_office
from storefront.store.contract import Recording
from storefront.store.memory import MemoryStore
from tests.service.browsers import open_tab
from tests.service.conftest import ALICE, BOB, EPOCH, QUEUE, SETTINGS, World, wall_clock
from tests.store.faulty import FaultyStore

wait = trio.testing.wait_all_tasks_blocked
BUSY = ["retry: 10000", 'event: busy\ndata: {"reason":"log"}']


def event(number):
    payload = f'{{"eventType":"cart-updated","itemCount":{number}}}'
    return Recording(message_id=f"old {number}", customer=ALICE, payload=payload.encode())


@pytest.fixture
async def world(nursery, autojump_clock):
    """A process that has just begun, over a log of five events and a store that can fail."""
    tokens = (f"e{n}" for n in itertools.count())
    store = FaultyStore(MemoryStore(window=300.0, kept_ids=200, token=tokens.__next__))
    await store.record([event(number) for number in range(1, 6)], now=EPOCH)
    broker = MemoryBroker()
    nursery.start_soon(broker.run)
    ports = Ports(
        store=store, broker=broker, clock=wall_clock, uniform=lambda low, high: (low + high) / 2
    )
    shop = await nursery.start(run_back_office, SETTINGS, ports)
    await wait()
    yield World(shop, SETTINGS, store, broker)
    nursery.cancel_scope.cancel()


async def ended(tab):
    with trio.fail_after(60):
        await tab.ended.wait()


def counts(tab):
    return [event["itemCount"] for event in tab.events]


async def test_a_browser_that_comes_back_while_the_log_is_away_is_told_so_and_loses_nothing(
    world, autojump_clock
):
    world.store.away = True
    async with open_tab(world.app, world.token(), Last_Event_ID="e0-2") as tab:
        await ended(tab)
        assert (tab.status, tab.blocks) == (200, ["id: e0-2", *BUSY]), (
            "its own cursor, and no other"
        )
    world.store.away = False
    async with open_tab(world.app, world.token(), Last_Event_ID="e0-2") as tab:
        assert tab.controls("stream") == [{"mode": "resumed", "replayed": 3, "position": "e0-5"}]
        assert counts(tab) == [3, 4, 5]


async def test_a_browser_that_is_new_while_the_log_is_away_is_told_so_and_given_no_position(
    world, autojump_clock
):
    world.store.away = True
    async with open_tab(world.app, world.token()) as tab:
        await ended(tab)
        assert (tab.status, tab.blocks) == (200, BUSY)
    assert world.shop.hub.statistics().streams == 0


async def test_a_log_that_goes_away_between_two_slices_of_a_replay_cuts_it_between_two_events(
    world, autojump_clock, monkeypatch
):
    """What was written stays written, with its ids: the browser comes back with the last of them."""
    from storefront.realtime import replay

    monkeypatch.setattr(replay, "SLICE_ENTRIES", 2)
    since = world.store._store.since

    async def once(*args, **options):
        found = await since(*args, **options)
        world.store.away = True
        return found

    monkeypatch.setattr(world.store._store, "since", once)
    async with open_tab(world.app, world.token(), Last_Event_ID="e0-0") as tab:
        await ended(tab)
        assert counts(tab) == [1, 2]
        assert tab.blocks[-2:] == BUSY
        last = tab.ids[-1]
    monkeypatch.setattr(world.store._store, "since", since)
    world.store.away = False
    async with open_tab(world.app, world.token(), Last_Event_ID=last) as tab:
        assert counts(tab) == [3, 4, 5]
        assert tab.ids == ["e0-3", "e0-4", "e0-5"]


async def test_an_open_stream_outlives_a_log_that_is_away_for_minutes(world, autojump_clock):
    async with open_tab(world.app, world.token(), Last_Event_ID="e0-5") as tab:
        world.store.away = True
        await trio.sleep(200)
        assert not tab.ended.is_set()
        assert tab.times_of(":ping") == [30, 60, 90, 120, 150, 180]
        world.store.away = False
        await world.add_item(count=6)
        await wait()
        assert counts(tab) == [6]


async def test_what_comes_in_while_the_log_is_away_is_not_acknowledged_and_arrives_when_it_is_back(
    world,
    autojump_clock,
):
    async with (
        open_tab(world.app, world.token(), Last_Event_ID="e0-5") as tab,
        open_tab(world.app, world.token(BOB)) as other,
    ):
        world.store.away = True
        for n in range(6, 9):
            await world.add_item(count=n)
            await world.add_item(BOB, count=n)
        await trio.sleep(40)
        assert counts(tab) == counts(other) == []
        assert world.broker.postponed == 0
        # Nothing was acknowledged: a process that dies now leaves all of it to the next one.
        world.broker.cut()
        await wait()
        assert world.broker.depth(QUEUE) == 6
        world.broker.mend()
        await trio.sleep(20)
        world.store.away = False
        # The recorder asks every 5 s by now.
        await trio.sleep(5)
        assert counts(tab) == counts(other) == [6, 7, 8]
        assert tab.ids == ["e0-6", "e0-7", "e0-8"]
        await trio.sleep(60)
        assert world.broker.depth(QUEUE) == 0
        assert counts(tab) == [6, 7, 8]


async def test_a_customer_whom_the_store_refuses_holds_nobody_else_and_gets_all_of_it_later(
    world, autojump_clock
):
    async with (
        open_tab(world.app, world.token(), Last_Event_ID="e0-5") as tab,
        open_tab(world.app, world.token(BOB)) as other,
    ):
        world.store.refuses = {ALICE}
        for n in range(6, 26):
            await world.add_item(count=n)
            await world.add_item(BOB, count=n)
        await wait()
        assert counts(other) == list(range(6, 26))
        await trio.sleep(100)
        assert counts(tab) == []
        world.store.refuses = set()
        await trio.sleep(2)
        assert counts(tab) == list(range(6, 26))
