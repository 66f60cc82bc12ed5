"""The way into the log: nothing is done before it is recorded, and what ails one holds one."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import pytest
import trio

from storefront.messaging.backlog import Backlog
from storefront.messaging.broker import LONGEST_IN_HAND
from storefront.messaging.ready import Ready
from storefront.messaging.recorder import HELD_PAUSE, Recorder
from storefront.store.contract import Recording
from storefront.store.memory import MemoryStore
from storefront.telemetry.metrics import Metrics
from tests.store.faulty import FaultyStore

EPOCH = 1_790_000_000.0
ALICE, BOB, ORDER = "alice", "bob", "an order"
# As a delay queue has it: every one comes back so much later, in the order they went.
DELAY = 5.0


def clock():
    return EPOCH + trio.current_time()


@dataclass
class Desk:
    """Hands messages in, and keeps what became of them."""

    recorder: Recorder
    store: FaultyStore
    nursery: trio.Nursery
    delays: bool
    done: list = field(default_factory=list)
    repeated: list = field(default_factory=list)
    put_off: list = field(default_factory=list)
    log: list = field(default_factory=list)
    too_old: set = field(default_factory=set)
    takes_copies: trio.Event = field(default_factory=trio.Event)

    def __post_init__(self):
        self.takes_copies.set()

    async def hand_in(self, customer, *names, owner=None):
        for name in names:
            await self.recorder.put(self.ready(customer, name, owner))

    def ready(self, customer, name, owner=None):
        def done(known):
            (self.repeated if known else self.done).append(name)

        def put_off(why, gone):
            if name in self.too_old:
                return False
            self.nursery.start_soon(self.bring_back, customer, name, gone)
            return True

        recording = customer and Recording(
            message_id=name, customer=customer, payload=name.encode()
        )
        return Ready(
            recording=recording,
            owner=owner,
            since=trio.current_time(),
            done=done,
            put_off=put_off if self.delays else None,
        )

    async def bring_back(self, customer, name, gone):
        await self.takes_copies.wait()
        self.put_off.append(name)
        gone(True)
        await trio.sleep(DELAY)
        await self.recorder.put(self.ready(customer, name))

    def of(self, customer):
        return [entry.payload.decode() for entry in self.log if entry.customer == customer]


@pytest.fixture
async def open_desk(nursery):
    async def open_it(*, held=25, delays=True):
        tokens = itertools.count()
        memory = MemoryStore(window=300.0, kept_ids=200, token=lambda: f"t{next(tokens)}")
        store = FaultyStore(memory)
        recorder = Recorder(store, clock=clock, room=1000, held=held)
        desk = Desk(recorder, store, nursery, delays)
        await nursery.start(store.follow, desk.log.extend, lambda: None)
        nursery.start_soon(recorder.run)
        return desk

    yield open_it
    nursery.cancel_scope.cancel()


def reading(recorder, name, **labels):
    """What /metrics says."""
    return {(n, *each.values()): v for n, _, each, v in recorder.readings()}.get(
        (f"storefront_recorder_{name}", *labels.values())
    )


async def test_while_the_store_is_away_nothing_is_done_and_afterwards_all_is_in_order(
    open_desk, autojump_clock
):
    desk = await open_desk()
    desk.store.away = True
    names = [f"m{n}" for n in range(300)]
    await desk.hand_in(ALICE, *names)
    await trio.sleep(60)
    assert (desk.done, desk.log) == ([], [])
    assert desk.recorder.condition() == "takes nothing"
    assert reading(desk.recorder, "store_away") == 1
    # 0.1, 0.2, 0.4, ... 3.2 s between the first, then 5 s: it is asked gently.
    assert reading(desk.recorder, "failures_total") == 17
    desk.store.away = False
    await trio.sleep(5)
    assert desk.done == desk.of(ALICE) == names
    assert desk.recorder.condition() == ""


async def test_all_owners_of_a_batch_are_written_down_in_one_call_and_before_their_events(
    open_desk, autojump_clock
):
    desk = await open_desk()
    await trio.testing.wait_all_tasks_blocked()
    for n in range(50):
        desk.recorder.put_nowait(desk.ready(ALICE, f"m{n}", owner=(f"order {n}", ALICE)))
    await trio.testing.wait_all_tasks_blocked()
    assert desk.store.calls == [("place", 50), ("record", 50)]
    assert await desk.store.owner("order 49", now=clock()) == ALICE


async def test_an_order_of_nobody_is_written_down_and_nothing_is_recorded(
    open_desk, autojump_clock
):
    desk = await open_desk()
    await desk.hand_in(None, "m", owner=(ORDER, BOB))
    await trio.testing.wait_all_tasks_blocked()
    assert desk.store.calls == [("place", 1)]
    assert desk.done == ["m"]


@pytest.mark.parametrize("delays", [True, False])
async def test_what_is_refused_of_one_customer_holds_nobody_else(open_desk, autojump_clock, delays):
    desk = await open_desk(delays=delays)
    desk.store.refuses = {ALICE}
    await desk.hand_in(ALICE, "a1")
    await desk.hand_in(BOB, "b1")
    await desk.hand_in(ALICE, "a2")
    await trio.testing.wait_all_tasks_blocked()
    assert desk.done == ["b1"]
    await desk.hand_in(BOB, "b2")
    await desk.hand_in(ALICE, "a3")
    await trio.sleep(60)
    await desk.hand_in(BOB, "b3")
    await trio.testing.wait_all_tasks_blocked()
    assert desk.done == ["b1", "b2", "b3"]
    assert desk.recorder.condition() == "refuses 1 customer(s)"
    assert reading(desk.recorder, "held") == 3
    assert reading(desk.recorder, "refused_customers") == 1
    assert reading(desk.recorder, "refusals_total", kind="wrong-type") > 60
    desk.store.refuses = set()
    await trio.sleep(2 * HELD_PAUSE)
    assert desk.done[3:] == desk.of(ALICE) == ["a1", "a2", "a3"]
    assert desk.recorder.condition() == ""
    assert reading(desk.recorder, "held") == 0


async def test_what_comes_behind_one_that_was_refused_does_not_pass_it(open_desk, autojump_clock):
    """The key is mended between two tries: the next one to come finds the store willing."""
    desk = await open_desk()
    desk.store.refuses = {ALICE}
    await desk.hand_in(ALICE, "a1", "a2")
    await trio.testing.wait_all_tasks_blocked()
    desk.store.refuses = set()
    await desk.hand_in(ALICE, "a3")
    await trio.testing.wait_all_tasks_blocked()
    assert desk.done == []
    await trio.sleep(2 * HELD_PAUSE)
    assert desk.of(ALICE) == ["a1", "a2", "a3"]


async def test_beyond_a_few_they_are_put_off_and_all_arrive_once_and_in_order(
    open_desk, autojump_clock
):
    desk = await open_desk(held=25)
    desk.store.refuses = {ALICE}
    names = [f"a{n}" for n in range(150)]
    for number, name in enumerate(names):
        await desk.hand_in(ALICE, name)
        await trio.sleep(0.13 if number % 7 else 0.9)
    assert len(set(desk.put_off)) == 125
    assert reading(desk.recorder, "held") == 25
    assert reading(desk.recorder, "put_off_total") == len(desk.put_off)
    assert len(desk.done) == 0
    desk.store.refuses = set()
    for n in range(10):
        await desk.hand_in(ALICE, f"late {n}")
        await trio.sleep(0.7)
    await trio.sleep(3 * DELAY)
    assert desk.of(ALICE) == names + [f"late {n}" for n in range(10)]
    # Of each the delivery that was still open was settled, or its copy when it came back.
    assert set(desk.done) | set(desk.repeated) == set(desk.of(ALICE))
    assert desk.recorder.condition() == ""
    assert reading(desk.recorder, "held") == 0


async def test_what_was_put_off_does_not_wait_for_its_copy(open_desk, autojump_clock):
    """Nor for the whole of an outage to be played again: the line is taken at once."""
    desk = await open_desk(held=0)
    desk.store.refuses = {ALICE}
    for n in range(1000):
        await desk.hand_in(ALICE, f"a{n}")
        await trio.sleep(0.1)
    desk.store.refuses = set()
    await trio.sleep(2 * HELD_PAUSE)
    assert desk.of(ALICE) == [f"a{n}" for n in range(1000)]
    await trio.sleep(2 * DELAY)
    assert sorted(desk.repeated) == sorted(desk.of(ALICE)), "the copies came back, and were known"


async def test_what_has_become_too_old_to_come_again_leaves_the_line(open_desk, autojump_clock):
    desk = await open_desk(held=0)
    desk.store.refuses = {ALICE}
    desk.too_old = {"a1"}
    await desk.hand_in(ALICE, "a1", "a2")
    await trio.sleep(2 * DELAY)
    desk.store.refuses = set()
    await trio.sleep(2 * HELD_PAUSE)
    assert desk.of(ALICE) == ["a2"]


async def test_of_one_that_comes_twice_while_it_waits_both_are_settled_and_one_is_recorded(
    open_desk, autojump_clock
):
    desk = await open_desk()
    desk.store.refuses = {ALICE}
    await desk.hand_in(ALICE, "a1", "a2")
    await trio.testing.wait_all_tasks_blocked()
    await desk.hand_in(ALICE, "a1", "a2")  # the channel broke, the broker brings them again
    await trio.sleep(1)
    desk.store.refuses = set()
    await trio.sleep(3 * HELD_PAUSE)
    assert desk.of(ALICE) == ["a1", "a2"]
    assert desk.done == desk.repeated == ["a1", "a2"]


async def test_an_order_that_cannot_be_written_down_holds_its_customer_from_there_on(
    open_desk, autojump_clock
):
    desk = await open_desk()
    desk.store.refuses = {ORDER}
    await desk.hand_in(ALICE, "a1")
    await desk.hand_in(ALICE, "a2", owner=(ORDER, ALICE))
    await desk.hand_in(ALICE, "a3")
    await desk.hand_in(BOB, "b1", owner=("another", BOB))
    await trio.sleep(10)
    assert desk.done == ["a1", "b1"]
    desk.store.refuses = set()
    await trio.sleep(2 * HELD_PAUSE)
    assert desk.done == ["a1", "b1", "a2", "a3"]
    assert await desk.store.owner(ORDER, now=clock()) == ALICE


async def test_an_order_of_nobody_that_cannot_be_written_down_holds_no_other(
    open_desk, autojump_clock
):
    desk = await open_desk()
    desk.store.refuses = {ORDER}
    await desk.hand_in(None, "n1", owner=(ORDER, "nobody"))
    await desk.hand_in(None, "n2", owner=("another", "nobody"))
    await trio.sleep(10)
    assert desk.done == ["n2"]
    desk.store.refuses = set()
    await trio.sleep(2 * HELD_PAUSE)
    assert desk.done == ["n2", "n1"]


async def test_a_refusal_that_turns_into_an_outage_and_back_loses_nothing(
    open_desk, autojump_clock
):
    desk = await open_desk(held=2)
    desk.store.refuses = {ALICE}
    await desk.hand_in(ALICE, "a1", "a2", "a3", "a4")
    await trio.sleep(3)
    desk.store.away = True
    await desk.hand_in(BOB, "b1")
    await desk.hand_in(ALICE, "a5")
    await trio.sleep(30)
    assert desk.done == []
    desk.store.away = False
    await trio.sleep(20)
    assert desk.of(BOB) == ["b1"]
    desk.store.refuses = set()
    await trio.sleep(3 * DELAY)
    assert desk.of(ALICE) == ["a1", "a2", "a3", "a4", "a5"]


async def test_what_was_held_for_ten_minutes_is_put_off_and_keeps_its_place(
    open_desk, autojump_clock
):
    desk = await open_desk(held=2)
    desk.store.refuses = {ALICE}
    await desk.hand_in(ALICE, "a1")
    await trio.sleep(100)
    await desk.hand_in(ALICE, "a2", "a3")
    await trio.sleep(LONGEST_IN_HAND - 100 - 0.5)
    assert "a1" not in desk.put_off
    await trio.sleep(0.6)
    assert desk.put_off.count("a1") == 1
    assert (reading(desk.recorder, "held"), "a2" in desk.put_off) == (1, False)
    # A place among those held is free again.
    await desk.hand_in(ALICE, "a4")
    await trio.sleep(100)
    assert desk.put_off.count("a2") == 1
    assert reading(desk.recorder, "held") == 1
    desk.store.refuses = set()
    await desk.hand_in(ALICE, "a5")
    await trio.sleep(2 * DELAY)
    assert desk.of(ALICE) == ["a1", "a2", "a3", "a4", "a5"]
    # The copies of a1, a2 and a3 came back and were known.
    assert desk.done == ["a4", "a5"]
    assert set(desk.repeated) == {"a1", "a2", "a3"}


async def test_what_the_delay_queue_does_not_take_is_not_counted_and_is_settled_once_it_is_recorded(
    open_desk, autojump_clock
):
    desk = await open_desk(held=1)
    desk.takes_copies = trio.Event()
    desk.store.refuses = {ALICE}
    await desk.hand_in(ALICE, "a1", "a2", "a3")
    await trio.sleep(60)
    assert (reading(desk.recorder, "put_off_total"), desk.put_off) == (0, [])
    assert reading(desk.recorder, "held") == 1
    desk.store.refuses = set()
    await trio.sleep(2 * HELD_PAUSE)
    assert desk.done == desk.of(ALICE) == ["a1", "a2", "a3"]


@dataclass(frozen=True)
class Waiter:
    ordering_key: str
    name: str
    size: int = 10
    since: float = 0.0


def shown(waiters):
    return sorted(each.ordering_key + each.name for each in waiters)


def put_off(backlog, *waiters):
    for each in waiters:
        backlog.hold(each)
        backlog.put_off(each, each)


def test_of_a_key_the_front_is_tried_and_once_it_is_taken_all_behind_it():
    backlog = Backlog()
    a1, a2, a3, b1 = Waiter("a", "1"), Waiter("a", "2"), Waiter("a", "3"), Waiter("b", "1")
    put_off(backlog, a1, a2, a3, b1)
    assert shown(backlog.due(10)) == ["a1", "b1"]
    assert not backlog.taken(a1)
    assert backlog.moving
    assert shown(backlog.due(10)) == ["a2", "a3", "b1"]
    backlog.refused("a")
    assert not backlog.moving
    assert not backlog.taken(a2)
    assert backlog.taken(a3)
    assert backlog.waits("b")
    assert not backlog.waits("a")
    assert not backlog.moving


def test_more_keys_than_can_be_tried_at_once_are_tried_in_turn():
    backlog = Backlog()
    put_off(backlog, *(Waiter(f"{n}", "1") for n in range(10)))
    tried = [each.ordering_key for _ in range(4) for each in backlog.due(3)]
    assert set(tried) == set("0123456789")


def test_who_is_put_off_stays_where_it_stood_and_its_copy_has_no_second_place():
    backlog = Backlog()
    first, second, third = (Waiter("a", name) for name in "123")
    for each in (first, second, third):
        backlog.hold(each)
    backlog.put_off(second, second)
    backlog.put_off(first, first)
    copy = Waiter("a", "1")
    backlog.hold(copy)
    backlog.put_off(copy, copy)
    assert backlog.held == 1
    for expected in ("1", "2", "3"):
        (front,) = backlog.due(1)
        assert front.name == expected
        backlog.leave(front)
    assert len(backlog) == 0


def test_of_two_of_one_name_the_first_place_remains_whichever_is_put_off_first():
    """The channel broke: the first is still held for nobody, and came again behind the others."""
    backlog = Backlog()
    first, second, again = Waiter("a", "1"), Waiter("a", "2"), Waiter("a", "1")
    for each in (first, second, again):
        backlog.hold(each)
    backlog.put_off(again, again)
    backlog.put_off(first, first)
    for expected in ("1", "2"):
        (front,) = backlog.due(1)
        assert front.name == expected
        backlog.leave(front)
    assert len(backlog) == 0


@pytest.mark.parametrize("bound", [{"places": 2}, {"room": 25}])
def test_at_the_bound_there_is_no_place_until_some_left(bound):
    backlog = Backlog(**bound)
    a1, a2, b1 = Waiter("a", "1"), Waiter("a", "2"), Waiter("b", "1")
    put_off(backlog, a1)
    backlog.hold(a2)
    assert not backlog.has_room_for(b1)
    backlog.put_off(a2, a2)
    assert not backlog.has_room_for(b1), "held or put off is the same place"
    backlog.leave(a1)
    assert backlog.has_room_for(b1)


async def test_what_the_recorder_counts_can_be_told_to_prometheus(open_desk, autojump_clock):
    desk = await open_desk()
    desk.store.refuses = {ALICE}
    await desk.hand_in(ALICE, "a1")
    await desk.hand_in(BOB, "b1")
    await trio.testing.wait_all_tasks_blocked()
    metrics = Metrics()
    metrics.read_from(desk.recorder.readings)
    told = metrics.exposition().decode()
    assert 'storefront_recorder_refusals_total{kind="wrong-type"} 1.0' in told
    assert "storefront_recorder_held 1.0" in told
    assert "storefront_recorder_events_total 1.0" in told
    assert "storefront_recorder_store_away 0.0" in told
