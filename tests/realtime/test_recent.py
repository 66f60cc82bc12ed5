"""What the process remembers is what the store would have said, or nothing."""

from __future__ import annotations

import tracemalloc
from itertools import count

import pytest
import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from storefront.domain.ids import CustomerId
from storefront.domain.positions import Position
from storefront.realtime.recent import ENTRY, ROOM_EACH, TAIL, Recent
from storefront.store.contract import Entry, Recording
from storefront.store.memory import MemoryStore

ALICE = CustomerId("a11ce000-0000-4000-8000-000000000001")
BOB = CustomerId("b0b00000-0000-4000-8000-000000000002")
WINDOW = 300.0


def entry(
    seq: int, customer: str = ALICE, *, epoch: str = "e", size: int = 10, at: float = 0.0
) -> Entry:
    return Entry(
        customer=CustomerId(customer),
        position=Position(epoch, seq),
        payload=b"x" * size,
        recorded_at=at,
    )


def heard(*entries: Entry, **bounds) -> Recent:
    recent = Recent(window=WINDOW, **bounds)
    recent.hear(entries)
    return recent


def ask(recent: Recent, seq: int, customer: str = ALICE, *, epoch: str = "e", now: float = 0.0):
    return recent.since(
        CustomerId(customer), Position(epoch, seq), now=now, limit=1000, max_bytes=1_000_000
    )


def numbers(found) -> list[int]:
    return [each.position.seq for each in found.entries]


def test_a_cursor_inside_the_tail_is_answered_up_to_what_was_heard_last():
    recent = heard(entry(4), entry(5), entry(1, BOB), entry(6))
    found = ask(recent, 4)
    assert (found.resumable, numbers(found), found.head) == (True, [5, 6], Position("e", 6))
    assert numbers(ask(recent, 3)) == [4, 5, 6]
    assert numbers(ask(recent, 6)) == []


@pytest.mark.parametrize(
    ("limit", "max_bytes", "expected"),
    [
        (0, 1000, [1]),
        (2, 1000, [1, 2]),
        (9, 0, [1]),
        (9, 20, [1, 2]),
        (9, 29, [1, 2]),
        (9, 30, [1, 2, 3]),
    ],
)
def test_a_slice_has_the_limits_of_the_question_but_at_least_one_event(limit, max_bytes, expected):
    recent = heard(*(entry(seq, size=10) for seq in range(1, 6)))
    found = recent.since(ALICE, Position("e", 0), now=0.0, limit=limit, max_bytes=max_bytes)
    assert (numbers(found), found.head.seq) == (expected, 5)


@pytest.mark.parametrize(
    ("seq", "epoch"), [(2, "e"), (7, "e"), (5, "other")], ids=["before", "ahead", "other epoch"]
)
def test_of_a_cursor_outside_the_tail_nothing_is_known(seq, epoch):
    assert ask(heard(entry(4), entry(5), entry(6)), seq, epoch=epoch) is None
    assert ask(heard(), seq, epoch=epoch) is None


@pytest.mark.parametrize(
    "odd", [entry(8), entry(6), entry(1, epoch="new")], ids=["a gap", "again", "another epoch"]
)
def test_a_number_that_does_not_follow_begins_the_tail_anew(odd):
    recent = heard(entry(4), entry(5), entry(6), odd)
    seq, epoch = odd.position.seq, odd.position.epoch
    assert numbers(ask(recent, seq - 1, epoch=epoch)) == [seq]
    assert ask(recent, seq - 2, epoch=epoch) is None
    assert recent.statistics().size == TAIL + ENTRY + 10


def test_a_number_behind_what_was_heard_once_leaves_the_store_to_be_asked():
    recent = heard(entry(4), entry(5), entry(6), entry(5))
    assert ask(recent, 5) is None
    recent.hear([entry(6)])
    assert numbers(ask(recent, 4)) == [5, 6]


def test_an_event_is_replayed_to_the_end_of_the_window_and_not_a_moment_longer():
    recent = heard(entry(1, at=0.0), entry(2, at=100.0))
    assert numbers(ask(recent, 0, now=WINDOW)) == [1, 2]
    assert ask(recent, 0, now=WINDOW + 0.1) is None
    assert numbers(ask(recent, 1, now=100 + WINDOW)) == [2]
    assert ask(recent, 1, now=100.1 + WINDOW) is None
    # The head can be resumed however old it is.
    assert numbers(ask(recent, 2, now=10_000.0)) == []


def test_what_may_have_been_missed_is_forgotten_with_all_the_rest():
    recent = heard(entry(1), entry(1, BOB))
    recent.lost()
    assert ask(recent, 1) is ask(recent, 1, BOB) is None
    assert (recent.statistics().customers, recent.statistics().size) == (0, 0)


def test_a_head_beyond_the_tail_silences_it_until_what_is_between_was_heard():
    recent = heard(entry(1))
    recent.heed(ALICE, Position("e", 3))
    recent.hear([entry(2)])
    assert ask(recent, 1) is None
    recent.hear([entry(3)])
    assert numbers(ask(recent, 0)) == [1, 2, 3]


def test_a_head_of_another_epoch_or_none_at_all_drops_the_tail_and_nobody_elses():
    recent = heard(entry(1), entry(1, BOB))
    recent.heed(ALICE, Position("new", 0))
    assert ask(recent, 1) is None
    assert numbers(ask(recent, 0, BOB)) == [1]
    recent.heed(BOB, None)
    assert ask(recent, 0, BOB) is None
    assert recent.statistics().size == 0


def test_one_customer_with_fifty_thousand_events_takes_no_more_than_its_share():
    recent = heard(entry(1, BOB))
    for seq in range(1, 50_001):
        recent.hear([entry(seq, size=200)])
    assert numbers(ask(recent, 0, BOB)) == [1]
    assert recent.statistics().size <= ROOM_EACH + TAIL + ENTRY + 10
    kept = ROOM_EACH // (ENTRY + 200)
    assert numbers(ask(recent, 50_000 - kept + 1))[0] == 50_000 - kept + 2
    assert ask(recent, 50_000 - kept - 1) is None


def test_an_event_larger_than_the_share_leaves_only_the_head():
    recent = heard(entry(1), entry(2, size=2 * ROOM_EACH))
    assert ask(recent, 1) is None
    assert numbers(ask(recent, 2)) == []


def test_the_customer_least_recently_heard_of_goes_first():
    room = 3 * (TAIL + ENTRY + 10) + ENTRY + 10
    recent = heard(entry(1, "a"), entry(1, "b"), entry(1, "c"), entry(2, "a"), room=room)
    ask(recent, 0, "b")  # asked for, which is not heard of
    recent.hear([entry(1, "d")])
    assert ask(recent, 0, "b") is None
    assert [numbers(ask(recent, 0, who)) for who in "acd"] == [[1, 2], [1], [1]]
    assert recent.statistics().size == room


def test_what_is_kept_takes_no_more_memory_than_is_counted():
    def entries(customers: int, each: int):
        for customer in range(customers):
            for seq in range(1, each + 1):
                # Everything its own object, as it comes from Redis.
                yield Entry(
                    customer=CustomerId(f"{customer:036d}"),
                    position=Position(f"k3x9k3x9k3x9k3x9{customer}", seq),
                    payload=(b"%d" % seq) * 50,
                    recorded_at=1.0 + seq,
                    traceparent=f"00-{seq:032x}-{customer:016x}-01",
                )

    for customers, each in [(8000, 1), (10, 2000)]:
        recent = Recent(window=WINDOW)
        tracemalloc.start()
        for one in entries(customers, each):
            recent.hear([one])
        taken, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert taken <= recent.statistics().size


class RecentMachine(RuleBasedStateMachine):
    """One store whose announcements are under way, in order per customer; one process that hears.

    The process hears, misses, is told that it may have missed, and asks at any time.
    """

    def __init__(self):
        super().__init__()
        self.tokens = count()
        self.now = 0.0
        self.messages = count()
        self.recent = Recent(window=WINDOW, room=8 * (TAIL + ENTRY), room_each=TAIL + 5 * ENTRY)
        self.under_way: list[Entry] = []
        # What was recorded, by the place it was given; kept for ever.
        self.truth: dict[tuple[str, Position], Entry] = {}
        self.heard: dict[str, Position] = {}
        self.fresh_store()

    def fresh_store(self):
        self.store = MemoryStore(window=WINDOW, kept_ids=5, token=lambda: f"t{next(self.tokens)}")

    def call(self, ask, *args, **kwargs):
        async def main():
            return await ask(*args, **kwargs)

        return trio.run(main)

    customers = st.sampled_from([ALICE, ALICE, BOB])

    @rule(
        who=customers,
        number=st.integers(1, 4),
        size=st.sampled_from([0, 100, 200]),
        missed=st.sampled_from([None, None, 0, 1, 3]),
        at_once=st.booleans(),
    )
    def something_is_recorded(self, who, number, size, missed, at_once):
        """One of it may be missed unnoticed; the rest is heard at once or later."""
        recordings = [
            Recording(message_id=str(next(self.messages)), customer=who, payload=b"x" * size)
            for _ in range(number)
        ]
        made = self.call(self.store.record, recordings, now=self.now)
        self.truth |= {(who, each.position): each for each in made}
        self.under_way += [each for place, each in enumerate(made) if place != missed]
        if at_once:
            self.it_is_heard(len(self.under_way))

    @rule(number=st.integers(1, 6))
    def it_is_heard(self, number):
        for _ in range(min(number, len(self.under_way))):
            one = self.under_way.pop(0)
            self.recent.hear([one])
            self.heard[one.customer] = one.position

    @rule(what=st.sampled_from(["missed", "lost by the store", "a while", "a window"]))
    def something_goes_wrong_or_by(self, what):
        if what == "missed":
            self.under_way.clear()
            self.recent.lost()
        elif what == "lost by the store":
            self.fresh_store()
        else:
            self.now += {"a while": WINDOW / 2, "a window": WINDOW + 1}[what]

    @rule(who=customers)
    def the_head_is_looked_at(self, who):
        head = self.call(self.store.heads, [who], now=self.now).get(who)
        self.recent.heed(who, head)
        if (found := self.ask(who, self.heard.get(who))) is not None:
            assert found.head == head, "a tail that the store contradicted must be silent"

    def ask(self, who, cursor, limit=1000, size=10_000):
        if cursor is None:
            return None
        return self.recent.since(who, cursor, now=self.now, limit=limit, max_bytes=size)

    @rule(
        who=customers,
        back=st.integers(0, 5),
        limits=st.sampled_from([(1000, 200), (1000, 300), (0, 0), (2, 1000), (1000, 10_000)]),
    )
    def somebody_comes_back(self, who, back, limits):
        limit, size = limits
        last = self.heard.get(who, Position("t0", 0))
        cursor = Position(last.epoch, max(last.seq - back, 0))
        found = self.ask(who, cursor, limit, size)
        truth = self.call(
            self.store.since, who, cursor, now=self.now, limit=max(limit, 1), max_bytes=size
        )
        if found is not None and truth.head == found.head:
            assert found == truth

    @invariant()
    def whoever_comes_back_gets_what_followed(self):
        """What the store said when the last that was heard was its head, or nothing."""
        for who, last in self.heard.items():
            for seq in range(max(last.seq - 7, 0), last.seq + 2):
                self.gets_what_followed(who, Position(last.epoch, seq))
            if other := self.heard.get(ALICE if who == BOB else BOB):
                assert self.ask(who, other) is None

    def gets_what_followed(self, who, cursor):
        found = self.ask(who, cursor)
        if found is None:
            return
        assert found.resumable
        assert found.head == self.heard[who]
        places = range(cursor.seq + 1, found.head.seq + 1)
        everything = [self.truth[who, Position(cursor.epoch, seq)] for seq in places]
        assert list(found.entries) == everything
        assert not everything or self.now - everything[0].recorded_at <= WINDOW

    @invariant()
    def it_stays_within_its_room(self):
        kept = self.recent._tails.values()
        assert self.recent.statistics().size == sum(tail.size for tail in kept)
        assert self.recent.statistics().size <= 8 * (TAIL + ENTRY)
        assert all(tail.size <= TAIL + 5 * ENTRY for tail in kept)


def test_what_is_answered_is_what_the_store_says_or_said_when_it_was_heard_of_last():
    run_state_machine_as_test(
        RecentMachine,
        settings=settings(max_examples=60, stateful_step_count=30, deadline=None),
    )
