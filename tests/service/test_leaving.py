"""The order in which the shop leaves, at exact times."""

from __future__ import annotations

import random
import re
import uuid
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
import trio

from storefront.realtime.pauses import Pauses
from storefront.service import leave
from tests.service.browsers import Tab, open_tab
from tests.service.conftest import ALICE, BOB

QUEUES = ("notifications", "fulfillment", "returns")


class FrontDoor:
    """What `leave` asks of the front door, with the time of asking."""

    def __init__(self, diary: list[tuple[float, str]]) -> None:
        self._diary = diary

    def begin(self, seconds: float) -> None:
        self._diary.append((trio.current_time(), f"writes end within {seconds:g}"))

    def close_listeners(self) -> None:
        self._diary.append((trio.current_time(), "nobody new"))


async def keep(diary: list[tuple[float, str]], shop) -> None:
    async with trio.open_nursery() as nursery:

        async def note(wait, what: str) -> None:
            await wait()
            diary.append((trio.current_time(), what))

        nursery.start_soon(note, lambda: shop.readiness.phase.wait_value("draining"), "not ready")
        nursery.start_soon(note, shop.stopping.wait, "stop consuming")
        nursery.start_soon(note, shop.consumers_left.wait, "settled")


async def test_not_ready_then_settle_then_end_streams_then_the_door(world, nursery, autojump_clock):
    diary: list[tuple[float, str]] = []
    slow_settling = replace(world.shop, consumers_left=trio.Event())
    nursery.start_soon(keep, diary, slow_settling)
    async with (
        open_tab(world.app, world.token(ALICE)) as one,
        open_tab(world.app, world.token(BOB)) as two,
    ):
        nursery.start_soon(lambda: leave(slow_settling, FrontDoor(diary), over=10))
        await trio.sleep(1)
        slow_settling.consumers_left.set()
        await trio.sleep(9)
        diary += [(at, "one ended") for at in one.times_of("event: shutdown")]
        diary += [(at, "two ended") for at in two.times_of("event: shutdown")]
    happened = [what for _, what in sorted(diary, key=lambda entry: entry[0])]
    assert set(happened[:3]) == {"not ready", "stop consuming", "writes end within 10"}
    assert happened[3] == "settled"
    assert sorted(diary)[3:] == [
        (1, "one ended"),
        (1, "settled"),
        (5.5, "nobody new"),
        (5.5, "two ended"),
    ]


async def test_a_consumer_that_cannot_settle_holds_the_streams_for_a_quarter_of_the_drain_only(
    world, nursery, autojump_clock
):
    stuck = replace(world.shop, consumers_left=trio.Event())
    async with open_tab(world.app, world.token(ALICE)) as tab:
        nursery.start_soon(lambda: leave(stuck, FrontDoor([]), over=10))
        await trio.sleep(9)
        assert tab.times_of("event: shutdown") == [2.5]


async def test_each_of_twenty_streams_ends_in_its_turn_with_a_pause_of_its_own(
    world, nursery, autojump_clock
):
    """A thousand browsers that come back to one other process must neither leave nor come together."""
    settled = trio.Event()
    settled.set()
    shop = replace(
        world.shop,
        consumers_left=settled,
        pauses=Pauses(random.Random(1).uniform),
    )
    async with AsyncExitStack() as stack:
        tabs = [
            await stack.enter_async_context(
                open_tab(world.app, world.token(str(uuid.UUID(int=number))))
            )
            for number in range(1, 21)
        ]
        nursery.start_soon(lambda: leave(shop, FrontDoor([]), over=10))
        await trio.sleep(11)
        ended = sorted(at for tab in tabs for at in tab.times_of("event: shutdown"))
        # The last one that a browser hears is the one it keeps.
        pauses = [last_pause(tab) for tab in tabs]
    assert ended == pytest.approx([turn * 0.5 for turn in range(20)])
    assert all(2400 <= pause <= 3600 for pause in pauses)
    # From one end to the other, and hardly two alike: one pause for all would bring all back at once.
    assert len(set(pauses)) >= 18
    assert max(pauses) - min(pauses) > 600


def last_pause(tab: Tab) -> int:
    return int(re.findall(r"^retry: (\d+)$", "\n".join(tab.blocks), re.MULTILINE)[-1])


async def test_ready_becomes_draining_and_says_so(world, autojump_clock):
    client = world.app.test_client()
    world.shop.readiness.phase.value = "ready"
    assert (await client.get("/health/ready")).status_code == 200
    await leave(world.shop, FrontDoor([]), over=10)
    answer = await client.get("/health/ready?verbose")
    assert answer.status_code == 503
    told = await answer.get_json()
    consumers = {f"consumer.{queue}": "stopped" for queue in QUEUES}
    assert told == {"status": "draining", "parts": {"store": "not durable", **consumers}}
    assert (await client.get("/health/live")).status_code == 200


@pytest.mark.parametrize(
    "task",
    ["storefront.realtime.heartbeat.Heartbeat.run", "storefront.messaging.recorder.Recorder.run"],
)
async def test_a_task_that_dies_of_a_bug_takes_the_whole_back_office_with_it(
    task, monkeypatch, autojump_clock
):
    from storefront.back_office import Ports, run_back_office
    from storefront.messaging.memory import MemoryBroker
    from storefront.store.memory import MemoryStore
    from tests.service.conftest import SETTINGS, wall_clock

    async def die(_self) -> None:
        await trio.sleep(5)
        raise ZeroDivisionError

    monkeypatch.setattr(task, die)
    store = MemoryStore(window=300, kept_ids=10, token=lambda: "e")
    ports = Ports(store=store, broker=MemoryBroker(), clock=wall_clock)
    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        await run_back_office(SETTINGS, ports)
    assert trio.current_time() == 5
