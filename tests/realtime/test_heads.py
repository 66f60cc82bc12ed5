"""Every stream is compared with every beat, however many there are and however slow the store."""

from __future__ import annotations

import trio

from storefront.domain.ids import CustomerId
from storefront.domain.positions import Position
from storefront.errors import StoreUnavailableError
from storefront.realtime.heads import AT_ONCE, HeadWatch
from storefront.realtime.recent import Recent
from storefront.realtime.stream import Stream
from storefront.store.contract import Refused


class SlowStore:
    """Answers after 50 ms, with one event more than anybody heard of."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.away = False
        self.refuses: set[str] = set()

    async def heads(self, customers, *, now):  # noqa: ARG002 - the contract's
        self.asked.append(len(customers))
        await trio.sleep(0.05)
        if self.away:
            raise StoreUnavailableError("away")
        refused = Refused("unreachable", "gone")
        return {each: refused if each in self.refuses else Position("e", 1) for each in customers}


def open_stream(number: int) -> Stream:
    stream = Stream(CustomerId(f"{number}"), now=0.0, every=30.0)
    stream.stand_at(Position("e", 0))
    return stream


async def test_beats_that_come_one_by_one_while_the_store_is_busy_are_all_looked_at_together(
    nursery, autojump_clock
):
    store = SlowStore()
    watch = HeadWatch(store, clock=lambda: 0, recent=Recent(window=300.0))
    nursery.start_soon(watch.run)
    streams = [open_stream(number) for number in range(2000)]
    for stream in streams:
        watch.look_at([stream])
        await trio.sleep(0.001)
    await trio.sleep(0.2)
    assert all(stream.behind for stream in streams)
    assert watch.caught == 2000
    assert len(store.asked) < 50
    nursery.cancel_scope.cancel()


async def test_thousands_at_once_are_asked_for_in_rounds_of_bounded_size(nursery, autojump_clock):
    store = SlowStore()
    watch = HeadWatch(store, clock=lambda: 0, recent=Recent(window=300.0))
    nursery.start_soon(watch.run)
    streams = [open_stream(number) for number in range(3 * AT_ONCE)]
    watch.look_at(streams)
    watch.look_at(streams)
    await trio.sleep(1)
    assert store.asked == [AT_ONCE] * 3
    assert all(stream.behind for stream in streams)
    nursery.cancel_scope.cancel()


async def test_one_whose_head_cannot_be_told_is_looked_at_with_its_next_beat_and_holds_nobody(
    nursery, autojump_clock
):
    store = SlowStore()
    store.refuses = {"1"}
    watch = HeadWatch(store, clock=lambda: 0, recent=Recent(window=300.0))
    nursery.start_soon(watch.run)
    streams = [open_stream(number) for number in range(3)]
    watch.look_at(streams)
    await trio.sleep(1)
    assert [stream.behind for stream in streams] == [True, False, True]
    store.refuses = set()
    watch.look_at(streams[1:2])
    await trio.sleep(1)
    assert streams[1].behind
    nursery.cancel_scope.cancel()


async def test_a_head_of_another_numbering_is_news_however_low_it_is(nursery, autojump_clock):
    watch = HeadWatch(SlowStore(), clock=lambda: 0, recent=Recent(window=300.0))
    nursery.start_soon(watch.run)
    stream = open_stream(1)
    stream.stand_at(Position("older", 7))
    watch.look_at([stream])
    await trio.sleep(1)
    assert stream.behind
    nursery.cancel_scope.cancel()


async def test_a_store_that_is_away_for_one_beat_is_asked_again_with_the_next(
    nursery, autojump_clock
):
    store, stream = SlowStore(), open_stream(1)
    store.away = True
    watch = HeadWatch(store, clock=lambda: 0, recent=Recent(window=300.0))
    nursery.start_soon(watch.run)
    watch.look_at([stream])
    await trio.sleep(1)
    assert not stream.behind
    store.away = False
    watch.look_at([stream])
    await trio.sleep(1)
    assert stream.behind
    nursery.cancel_scope.cancel()
