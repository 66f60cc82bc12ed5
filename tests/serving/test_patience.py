from __future__ import annotations

import pytest
import trio

from storefront.serving.drain import Drain
from storefront.serving.patience import Patience
from storefront.serving.watch import ServingWatch


@pytest.fixture
def drain():
    return Drain()


@pytest.fixture
def watch():
    return ServingWatch()


@pytest.fixture
def patience(drain, watch):
    return Patience(10, drain, watch)


async def test_a_wait_ends_when_patience_does(autojump_clock, patience):
    with patience.waiting() as scope:
        await trio.sleep_forever()
    assert scope.cancelled_caught
    assert trio.current_time() == 10


async def test_what_is_left_of_a_slice_may_be_less(autojump_clock, patience):
    with patience.waiting(3):
        await trio.sleep_forever()
    assert trio.current_time() == 3


async def test_a_wait_that_begins_in_a_drain_ends_with_it(autojump_clock, patience, drain):
    drain.begin(4)
    with patience.waiting() as scope:
        await trio.sleep_forever()
    assert scope.cancelled_caught
    assert trio.current_time() == 4


async def test_a_long_drain_does_not_lengthen_a_wait(autojump_clock, patience, drain):
    drain.begin(600)
    with patience.waiting():
        await trio.sleep_forever()
    assert trio.current_time() == 10


async def test_waits_that_have_begun_hurry_when_the_end_comes_nearer(
    autojump_clock, patience, drain, nursery
):
    ended = []

    async def write(name, begin):
        await trio.sleep(begin)
        with patience.waiting(shield=True):
            await trio.sleep_forever()
        ended.append((name, trio.current_time()))

    nursery.start_soon(write, "first", 0)
    nursery.start_soon(write, "second", 8)
    await trio.sleep(9)
    drain.begin(2)
    patience.hurry()
    await trio.sleep(5)
    assert ended == [("first", 10), ("second", 11)]


async def test_waits_are_counted_while_they_last(autojump_clock, patience, watch):
    with patience.waiting(), patience.waiting(counted=False):
        assert watch.sends_blocked == 1
    assert watch.sends_blocked == 0
    assert watch.sends_blocked_total == 1


async def test_a_wait_that_fails_is_counted_off(autojump_clock, patience, watch):
    with pytest.raises(ValueError, match="broken"), patience.waiting():
        raise ValueError("broken")
    assert watch.sends_blocked == 0
