"""Browser tabs come, stall, are cut and come back, while the rooms of realtime/ do their worst.

The rooms are real, over the store in memory, on a clock that jumps; their bounds are small, so that
channels overflow, slices end and what is remembered falls short. Everything is judged by the bytes
that a tab got whole, held against all that was ever recorded. A tab's response runs as under a
server: it waits where the tab does not take what was written, and is cancelled where it left.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from storefront.domain.positions import Position
from storefront.errors import StoreUnavailableError
from storefront.realtime import replay, stream, transcript
from storefront.realtime.body import EventStreamBody, Visit
from storefront.realtime.pauses import Pauses
from storefront.realtime.recent import ENTRY, TAIL, Recent
from storefront.realtime.stream import Stream
from storefront.store.contract import Recording
from tests.realtime.rooms import Log, open_room
from tests.store.kit import ALICE, BOB, EXAMPLES, WINDOW

BEAT = 30.0
OTHER = {ALICE: BOB, BOB: ALICE}


class Truth(Log):
    """The log, of which nothing is forgotten here; away, it answers no question."""

    def __init__(self):
        super().__init__()
        self.all = defaultdict(list)
        self.was_away = False

    async def add(self, number, customer=ALICE):
        first = len(self.all[customer]) + 1
        batch = [
            Recording(
                message_id=f"{customer}-{seq}",
                customer=customer,
                payload=b'{"eventType":"cart-updated","of":"%s %d"}' % (customer.encode(), seq),
            )
            for seq in range(first, first + number)
        ]
        # Before it is announced: whoever hears it must find it here.
        self.all[customer] += [(each.payload, trio.current_time()) for each in batch]
        # Shielded: a tab that leaves amid its question must not take back what happened then.
        with trio.CancelScope(shield=True):
            await self.record(batch, now=trio.current_time())

    async def heads(self, *args, **kwargs):
        if self.away:
            raise StoreUnavailableError("away")
        return await super().heads(*args, **kwargs)

    def head(self, customer):
        return Position(self._logs[customer].epoch, len(self.all[customer]))

    def resumable(self, customer, cursor, *, head, now):
        """Whether all that follows could be read, with the log at this head."""
        if cursor is None or cursor.epoch != self.head(customer).epoch or cursor.seq > head:
            return False
        return cursor.seq == head or now - self.all[customer][cursor.seq][1] <= WINDOW


@dataclass
class Write:
    """Some bytes, and between which moments and heads they were made."""

    data: bytes
    asked: float
    head_then: int
    made: float
    head_now: int


class Tab:
    """One tab of a customer: what it knows is what stood in complete blocks."""

    def __init__(self, play, customer, *, sleeps):
        self.play = play
        self.sleeps = sleeps  # and the fan-out writes for it
        self.log = play.log
        self.customer = customer
        self.last_id = ""
        self.scope = None
        self.reading = trio.Event()
        self.cut_after = None

    def begin(self, last_id):
        self.last_id = last_id
        self.brought = Position.parse(last_id)
        self.at = None  # where the next event has to follow; None until the verdict
        self.told = None  # the id that has to come next
        self.rest = b""
        self.sent_away = False
        self.cut_after = None
        self.reading.set()
        self.scope = trio.CancelScope()

    async def stay(self, room):
        """One connection, until it is left or ended."""
        body = EventStreamBody(
            Stream(self.customer, now=trio.current_time(), every=BEAT),
            Visit(
                cursor=self.brought,
                returning=bool(self.last_id),
                was_slow=lambda: False,
                at_once=self.take_at_once if self.sleeps else None,
            ),
            hub=room.hub,
            heartbeat=room.heartbeat,
            fan_out=room.fan_out,
            log=room.reader,
            pauses=Pauses(lambda low, high: (low + high) / 2),
        )
        with self.scope:
            async with body:
                await self.take_all(body)
            assert self.sent_away, "a stream ended for no reason"
        self.scope = None

    async def take_all(self, body):
        while True:
            asked, head_then = trio.current_time(), len(self.log.all[self.customer])
            data = await anext(body, None)
            if data is None:
                return
            head_now = len(self.log.all[self.customer])
            write = Write(data, asked, head_then, trio.current_time(), head_now)
            await self.reading.wait()
            if self.cut_after is not None:
                self.take(write, write.data[: len(data) * self.cut_after // 100])
                self.scope.cancel()
                await trio.lowlevel.checkpoint()
            self.take(write, data)

    def take_at_once(self, data):
        """What the fan-out wrote, if the page reads just now."""
        if not self.reading.is_set() or self.cut_after is not None:
            return False
        self.play.seen["at once"] += 1
        head, now = len(self.log.all[self.customer]), trio.current_time()
        self.take(Write(data, now, head, now, head), data)
        return True

    async def leave(self):
        if self.scope is not None:
            self.scope.cancel()
            await wait_all_tasks_blocked()

    def take(self, write, data):
        *blocks, self.rest = (self.rest + data).split(b"\n\n")
        for block in blocks:
            self.read(block.decode(), write)

    def read(self, block, write):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[0] != ":")
        if "event" in fields:
            facts = json.loads(fields["data"])
            assert "id" not in fields
            if fields["event"] == "stream":
                self.hear_verdict(facts, write)
            else:
                assert (fields["event"], facts) == ("busy", {"reason": "log"})
                assert self.log.was_away
                self.sent_away = True
        elif "data" in fields:
            self.hear_event(fields["id"], fields["data"])
        elif "id" in fields:
            assert fields["id"] == str(self.told or self.brought)
            assert self.told or self.at is None, "a cursor where there was no verdict"
            self.last_id, self.told = fields["id"], None

    def hear_verdict(self, facts, write):
        mode, position = facts["mode"], Position.parse(facts["position"])
        here = self.at or self.brought
        self.play.seen[mode if self.at is None else f"{mode} later"] += 1
        assert position.epoch == self.log.head(self.customer).epoch
        if mode == "resumed":
            assert self.at is None
            assert self.log.resumable(self.customer, here, head=write.head_now, now=write.asked), (
                "resumed, and the next event was gone"
            )
            assert facts["replayed"] == position.seq - here.seq >= 0
            self.at = here
            return
        if mode == "fresh":
            assert (self.at, self.last_id) == (None, "")
        else:
            assert mode == "reset"
            assert not self.log.resumable(
                self.customer, here, head=write.head_then, now=write.made
            ), "it could have been resumed"
        assert write.head_then <= position.seq <= write.head_now
        self.at = self.told = position

    def hear_event(self, name, data):
        position = Position.parse(name)
        assert self.told is None
        assert self.at is not None, "an event before the verdict"
        assert position == Position(self.at.epoch, self.at.seq + 1), "a hole, or twice the same"
        assert data.encode() == self.log.all[self.customer][self.at.seq][0]
        self.at, self.last_id = position, name
        self.play.seen["events"] += 1


class Play:
    """One example: what was drawn, done to a process."""

    def __init__(self, seen):
        self.seen = seen
        self.log = Truth()
        self.tabs = [
            Tab(self, ALICE, sleeps=True),
            Tab(self, ALICE, sleeps=False),
            Tab(self, BOB, sleeps=True),
        ]

    async def run(self, steps):
        recent = Recent(window=WINDOW, room_each=TAIL + 6 * (ENTRY + 80))
        for customer in OTHER:
            await self.log.position(customer, now=trio.current_time())
        async with open_room(self.log, recent) as self.room, trio.open_nursery() as self.nursery:
            self.nursery.start_soon(self.room.heartbeat.run)
            for what, *how in steps:
                await getattr(self, what)(*how)
            await self.quiet()
            for number in range(len(self.tabs)):
                await self.come(number, "last")
            await self.quiet()
            self.nursery.cancel_scope.cancel()

    async def settle(self):
        await wait_all_tasks_blocked()

    async def record(self, customer, number, announced):
        """Where it is not announced, it is lost on the way."""
        self.room.deaf = not announced
        await self.log.add(number, customer)
        self.room.deaf = False

    async def reconnect(self):
        self.room.hub.lost()

    async def amid(self, before, after):
        """The next question has something happen just before and just after it is answered."""
        self.log.before, self.log.after = before, after

    async def away(self):
        self.log.away = self.log.was_away = True

    async def back(self):
        self.log.away = False

    async def take(self, seconds):
        self.log.takes = seconds

    async def wait(self, seconds):
        await trio.sleep(seconds)

    async def come(self, number, kind):
        tab = self.tabs[number]
        if tab.scope is None:
            tab.begin(self.id_of(tab, kind))
            self.nursery.start_soon(tab.stay, self.room)

    def id_of(self, tab, kind):
        head = self.log.head(tab.customer)
        last = Position.parse(tab.last_id) or head
        return {
            "fresh": "",
            "last": tab.last_id,
            "earlier": str(Position(last.epoch, max(last.seq - 3, 0))),
            "garbage": f"{head.epoch}-007",
            "foreign": str(self.log.head(OTHER[tab.customer])),
            "future": str(Position(head.epoch, head.seq + 2)),
        }[kind]

    async def leave(self, number):
        await self.tabs[number].leave()

    async def cut(self, number, percent):
        """It leaves when it has taken so much of the next write."""
        self.tabs[number].cut_after = percent

    async def stall(self, number):
        if self.tabs[number].reading.is_set():
            self.tabs[number].reading = trio.Event()

    async def go_on(self, number):
        self.tabs[number].reading.set()

    async def quiet(self):
        """The store is there, nothing happens, and every stream has had its beat."""
        self.log.away, self.log.takes, self.log.before, self.log.after = False, 0, 0, 0
        for tab in self.tabs:
            tab.cut_after = None
            tab.reading.set()
        await trio.sleep(BEAT + 1)
        for tab in self.tabs:
            if tab.scope is not None:
                assert tab.at == self.log.head(tab.customer), "something never arrived"
                assert tab.last_id in {str(tab.at), str(tab.brought)}
                self.seen["up to date"] += 1


tabs = st.integers(0, 2)
records = st.tuples(
    st.just("record"),
    st.sampled_from([ALICE, ALICE, BOB]),
    st.integers(1, 9),
    st.sampled_from([True, True, False]),
)
comes = st.tuples(
    st.just("come"),
    tabs,
    st.sampled_from(["last", "last", "fresh", "earlier", "garbage", "foreign", "future"]),
)
steps = st.lists(
    st.just(("settle",))
    | records
    | records
    | comes
    | comes
    | st.tuples(st.sampled_from(["leave", "stall", "go_on"]), tabs)
    | st.tuples(st.just("cut"), tabs, st.integers(0, 100))
    | st.tuples(st.just("wait"), st.sampled_from([0.01, 1, 29, 30, 200, 299, 300, 301]))
    | st.sampled_from([("reconnect",), ("away",), ("back",), ("back",)])
    | st.just(("quiet",))
    | st.tuples(st.just("come"), tabs, st.just("last"))
    | st.tuples(st.just("amid"), st.integers(0, 3), st.integers(0, 3))
    | st.tuples(st.just("take"), st.sampled_from([0, 0.05])),
    min_size=20,
    max_size=40,
)


@pytest.fixture
def small_bounds(monkeypatch):
    monkeypatch.setattr(stream, "CHANNEL_PARCELS", 4)
    monkeypatch.setattr(stream, "CHANNEL_BYTES", 400)
    monkeypatch.setattr(replay, "SLICE_ENTRIES", 3)
    monkeypatch.setattr(transcript, "SLICE_BYTES", 300)


@pytest.mark.usefixtures("small_bounds")
def test_whatever_happens_a_tab_gets_all_of_its_log_in_order_and_once_or_is_told():
    seen = Counter()

    @settings(
        max_examples=EXAMPLES or 150,
        derandomize=not EXAMPLES,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(steps=steps)
    def run(steps):
        trio.run(Play(seen).run, steps, clock=MockClock(autojump_threshold=0))

    run()
    assert set(seen) >= {"fresh", "resumed", "reset", "events", "at once", "up to date"}
