"""What is the same for everybody: asked once for all, in the background where possible, old where nothing else is."""

from __future__ import annotations

from collections import Counter

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from storefront.errors import DownstreamTimeoutError, DownstreamUnavailableError
from storefront.queries.product_cache import (
    LEFT_ALONE,
    REFRESHES,
    ProductCache,
    one_by_one,
)
from storefront.queries.product_known import Terms
from storefront.telemetry.metrics import Metrics

TERMS = Terms(name="catalog")
BATCHES = Terms(name="pricing", together=50)


class Catalog:
    """Knows every SKU that does not begin with "no"; its names tell how often it was asked."""

    def __init__(self, takes=0.0):
        self.takes = takes
        self.down = False
        self.asked = Counter()
        self.questions = 0
        self.under_way = 0
        self.most_under_way = 0

    async def product(self, sku):
        return (await self.products([sku])).get(sku)

    async def products(self, skus):
        self.questions += 1
        self.asked.update(skus)
        self.under_way += 1
        self.most_under_way = max(self.under_way, self.most_under_way)
        try:
            await trio.sleep(self.takes)
            if self.down:
                raise DownstreamUnavailableError("catalog", "is down")
            return {sku: f"{sku} #{self.asked[sku]}" for sku in skus if not sku.startswith("no")}
        finally:
            self.under_way -= 1


async def opened(nursery, catalog, terms=TERMS):
    ask = one_by_one(catalog.product) if terms.together == 1 else catalog.products
    cache = ProductCache(ask, terms)
    await nursery.start(cache.run)
    return cache


async def state(cache, sku="bowl"):
    part = await cache.part(sku)
    return part.value, part.source.state, part.source.asked_at


async def test_a_product_is_asked_for_once_and_known_for_five_minutes(nursery, autojump_clock):
    catalog = Catalog(takes=0.25)
    cache = await opened(nursery, catalog)
    assert await state(cache) == ("bowl #1", "ok", 0.0)
    await trio.sleep_until(239.999)
    assert await state(cache) == ("bowl #1", "cached", 0.0)
    await wait_all_tasks_blocked()
    assert catalog.questions == 1


async def test_past_four_fifths_of_its_life_it_is_asked_again_behind_the_readers_back(
    nursery, autojump_clock
):
    catalog = Catalog(takes=0.25)
    cache = await opened(nursery, catalog)
    await state(cache)
    await trio.sleep_until(240.0)
    assert await state(cache) == ("bowl #1", "cached", 0.0)
    assert trio.current_time() == 240.0
    for _ in range(10):
        await state(cache)
    await trio.sleep(0.251)
    assert await state(cache) == ("bowl #2", "cached", 240.0)
    assert catalog.questions == 2
    assert cache.statistics().refreshes == 1


async def test_what_nobody_wanted_meanwhile_is_asked_anew_when_its_life_is_over(
    nursery, autojump_clock
):
    catalog = Catalog(takes=0.2)
    cache = await opened(nursery, catalog)
    await state(cache)
    await trio.sleep_until(300.0)
    assert await state(cache) == ("bowl #2", "ok", 300.0)
    assert trio.current_time() == 300.2


async def test_five_hundred_customers_who_share_a_sku_cause_one_call(nursery, autojump_clock):
    catalog, parts = Catalog(takes=0.3), []
    cache = await opened(nursery, catalog)

    async def one():
        parts.append(await state(cache))

    async with trio.open_nursery() as customers:
        for _ in range(500):
            customers.start_soon(one)
    assert parts == [("bowl #1", "ok", 0.0)] * 500
    assert catalog.questions == 1


async def test_the_first_who_asked_may_leave(nursery, autojump_clock):
    catalog = Catalog(takes=0.3)
    cache = await opened(nursery, catalog)

    async def first():
        with trio.move_on_after(0.1):
            await state(cache)

    async with trio.open_nursery() as customers:
        customers.start_soon(first)
        await trio.sleep(0.05)
        assert await state(cache) == ("bowl #1", "ok", 0.0)
    assert catalog.questions == 1


async def test_when_all_have_left_nothing_is_under_way_and_nothing_was_learnt(
    nursery, autojump_clock
):
    catalog = Catalog(takes=0.3)
    cache = await opened(nursery, catalog)
    with trio.move_on_after(0.1):
        await state(cache)
    await wait_all_tasks_blocked()
    assert (catalog.under_way, cache.statistics().under_way) == (0, 0)
    assert cache.statistics().failures == 0
    assert (await state(cache))[1] == "ok"


async def test_that_there_is_no_such_sku_is_known_for_ten_seconds(nursery, autojump_clock):
    catalog = Catalog()
    cache = await opened(nursery, catalog)
    assert await state(cache, "none") == (None, "ok", 0.0)
    await trio.sleep_until(7.9)
    assert await state(cache, "none") == (None, "cached", 0.0)
    assert catalog.questions == 1
    await trio.sleep_until(10.0)
    assert await state(cache, "none") == (None, "ok", 10.0)


async def test_a_product_that_is_gone_is_gone(nursery, autojump_clock):
    catalog = Catalog()
    cache = await opened(nursery, catalog)
    await state(cache)

    async def nothing(skus):
        await trio.lowlevel.checkpoint()
        return {}

    cache._ask = nothing
    await trio.sleep_until(300.0)
    assert await state(cache) == (None, "ok", 300.0)


async def test_an_old_product_is_shown_when_the_service_fails_for_ten_minutes_in_all(
    nursery, autojump_clock
):
    catalog = Catalog()
    cache = await opened(nursery, catalog)
    await state(cache)
    catalog.down = True
    await trio.sleep_until(300.0)
    assert await state(cache) == ("bowl #1", "expired", 0.0)
    await trio.sleep_until(599.999)
    assert await state(cache) == ("bowl #1", "expired", 0.0)
    await trio.sleep_until(600.0)
    assert await state(cache) == (None, "error", 600.0)


async def test_a_service_that_does_not_answer_is_waited_for_as_long_as_one_attempt_takes(
    nursery, autojump_clock
):
    catalog = Catalog()
    cache = await opened(nursery, catalog)
    await state(cache)
    catalog.takes = 0.6
    await trio.sleep_until(300.0)
    assert await state(cache) == ("bowl #1", "expired", 0.0)
    assert trio.current_time() == 300.25
    # The question went on without us.
    await trio.sleep_until(300.601)
    assert await state(cache) == ("bowl #2", "cached", 300.0)
    assert catalog.questions == 2


async def test_after_a_failure_the_old_one_is_shown_at_once_for_a_while(nursery, autojump_clock):
    catalog = Catalog(takes=0.1)
    cache = await opened(nursery, catalog)
    await state(cache)
    catalog.down = True
    await trio.sleep_until(300.0)
    await state(cache)
    assert trio.current_time() == 300.1
    for _ in range(5):
        await state(cache)
    assert (trio.current_time(), catalog.questions) == (300.1, 2)
    await trio.sleep(LEFT_ALONE)
    catalog.down = False
    assert await state(cache) == ("bowl #3", "ok", pytest.approx(301.1))


async def test_a_refresh_that_fails_is_not_repeated_by_everybody_who_comes(nursery, autojump_clock):
    catalog = Catalog()
    cache = await opened(nursery, catalog)
    await state(cache)
    catalog.down = True
    await trio.sleep_until(250.0)
    for _ in range(150):
        await state(cache)
        await trio.sleep(0.01)
    assert catalog.questions == 3
    assert cache.statistics().failures == 2


async def test_without_an_old_answer_a_failure_is_told(nursery, autojump_clock):
    catalog = Catalog()
    catalog.down = True
    cache = await opened(nursery, catalog)
    assert await state(cache) == (None, "error", 0.0)
    with pytest.raises(DownstreamUnavailableError):
        await cache.one("bowl")
    catalog.down, catalog.takes = False, 60.0
    assert (await state(cache))[1] == "timeout"
    assert trio.current_time() == TERMS.within
    with pytest.raises(DownstreamTimeoutError):
        await cache.many(["bowl"])
    await wait_all_tasks_blocked()
    assert catalog.under_way == 0


async def test_the_refreshes_are_bounded_and_the_rest_ages_until_it_is_wanted_again(
    nursery, autojump_clock
):
    catalog = Catalog(takes=0.2)
    cache = await opened(nursery, catalog)
    skus = [f"sku {number}" for number in range(40)]
    async with trio.open_nursery() as customers:
        for sku in skus:
            customers.start_soon(cache.part, sku)
    await trio.sleep_until(250.0)
    catalog.most_under_way = 0
    for rounds in range(4):
        for sku in skus:
            await cache.part(sku)
        await wait_all_tasks_blocked()
        assert catalog.questions == 40 + REFRESHES * (rounds + 1)
        await trio.sleep(0.3)
    assert catalog.most_under_way == REFRESHES
    assert set(catalog.asked.values()) == {2}


async def test_what_was_not_wanted_for_the_longest_is_forgotten(nursery, autojump_clock):
    catalog = Catalog()
    cache = await opened(nursery, catalog, Terms(name="catalog", most=3))
    for sku in ("a", "b", "c", "a", "d"):
        await cache.part(sku)
    assert (await state(cache, "a"))[1] == "cached"
    assert (await state(cache, "b"))[1] == "ok"
    assert (cache.statistics().known, cache.statistics().forgotten) == (3, 2)


async def test_a_service_that_takes_fifty_is_asked_for_what_is_missing_in_fifties(
    nursery, autojump_clock
):
    catalog = Catalog(takes=0.1)
    cache = await opened(nursery, catalog, BATCHES)
    skus = [f"{number}" for number in range(120)]
    assert len(await cache.many(skus[:20])) == 20
    found = await cache.many([*skus, *skus, "none"])
    assert list(found) == skus
    assert catalog.questions == 1 + 3
    assert set(catalog.asked.values()) == {1}
    assert trio.current_time() == pytest.approx(0.2)


async def test_two_carts_that_overlap_ask_for_each_sku_once(nursery, autojump_clock):
    catalog, found = Catalog(takes=0.1), {}
    cache = await opened(nursery, catalog, BATCHES)

    async def cart(name, skus):
        found[name] = set(await cache.many(skus))

    async with trio.open_nursery() as customers:
        customers.start_soon(cart, "one", ["a", "b"])
        await trio.sleep(0.05)
        customers.start_soon(cart, "two", ["b", "c"])
    assert found == {"one": {"a", "b"}, "two": {"b", "c"}}
    assert catalog.asked == {"a": 1, "b": 1, "c": 1}


async def test_who_waits_for_anothers_question_is_not_failed_when_that_one_leaves(
    nursery, autojump_clock
):
    """Of two questions it joined, the second loses its first reader while the first is awaited."""
    catalog = Catalog(takes=0.4)
    cache = await opened(nursery, catalog, BATCHES)

    async def leaves():
        with trio.move_on_after(0.2):
            await cache.many(["b"])

    async with trio.open_nursery() as customers:
        customers.start_soon(cache.many, ["a"])
        customers.start_soon(leaves)
        await trio.sleep(0.1)
        assert set(await cache.many(["a", "b"])) == {"a", "b"}
    assert catalog.asked == {"a": 1, "b": 1}


async def test_many_fails_as_its_service_where_something_is_not_known(nursery, autojump_clock):
    catalog = Catalog()
    cache = await opened(nursery, catalog)
    await cache.many(["a"])
    catalog.down = True
    with pytest.raises(DownstreamUnavailableError):
        await cache.many(["a", "b"])
    assert await cache.many(["a"]) == {"a": "a #1"}


async def test_a_reader_without_time_is_cancelled_at_once(nursery, autojump_clock):
    cache = await opened(nursery, Catalog())
    with trio.CancelScope() as scope:
        scope.cancel()
        await cache.part("bowl")
    assert scope.cancelled_caught


async def test_what_it_counts_can_be_read(nursery, autojump_clock):
    cache = await opened(nursery, Catalog())
    await cache.part("bowl")
    await cache.part("bowl")
    metrics = Metrics()
    metrics.read_from(cache.readings)
    told = metrics.exposition().decode()
    assert 'storefront_products_hits_total{of="catalog"} 1.0' in told
    assert 'storefront_products_known{of="catalog"} 1.0' in told
