"""When a query is shed, and what it gets then: on virtual time."""

from __future__ import annotations

import pytest
import trio

from storefront.domain.ids import CustomerId
from storefront.errors import DownstreamError, QueryShedError, TooManyRequestsError
from storefront.queries.rendering import Rendered, Served
from storefront.web.auth import Caller
from storefront.web.loop_lag import EVERY, WATCH, LoopLag
from storefront.web.rates import BURST, Rates
from storefront.web.shedding import LATEST, SOONEST, Shedding

ALICE = CustomerId("11111111-1111-1111-1111-111111111111")
BOB = CustomerId("22222222-2222-2222-2222-222222222222")
LIMIT = 0.25


def rendered(body: bytes = b"{}") -> Rendered:
    return Rendered(1, body, "e", {}, None, 0.0, ALICE)


class FakeCache:
    """Composes each view, and shows an old one where that fails, as queries/cache.py does."""

    def __init__(self) -> None:
        self.old: Served | None = None
        self.asked = 0

    async def view(self, _customer, _key, compose) -> Served:
        self.asked += 1
        try:
            return Served(rendered=await compose(trio.current_time() + 1))
        except DownstreamError:
            if self.old is None:
                raise
            return self.old

    async def kept(self, _customer, _key) -> Served | None:
        await trio.lowlevel.checkpoint()
        return self.old


def shedding(*, most: int = 2, per_second: float = 5, high: bool = False) -> Shedding:
    def chance(low, up):
        return up if high else low

    return Shedding(LoopLag(LIMIT), Rates(per_second), most=most, uniform=chance)


def measured(shedding: Shedding) -> dict[str, object]:
    return {
        name.removeprefix("storefront_") + "".join(labels.values()): value
        for name, _, labels, value in shedding.readings()
    }


async def quick(_deadline: float) -> Rendered:
    await trio.lowlevel.checkpoint()
    return rendered()


async def slow(_deadline: float) -> Rendered:
    await trio.sleep(1)
    return rendered()


# The lag.


async def test_nothing_is_measured_where_nobody_wants_to_know(nursery, autojump_clock):
    lag = LoopLag(LIMIT)
    nursery.start_soon(lag.run)
    await trio.sleep(3600)
    lag.watch()
    await trio.sleep(WATCH + 1)
    autojump_clock.jump(10)
    await trio.testing.wait_all_tasks_blocked()
    assert lag.seconds == 0
    lag.watch()
    await trio.testing.wait_all_tasks_blocked()
    autojump_clock.jump(10)
    await trio.testing.wait_all_tasks_blocked()
    assert lag.strained


async def test_a_loop_that_is_on_time_has_no_lag(nursery, autojump_clock):
    lag = LoopLag(LIMIT)
    lag.watch()
    nursery.start_soon(lag.run)
    await trio.sleep(10)
    assert (lag.seconds, lag.strained) == (0.0, False)


async def test_the_lag_is_how_late_a_task_is_woken(nursery, autojump_clock):
    lag = LoopLag(LIMIT)
    lag.watch()
    nursery.start_soon(lag.run)
    await trio.testing.wait_all_tasks_blocked()
    # As if the loop had been busy with one thing: the clock moves, and nobody was woken.
    autojump_clock.jump(EVERY + 0.4)
    await trio.testing.wait_all_tasks_blocked()
    assert lag.seconds == pytest.approx(0.2)
    assert not lag.strained


def test_one_long_moment_strains_nobody_and_several_do():
    lag = LoopLag(LIMIT)
    lag.note(0.4)
    assert not lag.strained
    lag.note(0.4)
    assert lag.strained


def test_a_loop_that_is_always_a_little_late_is_left_alone():
    lag = LoopLag(LIMIT)
    for _ in range(1000):
        lag.note(LIMIT)
    assert not lag.strained


def test_a_strained_loop_is_calm_again_below_half_of_the_limit_and_not_before():
    lag = LoopLag(LIMIT)
    for _ in range(10):
        lag.note(0.3)
    assert lag.strained
    for _ in range(1000):
        lag.note(0.2)
        assert lag.strained
    lag.note(0.0)
    assert not lag.strained


async def test_after_half_a_minute_of_blocking_it_is_calm_within_a_second(nursery, autojump_clock):
    lag = LoopLag(LIMIT)
    lag.watch()
    nursery.start_soon(lag.run)
    await trio.testing.wait_all_tasks_blocked()
    autojump_clock.jump(30)
    await trio.testing.wait_all_tasks_blocked()
    assert lag.strained
    began = trio.current_time()
    while lag.strained:
        await trio.sleep(EVERY)
    # 15 s of smoothed lag, halved with each sample that was on time: seven of them.
    assert 6.5 * EVERY < trio.current_time() - began < 8.5 * EVERY


# Shed for the lag.


async def test_while_the_loop_is_strained_a_query_gets_what_is_kept_and_nobody_is_asked():
    shop, cache = shedding(), FakeCache()
    gate = shop.keeper(cache, cache.kept)
    cache.old = Served(rendered=rendered(), freshness="expired")
    shop._lag.note(10)
    assert await gate.view(ALICE, "cart", quick) is cache.old
    assert cache.asked == 0
    assert measured(shop) == {
        "loop_lag_seconds": 5.0,
        "queries_under_way": 0,
        "queries_shed_totallag": 1,
        "queries_shed_totallimit": 0,
        "queries_shed_totalrate": 0,
        "queries_refused_total": 0,
    }


@pytest.mark.parametrize(("high", "pause"), [(False, SOONEST), (True, LATEST)])
async def test_where_nothing_is_kept_it_is_told_when_to_come_back(high, pause):
    shop, cache = shedding(high=high), FakeCache()
    shop._lag.note(10)
    for gate in (shop.keeper(cache, cache.kept), shop.keeper(cache)):
        with pytest.raises(QueryShedError) as caught:
            await gate.view(ALICE, "cart", quick)
        assert caught.value.retry_in == pause
    assert cache.asked == 0
    assert measured(shop)["queries_refused_total"] == 2


async def test_on_a_calm_loop_everybody_is_answered_live():
    shop, cache = shedding(), FakeCache()
    gate = shop.keeper(cache, cache.kept)
    shop._lag.note(10)
    for _ in range(7):
        shop._lag.note(0)
    assert (await gate.view(ALICE, "cart", quick)).freshness == "live"


# Shed at the limit.


async def test_one_composition_too_many_gets_what_is_kept(nursery, autojump_clock):
    shop, cache = shedding(most=2), FakeCache()
    gate = shop.keeper(cache, cache.kept)
    for _ in range(2):
        nursery.start_soon(gate.view, ALICE, "cart", slow)
    await trio.testing.wait_all_tasks_blocked()
    assert measured(shop)["queries_under_way"] == 2
    with pytest.raises(QueryShedError):
        await gate.view(ALICE, "cart", quick)
    cache.old = Served(rendered=rendered(), freshness="expired")
    assert await gate.view(ALICE, "cart", quick) is cache.old
    assert trio.current_time() == 0
    assert measured(shop)["queries_shed_totallimit"] == 2
    assert measured(shop)["queries_refused_total"] == 1
    await trio.sleep(1.5)
    assert (await gate.view(ALICE, "cart", quick)).freshness == "live"


async def test_views_that_are_not_kept_count_towards_the_same_limit(nursery, autojump_clock):
    shop, cache = shedding(most=1), FakeCache()
    nursery.start_soon(shop.keeper(cache).view, ALICE, "cart", slow)
    await trio.testing.wait_all_tasks_blocked()
    with pytest.raises(QueryShedError):
        await shop.keeper(cache, cache.kept).view(ALICE, "cart", quick)


async def test_a_composition_that_fails_or_is_cancelled_gives_its_place_back(autojump_clock):
    shop, cache = shedding(most=1), FakeCache()
    gate = shop.keeper(cache, cache.kept)

    async def failing(_deadline):
        raise DownstreamError("shopping", "no")

    with pytest.raises(DownstreamError):
        await gate.view(ALICE, "cart", failing)
    with trio.move_on_after(0.5):
        await gate.view(ALICE, "cart", slow)
    assert measured(shop)["queries_under_way"] == 0
    assert (await gate.view(ALICE, "cart", quick)).freshness == "live"


# Single callers.


def test_a_caller_has_ten_seconds_worth_at_once_and_then_their_rate():
    rates = Rates(5)
    for _ in range(int(5 * BURST)):
        rates.take(ALICE, 100.0)
    with pytest.raises(TooManyRequestsError) as caught:
        rates.take(ALICE, 100.0)
    assert caught.value.retry_after == 1
    rates.take(BOB, 100.0)
    rates.take(ALICE, 100.2)
    with pytest.raises(TooManyRequestsError):
        rates.take(ALICE, 100.3)
    assert rates.refused == 2


def test_who_is_told_to_wait_gets_through_after_that_time_however_often_they_tried():
    rates = Rates(0.25)
    for _ in range(2):
        rates.take(ALICE, 0.0)
    for _ in range(1000):
        with pytest.raises(TooManyRequestsError) as caught:
            rates.take(ALICE, 0.0)
    # Two and a half were there: a half is left, and the other half takes two seconds.
    assert caught.value.retry_after == 2
    with pytest.raises(TooManyRequestsError):
        rates.take(ALICE, 1.9)
    rates.take(ALICE, 2.0)


def test_who_was_silent_long_enough_is_forgotten_and_has_lost_nothing():
    rates = Rates(5)
    for _ in range(50):
        rates.take(ALICE, 0.0)
    rates.take(BOB, 10.0)
    assert len(rates) == 1
    for _ in range(50):
        rates.take(ALICE, 10.0)
    with pytest.raises(TooManyRequestsError):
        rates.take(ALICE, 10.0)


def test_beyond_its_bound_the_one_who_was_silent_for_longest_is_forgotten():
    rates = Rates(0.1, most=100)
    for number in range(10_000):
        rates.take(str(number), 0.0)
    assert len(rates) == 100
    # The newest is remembered, and has used up what it had.
    with pytest.raises(TooManyRequestsError):
        rates.take("9999", 0.0)


async def test_staff_without_a_customer_are_told_apart_by_their_own_names():
    shop = shedding(per_second=0.1)
    first, second = (
        Caller(customer=None, roles=frozenset({"support"}), expires_at=9e9, subject=name)
        for name in ("carol", "dave")
    )
    shop.admit(first)
    shop.admit(second)
    with pytest.raises(TooManyRequestsError):
        shop.admit(first)
