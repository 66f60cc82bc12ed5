"""Promise 3: no answer from a reading that began before an event, unless it says so."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
import trio

from storefront.errors import StoreUnavailableError
from storefront.queries.cache import Cache
from storefront.queries.cache_entries import LAG
from storefront.queries.memory_shelf import MemoryShelf
from storefront.queries.views import Direct
from storefront.settings import ViewSettings
from tests.queries.bursts import LOOKS, Bursts, Deleting
from tests.queries.keeping import (
    KEY,
    MEBIBYTE,
    Service,
    clock,
    events_in,
    memory_store,
    open_shop,
    steady,
)
from tests.store.kit import ALICE, BOB

BURSTS = 1_000


async def bursts_in_memory(*, fenced):
    store = memory_store()
    shelf = MemoryShelf(store, most=64 * MEBIBYTE)
    deleting = Deleting(shelf)
    cache = Cache(shelf if fenced else deleting, ViewSettings(), clock=clock, uniform=steady)
    bursts = Bursts(cache, store, clock, (lambda _: None) if fenced else deleting.delete)
    async with trio.open_nursery() as nursery:
        await nursery.start(cache.run)
        await bursts.run(range(BURSTS))
        nursery.cancel_scope.cancel()
    assert bursts.looks == BURSTS * LOOKS
    assert bursts.hits >= bursts.looks / 2
    return bursts


async def test_in_a_thousand_bursts_no_view_is_older_than_what_the_page_has_heard(autojump_clock):
    bursts = await bursts_in_memory(fenced=True)
    assert bursts.wrong_bursts == set()
    # A customer to whom something happens all the time is told the truth, not kept waiting.
    assert bursts.said_old <= BURSTS


async def test_with_the_fence_switched_off_a_hundred_bursts_and_more_are_wrong(autojump_clock):
    """Or the test above would prove nothing."""
    assert len((await bursts_in_memory(fenced=False)).wrong_bursts) >= 100


async def views(shop, number):
    served = []

    async def one():
        served.append(await shop.view())

    async with trio.open_nursery() as browsers:
        for _ in range(number):
            browsers.start_soon(one)
    return served


async def test_five_hundred_cold_reads_of_one_cart_are_one_call(autojump_clock):
    async with open_shop(Service(takes=0.3)) as shop:
        served = await views(shop, 500)
        assert trio.current_time() == 0.3
        assert shop.service.calls == 1
        assert {each.freshness for each in served} == {"live"}
        assert sum(each.collapsed for each in served) == 499


async def test_five_hundred_cold_reads_are_two_calls_if_an_event_lands_meanwhile(autojump_clock):
    async with open_shop(Service(takes=0.3)) as shop:

        async def an_event_lands():
            await trio.sleep(0.1)
            await shop.happens()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(an_event_lands)
            served = await views(shop, 500)
        assert shop.service.calls == 2
        assert {events_in(each) for each in served} == {1}
        assert trio.current_time() == pytest.approx(0.6)


async def test_those_who_come_after_the_event_do_not_wait_for_those_before(autojump_clock):
    async with open_shop(Service(takes=0.3)) as shop:
        served = []

        async def half(after):
            await trio.sleep(after)
            found = await views(shop, 250)
            now = trio.current_time()
            served.extend((now, events_in(each), each.freshness) for each in found)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(half, 0.0)
            nursery.start_soon(half, 0.2)
            await trio.sleep(0.1)
            await shop.happens()
        assert shop.service.calls == 2
        # Those before were overtaken at 0.3, and joined the reading that had begun at 0.2.
        assert set(served) == {(0.5, 1, "live")}


async def test_what_is_overtaken_twice_is_shown_as_the_old_view_it_is(autojump_clock):
    async with open_shop(Service(takes=0.3)) as shop:

        async def events_land():
            for _ in range(2):
                await trio.sleep(0.2)
                await shop.happens()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(events_land)
            served = await shop.view()
        assert trio.current_time() == pytest.approx(0.6)
        assert (served.freshness, events_in(served)) == ("expired", 1)
        assert shop.cache.statistics().fenced == 2


async def test_what_was_overtaken_is_shown_as_old_where_there_is_no_time_for_another(
    autojump_clock,
):
    async with open_shop(Service(takes=0.8)) as shop:

        async def event_lands():
            await trio.sleep(0.4)
            await shop.happens()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(event_lands)
            served = await shop.view()
        assert (served.freshness, events_in(served)) == ("expired", 0)
        assert trio.current_time() == pytest.approx(1.05)


async def test_what_was_overtaken_is_shown_as_old_where_the_service_fails_then(autojump_clock):
    async with open_shop(Service(takes=0.3)) as shop:

        async def event_lands():
            await trio.sleep(0.1)
            await shop.happens()
            await trio.sleep(0.3)
            shop.service.down = True

        async with trio.open_nursery() as nursery:
            nursery.start_soon(event_lands)
            served = await shop.view()
        assert (served.freshness, events_in(served)) == ("expired", 0)


async def test_an_incomplete_view_that_was_overtaken_is_read_again_too(autojump_clock):
    async with open_shop(Service(takes=0.3)) as shop:
        shop.service.state = "timeout"

        async def event_lands():
            await trio.sleep(0.1)
            await shop.happens()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(event_lands)
            served = await shop.view()
        assert (served.freshness, events_in(served)) == ("live", 1)


async def test_that_there_was_no_such_thing_is_read_again_when_it_was_overtaken(autojump_clock):
    async with open_shop(Service(takes=0.3)) as shop:
        shop.service.known = False

        async def it_is_made():
            await trio.sleep(0.1)
            shop.service.known = True
            await shop.happens()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(it_is_made)
            served = await shop.view()
        assert served.rendered.found


async def test_after_an_event_nothing_from_before_is_fresh(autojump_clock):
    async with open_shop() as shop:
        await shop.prime()
        await shop.happens()
        served = await shop.view()
        assert (served.freshness, events_in(served)) == ("live", 1)


async def test_after_an_event_what_is_from_before_is_shown_only_as_an_old_view(autojump_clock):
    async with open_shop() as shop:
        first = await shop.prime()
        await shop.happens()
        shop.service.down = True
        served = await shop.view()
        assert (served.freshness, served.rendered) == ("expired", first.rendered)
        assert served.ttl <= 0


async def test_an_incomplete_view_from_before_an_event_is_not_fresh_either(autojump_clock):
    async with open_shop() as shop:
        shop.service.state = "timeout"
        await shop.prime()
        await shop.happens()
        assert events_in(await shop.view()) == 1


async def test_anothers_event_changes_nothing(autojump_clock):
    async with open_shop() as shop:
        await shop.prime()
        await shop.happens(BOB)
        assert (await shop.view()).freshness == "cached"


async def test_a_command_that_renews_the_generation_has_the_same_effect(autojump_clock):
    async with open_shop() as shop:
        await shop.prime()
        await shop.store.renew_generation(ALICE, now=clock())
        assert (await shop.view()).freshness == "live"


async def test_a_reading_that_ends_late_does_not_take_the_place_of_a_newer_one(autojump_clock):
    async with open_shop(Service(takes=0.3)) as shop:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shop.view)
            await trio.sleep(0.1)
            await shop.happens()
            shop.service.takes = 0.05
            assert events_in(await shop.view()) == 1
        shop.service.down = True
        await trio.sleep(40)
        assert events_in(await shop.view()) == 1


class Faulty:
    """A shelf that is there until it is told otherwise.

    Attributes:
        looks: what becomes of each look to come: `there`, `away`, or `held` for ever; then the last.
        keeps: the same of those who want to keep something.
    """

    def __init__(self, shelf):
        self._shelf = shelf
        self.looks = ["there"]
        self.keeps = "there"
        self.kept = 0

    async def look(self, customer, key):
        how = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if how == "held":
            await trio.sleep_forever()
        found = await self._shelf.look(customer, key)
        return found if how == "there" else (None, None)

    async def keep(self, *entry):
        self.kept += 1
        if self.keeps == "held":
            await trio.sleep_forever()
        kept = await self._shelf.keep(*entry)
        return kept if self.keeps == "there" else "unknown"

    def readings(self):
        return ()


@asynccontextmanager
async def open_faulty(service, *looks, keeps="there"):
    async with open_shop(service) as shop:
        faulty = shop.cache._kept.shelf = Faulty(shop.shelf)
        faulty.looks, faulty.keeps = list(looks), keeps
        yield shop, faulty


async def lands(shop, after):
    await trio.sleep(after)
    await shop.happens()


async def test_where_the_generation_is_not_known_every_view_is_read_for_its_reader(autojump_clock):
    async with open_faulty(Service(takes=0.3), "away") as (shop, faulty):
        served = await views(shop, 5)
        assert shop.service.calls == 5
        # Nobody can say whether an event came while they were read.
        assert {(each.freshness, each.forwarded) for each in served} == {("expired", "bypass")}
        assert faulty.kept == 0
        counted = shop.cache.statistics()
        assert (counted.bypassed, counted.uncompared) == (5, 5)


@pytest.mark.parametrize("state", ["ok", "timeout"], ids=["whole", "incomplete"])
async def test_what_nobody_can_compare_when_it_is_ready_is_not_called_live(autojump_clock, state):
    """The shelf goes while the view is read, and an event comes."""
    async with open_faulty(Service(takes=0.3), "there", "away", keeps="away") as (shop, _):
        shop.service.state = state
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lands, shop, 0.1)
            served = await shop.view()
        assert (served.freshness, served.stored, events_in(served)) == ("expired", False, 0)
        assert trio.current_time() == pytest.approx(0.3)
        assert shop.service.calls == 1
        assert shop.cache.statistics().uncompared == 1


async def test_what_could_not_be_kept_is_compared_once_more_and_is_live_if_nothing_came(
    autojump_clock,
):
    async with open_faulty(Service(takes=0.3), "there", keeps="away") as (shop, _):
        served = await shop.view()
        assert (served.freshness, served.stored) == ("live", False)
        assert shop.cache.statistics().lost == 1


async def test_what_could_not_be_kept_is_read_again_if_an_event_came(autojump_clock):
    async with open_faulty(Service(takes=0.3), "there", keeps="away") as (shop, _):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lands, shop, 0.1)
            served = await shop.view()
        assert (served.freshness, events_in(served)) == ("live", 1)
        assert shop.service.calls == 2


@pytest.mark.parametrize(
    ("quiet", "calls"), [(LAG, 1), (0.5, 2)], ids=["long before", "just before"]
)
async def test_a_generation_known_only_at_the_end_tells_whether_it_is_older_than_the_reading(
    autojump_clock, quiet, calls
):
    async with open_faulty(Service(takes=0.3), "away", "there") as (shop, _):
        await shop.happens()
        await trio.sleep(quiet)
        served = await shop.view()
        # By a clock that may not be ours: what is nearly as young is not believed, and read again.
        assert (served.freshness, shop.service.calls) == ("live", calls)


async def test_an_event_under_a_generation_known_only_at_the_end_has_it_read_again(autojump_clock):
    async with open_faulty(Service(takes=0.3), "away", "there") as (shop, _):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lands, shop, 0.1)
            served = await shop.view()
        assert (served.freshness, events_in(served)) == ("live", 1)


async def test_a_view_too_large_for_the_shelf_is_live_and_not_kept(autojump_clock):
    store = memory_store()
    async with open_shop(shelf=MemoryShelf(store, most=100)) as shop:
        shop.store = store
        for _ in range(2):
            served = await shop.view()
            assert (served.freshness, served.stored) == ("live", False)
        counted = shop.cache.statistics()
        assert (counted.too_large, counted.lost, counted.misses) == (2, 0, 2)


async def test_a_view_too_large_for_the_shelf_is_read_again_when_it_was_overtaken(autojump_clock):
    store = memory_store()
    async with open_shop(Service(takes=0.3), shelf=MemoryShelf(store, most=100)) as shop:
        shop.store = store
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lands, shop, 0.1)
            served = await shop.view()
        assert (served.freshness, events_in(served)) == ("live", 1)


async def test_a_shelf_that_holds_us_does_not_keep_a_view_from_its_reader(autojump_clock):
    async with open_faulty(Service(takes=0.9), "there", keeps="held") as (shop, _):
        served = await shop.view()
        assert (served.freshness, served.stored) == ("live", False)
        assert trio.current_time() == pytest.approx(1.025)
        assert shop.cache.statistics().lost == 1


async def test_a_shelf_that_holds_all_who_ask_has_the_view_called_old_before_it_is_too_late(
    autojump_clock,
):
    async with open_faulty(Service(takes=0.9), "there", "held", keeps="held") as (shop, _):
        served = await shop.view()
        assert (served.freshness, served.stored) == ("expired", False)
        assert trio.current_time() == pytest.approx(1.04)


# What staff read, whose view it is being known only from the answer.


async def staffs(shop):
    return await shop.cache.unkept.view(None, "order:1", shop.service.compose)


async def test_what_staff_read_is_live_if_no_event_of_its_owner_came(autojump_clock):
    async with open_shop(Service(takes=0.3)) as shop:
        assert (await staffs(shop)).freshness == "live"
        await shop.happens()
        await trio.sleep(LAG)
        await shop.happens(BOB)
        served = await staffs(shop)
        assert (served.freshness, served.forwarded, served.stored) == ("live", "bypass", False)
        assert len(shop.shelf._kept) == 0


async def test_what_staff_read_is_called_old_if_an_event_came_meanwhile(autojump_clock):
    async with open_shop(Service(takes=0.3)) as shop:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lands, shop, 0.1)
            served = await staffs(shop)
        assert (served.freshness, events_in(served)) == ("expired", 0)


@pytest.mark.parametrize("how", ["away", "held"])
async def test_what_staff_read_is_called_old_where_nobody_can_say(autojump_clock, how):
    async with open_faulty(Service(takes=0.3), how) as (shop, _):
        assert (await staffs(shop)).freshness == "expired"
        assert trio.current_time() <= 1.05


async def test_who_has_no_cache_calls_nothing_live(autojump_clock):
    served = await Direct(1.0).view(ALICE, KEY, Service().compose)
    assert (served.freshness, served.forwarded) == ("expired", "bypass")


async def test_a_store_that_is_away_is_a_shelf_with_nothing_on_it(autojump_clock):
    class Away:
        async def generation(self, _customer):
            await trio.lowlevel.checkpoint()
            raise StoreUnavailableError("away")

    async with open_shop(shelf=MemoryShelf(Away(), most=MEBIBYTE)) as shop:
        assert (await shop.view()).forwarded == "bypass"
        assert await shop.shelf.keep(ALICE, KEY, "", b"entry", 60.0) == "unknown"
