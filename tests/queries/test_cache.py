"""How long a view is kept, what for, and for whom: all on virtual time, to the second."""

from __future__ import annotations

import math

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from storefront.errors import DownstreamTimeoutError, DownstreamUnavailableError
from storefront.queries import cache_entries, rendering
from storefront.queries.cache_entries import LAG, LAGGING, Entry, Place
from storefront.queries.cache_kept import INCOMPLETE_KEPT, SETTLING
from storefront.telemetry.metrics import Metrics
from tests.queries.keeping import KEY, Service, Shop, clock, events_in, open_shop, rendered
from tests.store.kit import ALICE, BOB

PLACE = Place(ALICE, KEY)


async def until(moment):
    await trio.sleep_until(moment)


async def test_a_view_is_live_once_and_then_cached_for_thirty_seconds(autojump_clock):
    async with open_shop() as shop:
        first = await shop.view()
        assert (first.freshness, first.forwarded, first.stored) == ("live", "uri-miss", True)
        await until(29.999)
        again = await shop.view()
        assert (again.freshness, again.rendered) == ("cached", first.rendered)
        assert again.ttl == pytest.approx(0.001, abs=1e-5)
        assert shop.service.calls == 1
        await until(30.0)
        later = await shop.view()
        assert (later.freshness, later.forwarded) == ("live", "stale")
        assert shop.service.calls == 2


@pytest.mark.parametrize(("chance", "life"), [(0.0, 27.0), (1.0, 33.0)])
async def test_the_life_of_each_view_is_a_tenth_shorter_or_longer(autojump_clock, chance, life):
    async with open_shop(uniform=lambda low, high: low + chance * (high - low)) as shop:
        await shop.prime()
        await until(life - 0.001)
        assert (await shop.view()).freshness == "cached"
        await until(life)
        assert (await shop.view()).freshness == "live"


async def test_the_jitter_is_drawn_for_each_view_when_it_is_stored(autojump_clock):
    draws = iter([0.9, 1.1])
    async with open_shop(uniform=lambda *_: next(draws)) as shop:
        await shop.view(key="a")
        await shop.view(key="b")
        await until(28.0)
        assert (await shop.cache.kept(ALICE, "a")).freshness == "expired"
        assert (await shop.cache.kept(ALICE, "b")).freshness == "cached"


async def test_when_the_owner_fails_the_old_view_is_shown_for_ten_minutes_and_not_longer(
    autojump_clock,
):
    async with open_shop() as shop:
        first = await shop.prime()
        shop.service.down = True
        at_once = await shop.view()
        assert (at_once.freshness, shop.service.calls) == ("cached", 1)
        await until(31.0)
        served = await shop.view()
        assert (served.freshness, served.rendered) == ("expired", first.rendered)
        assert (served.ttl, served.forwarded) == (-1.0, "stale")
        await until(599.999)
        assert (await shop.view()).freshness == "expired"
        await until(600.0)
        with pytest.raises(DownstreamUnavailableError):
            await shop.view()
        assert shop.cache.statistics().failed == 1


async def test_what_a_shelf_kept_for_too_long_is_not_shown(autojump_clock):
    async with open_shop() as shop:
        await shop.shelf.keep(ALICE, KEY, "", entry(), 10_000.0)
        await until(599.999)
        assert (await shop.cache.kept(ALICE, KEY)).freshness == "expired"
        await until(600.0)
        assert await shop.cache.kept(ALICE, KEY) is None


async def test_the_age_counts_from_when_the_reading_began(autojump_clock):
    async with open_shop(Service(takes=0.5)) as shop:
        await shop.prime()
        assert trio.current_time() == 0.5
        await until(29.99)
        assert (await shop.view()).freshness == "cached"
        await until(30.0)
        assert (await shop.cache.kept(ALICE, KEY)).freshness == "expired"


async def test_a_source_that_recovers_is_shown_at_once(autojump_clock):
    async with open_shop() as shop:
        await shop.prime()
        shop.service.down = True
        await until(40.0)
        assert (await shop.view()).freshness == "expired"
        shop.service.down = False
        shop.service.events = 7
        served = await shop.view()
        assert (served.freshness, events_in(served)) == ("live", 7)


async def test_a_composition_that_does_not_end_is_cut_off_at_the_deadline(autojump_clock):
    async with open_shop(Service(takes=60.0)) as shop:
        with pytest.raises(DownstreamTimeoutError):
            await shop.view()
        assert trio.current_time() == 1.0 + SETTLING
        assert shop.service.deadlines == [1.0]
        await wait_all_tasks_blocked()
        assert shop.service.under_way == 0


async def test_an_old_view_is_shown_at_the_deadline_of_one_that_does_not_come(autojump_clock):
    async with open_shop() as shop:
        await shop.prime()
        shop.service.takes = 60.0
        await until(100.0)
        assert (await shop.view()).freshness == "expired"
        assert trio.current_time() == 101.0 + SETTLING


@pytest.mark.parametrize("owner", [None, BOB], ids=["unknown", "somebody else's"])
async def test_what_is_not_to_be_shown_costs_one_question_each_time_whosever_it_is(
    autojump_clock, owner
):
    """Or how long the second answer takes would tell what the first does not."""
    async with open_shop() as shop:
        counted = shop.cache._kept.shelf = Counted(shop.shelf)

        async def compose(deadline):
            shop.service.calls += 1
            await trio.sleep(0.1)
            return rendered(None, owner=owner)

        for calls in (1, 2, 3):
            began = trio.current_time()
            served = await shop.cache.view(ALICE, "order:1", compose)
            assert trio.current_time() - began == pytest.approx(0.1)
            assert not served.rendered.found
            assert not served.stored
            assert shop.service.calls == calls
            assert (counted.looks, counted.keeps) == (2 * calls, 0)
        assert await shop.cache.kept(ALICE, "order:1") is None
        assert len(shop.shelf._kept) == 0


class Counted:
    """A shelf that counts what it is asked."""

    def __init__(self, shelf):
        self._shelf = shelf
        self.looks = self.keeps = 0

    async def look(self, *asked):
        self.looks += 1
        return await self._shelf.look(*asked)

    async def keep(self, *asked):
        self.keeps += 1
        return await self._shelf.keep(*asked)


async def test_that_there_was_no_such_thing_is_nothing_to_show_when_the_owner_fails(
    autojump_clock,
):
    async with open_shop() as shop:
        shop.service.known = False
        await shop.prime()
        shop.service.down = True
        with pytest.raises(DownstreamUnavailableError):
            await shop.view()


async def test_an_incomplete_view_is_remembered_for_a_second(autojump_clock):
    async with open_shop() as shop:
        shop.service.state = "timeout"
        first = await shop.prime()
        assert not first.stored
        await until(INCOMPLETE_KEPT - 0.001)
        assert (await shop.view()).freshness == "cached"
        assert shop.service.calls == 1
        shop.service.state = "ok"
        await until(INCOMPLETE_KEPT)
        whole = await shop.view()
        assert (whole.freshness, whole.rendered.complete) == ("live", True)


async def test_an_incomplete_view_does_not_take_the_place_of_a_whole_old_one(autojump_clock):
    async with open_shop() as shop:
        whole = await shop.prime()
        await until(40.0)
        shop.service.state = "open"
        assert not (await shop.view()).rendered.complete
        shop.service.down = True
        await until(50.0)
        served = await shop.view()
        assert (served.freshness, served.rendered) == ("expired", whole.rendered)


async def test_an_incomplete_view_of_a_slow_composition_is_remembered_from_its_end(autojump_clock):
    async with open_shop(Service(takes=0.9)) as shop:
        shop.service.state = "timeout"
        await shop.prime()
        await until(0.9 + INCOMPLETE_KEPT - 0.001)
        assert (await shop.view()).freshness == "cached"


async def test_for_three_seconds_after_an_event_a_view_is_fresh_for_one_second_only(
    autojump_clock,
):
    async with open_shop() as shop:
        await shop.happens()
        await until(LAG - 0.001)
        first = await shop.prime()
        await until(LAG - 0.001 + LAGGING - 0.001)
        assert (await shop.view()).freshness == "cached"
        await until(LAG - 0.001 + LAGGING)
        second = await shop.view()
        assert second.freshness == "live"
        # That one was read long enough after the event.
        await until(30.0)
        assert (await shop.view()).freshness == "cached"
        # As an old one the first would have been good for as long as any.
        assert first.rendered.as_of < second.rendered.as_of


async def test_a_view_read_soon_after_an_event_is_kept_as_an_old_one_like_any(autojump_clock):
    async with open_shop() as shop:
        await shop.happens()
        await shop.prime()
        shop.service.down = True
        await until(599.0)
        assert (await shop.view()).freshness == "expired"


async def test_two_customers_share_nothing(autojump_clock):
    async with open_shop() as shop:
        await shop.prime()

        async def compose(deadline):
            return rendered({"whose": "bob"}, owner=BOB)

        served = await shop.cache.view(BOB, KEY, compose)
        assert (served.freshness, served.rendered.owner) == ("live", BOB)
        assert (await shop.view()).rendered.owner == ALICE


async def test_two_views_of_a_customer_are_two(autojump_clock):
    async with open_shop() as shop:
        await shop.view(key="cart")
        assert (await shop.view(key="cart:stock")).freshness == "live"


async def test_what_is_everybodys_is_kept_for_everybody_and_not_where_the_customers_views_are(
    autojump_clock,
):
    async with open_shop() as shop:

        async def compose(deadline):
            shop.service.calls += 1
            return rendered({"products": 1}, owner=None)

        for freshness in ("live", "cached"):
            assert (await shop.cache.view(None, "products", compose)).freshness == freshness
        assert shop.service.calls == 1
        assert len(shop.shelf._kept) == 0


async def test_without_asking_anybody_there_is_what_there_is(autojump_clock):
    async with open_shop() as shop:
        assert await shop.cache.kept(ALICE, KEY) is None
        await shop.prime()
        assert (await shop.cache.kept(ALICE, KEY)).freshness == "cached"
        await until(30.0)
        old = await shop.cache.kept(ALICE, KEY)
        assert (old.freshness, old.forwarded) == ("expired", None)
        await shop.happens()
        assert (await shop.cache.kept(ALICE, KEY)).freshness == "expired"
        await until(600.0)
        assert await shop.cache.kept(ALICE, KEY) is None
        assert shop.service.calls == 1


def entry(view=None, **changes):
    made = rendered({"events": 99} if view is None else view)
    return Entry("", 30.0, made).written(changes.pop("place", PLACE))


POISON = {
    "nothing": lambda: b"",
    "words": lambda: b"<html>",
    "JSON": lambda: b'{"form":1}',
    "half an entry": lambda: entry()[:-20],
    "a flipped byte": lambda: entry().replace(b"99", b"98"),
    "of another form": lambda: entry().replace(b"\x95\x02", b"\x95\x03", 1),
    "of another customer": lambda: entry(place=Place(BOB, KEY)),
    "of another view": lambda: entry(place=Place(ALICE, "order:1")),
    "owned by another": lambda: Entry("", 30.0, rendered({"e": 1}, owner=BOB)).written(PLACE),
    "of no age": lambda: Entry("", 30.0, rendered({"e": 1}, as_of=math.nan)).written(PLACE),
    "not of letters": lambda: entry().replace(b" cart", b" c\xffrt"),
    "deeply nested": lambda: b"\x91" * 100_000,
    "of nothing": lambda: Entry("", 30.0, rendered(None, owner=ALICE)).written(PLACE),
    "of no life": lambda: entry().replace(msgspec.msgpack.encode(30.0), b"\xa430.0"),
}


@pytest.mark.parametrize("poison", POISON)
async def test_a_poisoned_entry_is_a_miss_and_is_replaced(autojump_clock, poison):
    async with open_shop() as shop:
        data = POISON[poison]()
        assert data != entry()
        assert await shop.shelf.keep(ALICE, KEY, "", data, 600.0)
        served = await shop.view()
        assert (served.freshness, served.forwarded, events_in(served)) == ("live", "uri-miss", 0)
        assert (await shop.view()).freshness == "cached"
        assert shop.cache.statistics().poisoned == 1


async def test_a_sound_entry_of_that_making_would_have_been_shown(autojump_clock):
    async with open_shop() as shop:
        await shop.shelf.keep(ALICE, KEY, "", entry(), 600.0)
        assert events_in(await shop.view()) == 99


async def test_an_entry_of_an_older_schema_is_a_miss(autojump_clock, monkeypatch):
    async with open_shop() as shop:
        await shop.prime()
        monkeypatch.setattr(rendering, "SCHEMA", rendering.SCHEMA + 1)
        cache_entries._read.cache_clear()  # no process lives through a new age of its own code
        assert (await shop.view()).freshness == "live"
        assert (await shop.view()).freshness == "cached"
        monkeypatch.setattr(cache_entries, "FORM", cache_entries.FORM + 1)
        cache_entries._read.cache_clear()
        assert (await shop.view()).freshness == "live"


async def test_an_entry_from_the_future_is_not_fresh(autojump_clock):
    async with open_shop() as shop:
        ahead = Entry("", 30.0, rendered({"events": 99}, as_of=clock() + 60.0)).written(PLACE)
        await shop.shelf.keep(ALICE, KEY, "", ahead, 600.0)
        assert (await shop.view()).freshness == "live"


async def test_a_clock_that_is_a_second_ahead_elsewhere_spoils_nothing(autojump_clock):
    async with open_shop() as shop:
        ahead = Entry("", 30.0, rendered({"events": 99}, as_of=clock() + 1.0)).written(PLACE)
        await shop.shelf.keep(ALICE, KEY, "", ahead, 600.0)
        served = await shop.view()
        assert (served.freshness, served.ttl) == ("cached", 30.0)


async def test_a_cancelled_caller_leaves_nothing_behind(autojump_clock):
    async with open_shop(Service(takes=0.5)) as shop:
        with trio.move_on_after(0.1):
            await shop.view()
        await wait_all_tasks_blocked()
        assert shop.service.under_way == 0
        assert shop.cache.statistics().under_way == 0
        assert (await shop.view()).freshness == "live"


async def test_a_bug_in_a_composer_is_the_callers_and_the_cache_goes_on(autojump_clock):
    async with open_shop() as shop:

        async def compose(deadline):
            await trio.lowlevel.checkpoint()
            raise KeyError("bug")

        with pytest.raises(KeyError):
            await shop.cache.view(ALICE, KEY, compose)
        assert (await shop.view()).freshness == "live"


async def test_what_it_counts_can_be_read(autojump_clock):
    shop = Shop()
    metrics = Metrics()
    metrics.read_from(shop.cache.readings)
    await shop.view()
    await shop.view()
    told = metrics.exposition().decode()
    for line in (
        "storefront_cache_hits_total 1.0",
        "storefront_cache_misses_total 1.0",
        "storefront_cache_stored_total 1.0",
        "storefront_cache_entries 1.0",
    ):
        assert line in told
