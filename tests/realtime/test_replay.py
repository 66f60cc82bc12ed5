"""Reads of the log: shared by those who wait, never by those who came after one began."""

from __future__ import annotations

import pytest
import trio

from storefront.domain.ids import CustomerId
from storefront.domain.positions import Position
from storefront.errors import StoreUnavailableError
from storefront.realtime.recent import Recent
from storefront.realtime.replay import READS, LogReader
from storefront.store.contract import Slice

ALICE = CustomerId("11111111-1111-1111-1111-111111111111")
HERE = Position("e", 1)


class SlowStore:
    """Takes a second for each answer, and counts."""

    def __init__(self) -> None:
        self.asked: list[Position] = []
        self.at_once = 0
        self.most_at_once = 0
        self.away = False

    async def since(self, _customer, cursor, **_limits) -> Slice:
        self.asked.append(cursor)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await trio.sleep(1)
        finally:
            self.at_once -= 1
        if self.away:
            raise StoreUnavailableError("away")
        return Slice(resumable=True, entries=(), head=Position("e", len(self.asked)))


async def busy(reader: LogReader, nursery) -> None:
    """Take all places, so that whoever comes now has to wait."""
    for number in range(READS):
        nursery.start_soon(reader.since, CustomerId(f"busy {number}"), Position("busy", 1))
    await trio.testing.wait_all_tasks_blocked()


async def test_no_more_than_so_many_reads_are_under_way(nursery, autojump_clock):
    store = SlowStore()
    reader = LogReader(store, clock=lambda: 0, recent=Recent(window=300.0))
    async with trio.open_nursery() as readers:
        for number in range(5 * READS):
            readers.start_soon(reader.since, CustomerId(f"customer {number}"), HERE)
    assert store.most_at_once == READS
    assert trio.current_time() == 5


async def test_a_customer_with_many_tabs_takes_one_place_at_a_time(nursery, autojump_clock):
    store = SlowStore()
    reader = LogReader(store, clock=lambda: 0, recent=Recent(window=300.0))
    for number in range(READS):
        nursery.start_soon(reader.since, ALICE, Position("e", number))
    await trio.testing.wait_all_tasks_blocked()
    assert store.at_once == 1
    await reader.since(CustomerId("somebody else"), HERE)
    assert trio.current_time() == 1, "the other places are free for others"
    await trio.sleep(READS)
    assert (len(store.asked), store.most_at_once) == (READS + 1, 2)
    assert reader._turns == {}, "nothing is kept of those who are done"


async def test_those_who_wait_for_the_same_piece_share_one_read(nursery, autojump_clock):
    store = SlowStore()
    reader = LogReader(store, clock=lambda: 0, recent=Recent(window=300.0))
    await busy(reader, nursery)
    found = []

    async def read() -> None:
        found.append(await reader.since(ALICE, HERE))

    async with trio.open_nursery() as readers:
        for _ in range(100):
            readers.start_soon(read)
    assert store.asked.count(HERE) == 1
    assert len(found) == 100
    assert trio.current_time() == 2


async def test_a_read_that_has_begun_is_not_shared(nursery, autojump_clock):
    store = SlowStore()
    reader = LogReader(store, clock=lambda: 0, recent=Recent(window=300.0))
    nursery.start_soon(reader.since, ALICE, HERE)
    await trio.sleep(0.5)
    await reader.since(ALICE, HERE)
    assert store.asked.count(HERE) == 2
    assert trio.current_time() == 2, "and waits for it: one read of a customer at a time"


async def test_a_reader_that_is_cancelled_does_not_fail_those_who_shared_its_read(
    nursery, autojump_clock
):
    store = SlowStore()
    reader = LogReader(store, clock=lambda: 0, recent=Recent(window=300.0))
    await busy(reader, nursery)
    with trio.move_on_after(0.5) as leader:
        nursery.start_soon(reader.since, ALICE, HERE)
        await reader.since(ALICE, HERE)
    assert leader.cancelled_caught
    found = await reader.since(ALICE, HERE)
    assert found.resumable
    assert store.asked.count(HERE) == 1


async def test_a_log_that_is_away_is_away_for_all_who_shared_the_read(nursery, autojump_clock):
    store = SlowStore()
    reader = LogReader(store, clock=lambda: 0, recent=Recent(window=300.0))
    store.away = True
    failed = 0

    async def read() -> None:
        nonlocal failed
        with pytest.raises(StoreUnavailableError):
            await reader.since(ALICE, HERE)
        failed += 1

    async with trio.open_nursery() as readers:
        for _ in range(READS):
            readers.start_soon(_ignore, reader)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(50):
            readers.start_soon(read)
    assert failed == 50
    assert store.asked.count(HERE) == 1


async def _ignore(reader: LogReader) -> None:
    with pytest.raises(StoreUnavailableError):
        await reader.since(ALICE, Position("busy", id(object())))
