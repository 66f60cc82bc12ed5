"""Too much to do: queries give way, and streams, pings and health do not notice."""

from __future__ import annotations

import itertools
import time
from contextlib import asynccontextmanager
from statistics import median

import msgspec
import pytest
import trio
from quart import Blueprint

from storefront.back_office import Ports, run_back_office
from storefront.domain.ids import CustomerId
from storefront.errors import DownstreamError
from storefront.messaging.memory import MemoryBroker
from storefront.queries.cache_entries import Entry, Place
from storefront.queries.memory_shelf import MemoryShelf
from storefront.queries.parts import Composed, Source
from storefront.queries.rendering import Rendered, Served, render
from storefront.settings import StreamSettings, ViewSettings
from storefront.store.memory import MemoryStore
from storefront.web.auth import mint
from storefront.web.loop_lag import EVERY, LoopLag
from storefront.web.rates import Rates
from storefront.web.shedding import Shedding
from tests.service.browsers import open_tab
from tests.service.conftest import ALICE, BOB, SETTINGS, wall_clock

CART = f"/api/carts/{ALICE}/view"
PAGE = "http://localhost:5238"
OVERLOADED = "urn:storefront:problem:overloaded"


async def ask(app, token, path=CART, **headers):
    given = {"Authorization": f"Bearer {token}", **headers}
    return await app.test_client().get(path, headers=given)


async def measured(app) -> dict[str, float]:
    told = await (await app.test_client().get("/metrics")).get_data(as_text=True)
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in told.splitlines())
        if name.startswith(("storefront_loop", "storefront_queries"))
    }


def block(clock, seconds: float) -> None:
    """As if the loop had been busy with one thing: the clock moves, and nobody was woken."""
    clock.jump(seconds)


async def test_while_the_loop_is_late_queries_are_shed_and_all_else_is_answered(
    world, autojump_clock
):
    async with open_tab(world.app, world.token()) as tab:
        opened = trio.current_time()
        await measured(world.app)  # from here on somebody wants to know
        await trio.testing.wait_all_tasks_blocked()
        block(autojump_clock, 5)
        await trio.testing.wait_all_tasks_blocked()
        answer = await ask(world.app, world.token(), Origin=PAGE)
        assert answer.status_code == 503
        assert answer.headers["Content-Type"] == "application/problem+json"
        told = await answer.get_json()
        assert (told["type"], told["status"]) == (OVERLOADED, 503)
        assert answer.headers["Retry-After"] == "3"
        assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"].split(", ")
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        for path in ("/health/live", "/openapi.json"):
            assert (await ask(world.app, world.token(), path)).status_code == 200
        async with open_tab(world.app, world.token()) as second:
            assert second.controls("stream")
        now = await measured(world.app)
        assert now["storefront_loop_lag_seconds"] > 1
        assert now['storefront_queries_shed_total{reason="lag"}'] == 1
        assert now["storefront_queries_refused_total"] == 1
        await world.add_item()
        await trio.testing.wait_all_tasks_blocked()
        assert [event["itemCount"] for event in tab.events] == [1]
        await trio.sleep_until(opened + 61)
        assert [at - opened for at in tab.times_of(":ping")] == [30, 60]
    assert (await measured(world.app))["storefront_loop_lag_seconds"] == pytest.approx(0, abs=1e-9)


# What lies in the real cache, behind the real gate.

AGES = {"fresh": ("cached", 5.0), "past its freshness": ("expired", 200.0)}


class SlowForBob(MemoryStore):
    """Does not say where Bob is in the log, so that his view takes a place for a while."""

    async def position(self, customer, *, now):
        if customer == BOB:
            await trio.sleep_forever()
        return await super().position(customer, now=now)


@asynccontextmanager
async def late_loop(_app, clock, _token):
    await trio.testing.wait_all_tasks_blocked()
    block(clock, 5)
    await trio.testing.wait_all_tasks_blocked()
    yield


@asynccontextmanager
async def all_places_taken(app, _clock, bobs):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, app, bobs, f"/api/carts/{BOB}/view")
        await trio.testing.wait_all_tasks_blocked()
        yield
        nursery.cancel_scope.cancel()


async def with_a_view_kept(nursery, settings, age):
    """The shop, in whose cache there is Alice's cart, read so long ago."""
    store = SlowForBob(
        window=300.0, kept_ids=200, token=(f"e{n}" for n in itertools.count()).__next__
    )
    shelf = MemoryShelf(store, most=1_000_000)
    began = trio.current_time()
    sources = {"shopping": Source("ok", began)}
    view = Composed(view={"cartId": None}, owner=CustomerId(ALICE), sources=sources)
    rendered = render(view, began=began, as_of=wall_clock() - age, position=None)
    place = Place(CustomerId(ALICE), "cart")
    entry = Entry("", 100.0, rendered).written(place)
    assert await shelf.keep(place.customer, place.key, "", entry, 600.0) == "kept"
    opened = await opened_shop(nursery, settings, clock=wall_clock, store=store, shelf=shelf)
    return opened.app


@pytest.mark.parametrize("age", AGES)
@pytest.mark.parametrize("reason", ["lag", "limit"])
async def test_a_shed_query_gets_what_is_kept_or_503_and_pings_are_on_time(
    nursery, autojump_clock, reason, age
):
    too_much = {"lag": late_loop, "limit": all_places_taken}[reason]
    freshness, seconds = AGES[age]
    settings = msgspec.structs.replace(SETTINGS, views=ViewSettings(max_queries=1))
    app = await with_a_view_kept(nursery, settings, seconds)
    alices, bobs = (token(settings, customer) for customer in (ALICE, BOB))
    async with open_tab(app, alices) as tab:
        opened = trio.current_time()
        await trio.sleep(29.9 - (5 if reason == "lag" else 0))
        await measured(app)
        async with too_much(app, autojump_clock, bobs):
            answer = await ask(app, alices)
            view = await answer.get_json()
            assert (answer.status_code, view["cartId"]) == (200, None)
            assert (view["isStale"], view["meta"]["freshness"]) == (True, freshness)
            refused = await ask(app, alices, f"/api/orders?customerId={ALICE}")
            assert refused.status_code == 503
            assert (await refused.get_json())["type"] == OVERLOADED
            assert 1 <= int(refused.headers["Retry-After"]) <= 5
            await trio.sleep_until(opened + 30.05)
            assert [at - opened for at in tab.times_of(":ping")] == [pytest.approx(30)]
        counted = await measured(app)
        # What is fresh needs no place.
        spared = reason == "limit" and freshness == "cached"
        assert counted[f'storefront_queries_shed_total{{reason="{reason}"}}'] == 2 - spared
        assert counted["storefront_queries_refused_total"] == 1
    nursery.cancel_scope.cancel()


async def test_who_asks_too_often_is_told_when_to_come_back_and_hears_on(nursery, autojump_clock):
    settings = msgspec.structs.replace(SETTINGS, views=ViewSettings(query_rate=1))
    app = (await opened_shop(nursery, settings, clock=wall_clock)).app
    mine, bobs = (token(settings, customer) for customer in (ALICE, BOB))
    # Refused without asking anybody, and counted all the same.
    history = "/api/orders?customerId=33333333-3333-3333-3333-333333333333"
    assert [(await ask(app, mine, history)).status_code for _ in range(10)] == [403] * 10
    answer = await ask(app, mine, history, Origin=PAGE)
    assert answer.status_code == 429
    assert (await answer.get_json())["type"] == "urn:storefront:problem:too-many-requests"
    assert answer.headers["Retry-After"] == "1"
    assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"].split(", ")
    command = await app.test_client().post(
        "/api/storefront/carts/initialize", headers={"Authorization": f"Bearer {mine}"}, json={}
    )
    assert command.status_code == 429
    assert (await ask(app, bobs, history)).status_code == 403
    async with open_tab(app, mine) as tab:
        assert tab.controls("stream")
    assert (await measured(app))['storefront_queries_shed_total{reason="rate"}'] == 2
    await trio.sleep(1)
    assert (await ask(app, mine, history)).status_code == 403


async def opened_shop(nursery, settings, *, clock, pages=(), store=None, shelf=None):
    store = store or MemoryStore(
        window=300.0, kept_ids=200, token=(f"e{n}" for n in itertools.count()).__next__
    )
    broker = MemoryBroker()
    nursery.start_soon(broker.run)
    ports = Ports(store=store, broker=broker, clock=clock, pages=pages, shelf=shelf)
    return await nursery.start(run_back_office, settings, ports)


def token(settings, customer, now=None) -> str:
    return mint(settings.auth, customer=customer, now=now or wall_clock(), lifetime=3600.0)


async def test_after_the_loop_was_blocked_queries_are_shed_and_pings_are_on_time(
    nursery, autojump_clock
):
    page = Blueprint("burning", __name__)

    @page.get("/burn")
    async def burning() -> str:
        block(autojump_clock, 1.7)
        return ""

    beat = 0.5
    settings = msgspec.structs.replace(SETTINGS, streams=StreamSettings(heartbeat=beat))
    app = (await opened_shop(nursery, settings, clock=wall_clock, pages=[page])).app
    mine = token(settings, ALICE)
    async with open_tab(app, mine) as tab:
        opened = trio.current_time()
        await measured(app)  # from here on somebody wants to know
        await trio.testing.wait_all_tasks_blocked()
        await ask(app, mine, "/burn")
        # The sampler is woken in the same round as whoever came meanwhile; from the next on it is known.
        await trio.sleep(EVERY / 2)
        answer = await ask(app, mine)
        assert answer.status_code == 503
        assert (await answer.get_json())["type"] == OVERLOADED
        assert (await ask(app, mine, "/health/live")).status_code == 200
        assert (await measured(app))["storefront_loop_lag_seconds"] > 0.1
        await trio.sleep_until(opened + 3.6)
        # Late are those that were due meanwhile; the others come when they would have come anyway.
        pings = [at - opened for at in tab.times_of(":ping")]
        assert [at for at in pings if at > 1.7] == pytest.approx([2, 2.5, 3, 3.5])
        assert (await ask(app, mine)).status_code == 200
    nursery.cancel_scope.cancel()


# On the real clock.


def burn(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


class Direct:
    async def view(self, _customer, _key, compose) -> Served:
        return Served(rendered=await compose(0))


async def lateness(most: int) -> float:
    """The median seconds by which a beat is late while forty callers ask all the time."""
    gate = Shedding(LoopLag(1000), Rates(1), most=most, uniform=min).keeper(Direct())
    late: list[float] = []

    async def compose(_deadline) -> Rendered:
        for _ in range(10):
            burn(0.001)
            await trio.lowlevel.checkpoint()
        return Rendered(1, b"{}", "e", {}, None, 0.0, None)

    async def caller() -> None:
        while True:
            try:
                await gate.view(None, "products", compose)
            except DownstreamError:
                await trio.sleep(0.1)

    with trio.move_on_after(1):
        async with trio.open_nursery() as callers:
            for _ in range(40):
                callers.start_soon(caller)
            while True:
                due = trio.current_time() + 0.01
                await trio.sleep_until(due)
                late.append(trio.current_time() - due)
    return median(late)


async def test_the_limit_keeps_beats_on_time_under_more_queries_than_the_loop_can_carry():
    unlimited, limited = await lateness(1000), await lateness(3)
    assert limited < unlimited / 3
