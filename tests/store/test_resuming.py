"""Events are recorded while browsers come, leave wherever they are, and come back later.

What each browser gets must be the log: nothing missing, nothing twice, in order, but for where it
was told honestly that this cannot be. The browser here does as a stream does: listen first, read
from the cursor, skip what comes twice, and read again where announcements have a gap.
"""

from __future__ import annotations

import tempfile
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.store.kit import ALICE, BOB, EXAMPLES, NOW, OPENERS, WINDOW, event

# Small, so that it overflows.
CHANNEL = 3


class Clock:
    now = NOW


class Browser:
    """Keeps a protocol: ("event", position), and (mode, position, moment, cursor) otherwise."""

    def __init__(self, store, customer, clock):
        self.store = store
        self.customer = customer
        self.clock = clock
        self.cursor: Any = None
        self.protocol = []
        self.scope = None

    async def stay(self, scope):
        """One connection, until it is left."""
        with scope:
            self.send, receive = trio.open_memory_channel(CHANNEL)
            self.overflowed = False
            async with trio.open_nursery() as nursery:
                await nursery.start(self.store.follow, self.hear, lambda: None)
                await self.catch_up()
                async for entry in receive:
                    await self.take(entry)
        self.scope = None

    def come(self, nursery):
        if self.scope is None:
            self.scope = trio.CancelScope()
            nursery.start_soon(self.stay, self.scope)

    def leave(self):
        if self.scope is not None:
            self.scope.cancel()

    def hear(self, entries):
        for entry in entries:
            if entry.customer == self.customer:
                try:
                    self.send.send_nowait(entry)
                except trio.WouldBlock:
                    self.overflowed = True

    async def take(self, entry):
        if entry.position.seq == self.cursor.seq + 1:
            self.deliver(entry)
        elif entry.position.seq > self.cursor.seq:
            await self.catch_up()
        if self.overflowed:
            self.overflowed = False
            await self.catch_up()

    async def catch_up(self):
        if self.cursor is None:
            now = self.clock.now
            self.begin("fresh", await self.store.position(self.customer, now=now), now)
        while True:
            now = self.clock.now
            found = await self.store.since(
                self.customer, self.cursor, now=now, limit=2, max_bytes=1000
            )
            if not found.resumable:
                self.begin("reset", found.head, now)
            for entry in found.entries:
                self.deliver(entry)
            if self.cursor.seq >= found.head.seq:
                return

    def begin(self, mode, position, now):
        self.protocol.append((mode, position, now, self.cursor))
        self.cursor = position

    def deliver(self, entry):
        self.protocol.append(("event", entry.position))
        self.cursor = entry.position

    def check(self, log):
        """Hold the protocol against all that was ever recorded for the customer, in order."""
        at = None
        for what, position, *rest in self.protocol:
            if what == "event":
                assert at is not None
                assert (position.epoch, position.seq) == (at.epoch, at.seq + 1)
            if what == "reset":
                now, cursor = rest
                assert cursor == at
                assert now - log[cursor.seq].recorded_at > WINDOW, "it could have been resumed"
            at = position
        assert at is None or at.seq == len(log), "something never arrived"


steps = st.lists(
    st.tuples(st.just("publish"), st.sampled_from([ALICE, BOB]), st.integers(1, 6))
    | st.tuples(st.sampled_from(["come", "leave"]), st.integers(0, 3))
    | st.tuples(st.just("wait"), st.sampled_from([1, WINDOW / 2, WINDOW + 1]))
    | st.tuples(st.just("breathe"), st.integers(1, 12)),
    max_size=40,
)


class Play:
    """One example: what was drawn, done to a store."""

    def __init__(self, store):
        self.store = store
        self.clock = Clock()
        self.recorded = []
        self.names = count()
        self.browsers = [Browser(store, who, self.clock) for who in (ALICE, ALICE, BOB, BOB)]

    async def run(self, steps):
        async with trio.open_nursery() as self.visits:
            async with trio.open_nursery() as self.publications:
                for what, *how in steps:
                    await getattr(self, what)(*how)
            await self.all_who_stayed_are_up_to_date()
            for browser in self.browsers:
                browser.leave()
        for browser in self.browsers:
            if browser.cursor is not None:
                await browser.catch_up()
            log = [entry for entry in self.recorded if entry.customer == browser.customer]
            browser.check(sorted(log, key=lambda entry: entry.position.seq))

    async def all_who_stayed_are_up_to_date(self):
        """By what they heard: nothing more is recorded that would show them a gap."""
        for browser in self.browsers:
            if browser.scope is not None and not browser.scope.cancel_called:
                head = await self.store.position(browser.customer, now=self.clock.now)
                with trio.fail_after(5):
                    while browser.cursor != head:
                        await trio.sleep(0.001)

    async def publish(self, customer, how_many):
        batch = [event(next(self.names), customer) for _ in range(how_many)]
        self.publications.start_soon(self.record, batch)

    async def record(self, batch):
        self.recorded += await self.store.record(batch, now=self.clock.now)

    async def come(self, number):
        self.browsers[number].come(self.visits)

    async def leave(self, number):
        self.browsers[number].leave()

    async def wait(self, seconds):
        self.clock.now += seconds

    async def breathe(self, times):
        for _ in range(times):
            await trio.lowlevel.checkpoint()


async def play(opener, steps):
    with tempfile.TemporaryDirectory() as folder:
        async with opener(Path(folder)) as store:
            await Play(store).run(steps)


@pytest.mark.parametrize("name", sorted(OPENERS))
def test_whoever_comes_back_gets_what_was_missed_in_order_and_once_or_is_told(name):
    @settings(
        max_examples=EXAMPLES or 200,
        derandomize=not EXAMPLES,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(steps=steps)
    def run(steps):
        trio.run(play, OPENERS[name], steps)

    run()
