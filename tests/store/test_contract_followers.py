"""Promise 5 of the store's contract: what was recorded is announced."""

from __future__ import annotations

from functools import partial

import trio
import trio.testing

from tests.store.kit import ALICE, BOB, NOW, event, events, put, read, start_of


class Ear:
    """A follower that keeps what it heard."""

    def __init__(self):
        self.heard = []
        self.losses = 0

    def hear(self, entries):
        self.heard += entries

    def lost(self):
        self.losses += 1

    async def listen(self, store, nursery):
        """Start to follow; answers what ends it."""
        scope = trio.CancelScope()

        async def follow(task_status):
            with scope:
                await store.follow(self.hear, self.lost, task_status=task_status)

        await nursery.start(follow)
        return scope


def by_customer(entries):
    return {who: [entry for entry in entries if entry.customer == who] for who in (ALICE, BOB)}


async def test_what_is_recorded_is_announced_in_log_order(store, nursery):
    ear = Ear()
    await ear.listen(store, nursery)
    entries = [*await put(store, *events([1, 2])), *await put(store, event(3))]
    assert ear.heard == entries
    assert ear.losses == 0


async def test_what_is_announced_can_already_be_read(store, nursery):
    send, heard = trio.open_memory_channel(3)

    class Reader(Ear):
        def hear(self, entries):
            for entry in entries:
                send.send_nowait(entry)

    await Reader().listen(store, nursery)
    nursery.start_soon(put, store, *events([1, 2, 3]))
    for _ in range(3):
        entry = await heard.receive()
        assert entry in (await read(store, start_of(entry.position))).entries


async def test_a_dropped_repetition_is_not_announced(store, nursery):
    ear = Ear()
    await ear.listen(store, nursery)
    await put(store, event(1), event(1))
    await put(store, event(1))
    assert [entry.payload for entry in ear.heard] == [b"1"]


async def test_every_follower_hears_of_every_event(store, nursery):
    ears = [Ear(), Ear(), Ear()]
    for ear in ears:
        await ear.listen(store, nursery)
    entries = await put(store, event("a", ALICE), event("b", BOB))
    for ear in ears:
        # Between customers there is no order: a cluster keeps them on different servers.
        assert by_customer(ear.heard) == by_customer(entries)


async def test_a_follower_that_left_hears_nothing_more(store, nursery):
    left, stays = Ear(), Ear()
    scope = await left.listen(store, nursery)
    await stays.listen(store, nursery)
    await put(store, event(1))
    scope.cancel()
    await trio.testing.wait_all_tasks_blocked(0.01)
    await put(store, event(2))
    assert [entry.payload for entry in left.heard] == [b"1"]
    assert [entry.payload for entry in stays.heard] == [b"1", b"2"]


async def test_one_that_comes_later_hears_from_then_on(store, nursery):
    await put(store, event(1))
    ear = Ear()
    await ear.listen(store, nursery)
    await put(store, event(2))
    assert [entry.position.seq for entry in ear.heard] == [2]


async def test_batches_recorded_at_once_are_announced_per_customer_in_log_order(store, nursery):
    ear = Ear()
    await ear.listen(store, nursery)
    async with trio.open_nursery() as recorders:
        for recorder in range(20):
            batch = [event(f"{recorder}.{n}.{who}", who) for n in range(3) for who in (ALICE, BOB)]
            recorders.start_soon(partial(store.record, batch, now=NOW))
    for who in (ALICE, BOB):
        heard = [entry for entry in ear.heard if entry.customer == who]
        assert [entry.position.seq for entry in heard] == list(range(1, 61))
        log = await read(store, start_of(heard[0].position), who)
        assert list(log.entries) == heard
