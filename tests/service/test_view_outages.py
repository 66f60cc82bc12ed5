"""Services that are away and come back, seen from the views: over real sockets.

Those that own a view are away together, and after them those that fill one in: behind an order that cannot be shown
nobody asks who pays for it. Each has a breaker, a pool and an address of its own, so that the minute of one is no other
one's. Most refuse, as where no process is; some accept and say nothing, as where a machine hangs.

Each view is asked four times a second, three times as support, for whom nothing is kept and nothing shared, and once as
the customer, who is shown what is old. Who comes back takes half a second for each answer, in which twice as many ask
as there are probes.

In `make test` the minute takes 2.4 seconds, and the breaker's pauses are as much shorter. `make outage` takes the
minute (STOREFRONT_TEST_OUTAGE=60) and the breaker's own numbers: open for 5 s give or take a fifth, then for twice
that, up to a minute.
"""

from __future__ import annotations

import itertools
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio

from tests.service import turnstile
from tests.service.front import Answer, Lag, ask, lateness, open_front
from tests.service.market import ALICE, Market, open_market
from tests.service.turnstile import Turnstile

MINUTE = float(os.environ.get("STOREFRONT_TEST_OUTAGE", "2.4"))
SCALE = MINUTE / 60
OPEN, LONGEST, PROBES = 5 * SCALE, 60 * SCALE, 3
# A silent service costs its breaker 20 calls that wait for nothing: 6 s. Where there is no such time, three calls.
CALLS, WINDOW = (20, 10.0) if MINUTE >= 60 else (3, 1.0)
DEADLINE = 1.0
ALLOWED = DEADLINE + 0.1
# Below the deadline: an attempt that is cut off by its view proves nothing, and would open no breaker.
ATTEMPT = 0.8
NUMBERS = {
    "breaker_open": OPEN, "breaker_longest": LONGEST, "breaker_calls": CALLS, "breaker_window": WINDOW,
    "attempt_timeout": ATTEMPT, "enrichment_timeout": ATTEMPT,
}  # fmt: skip
# Nothing is fresh for long, so that each view asks; only what is shown as old comes from before. And however late this
# machine is, it is no overload.
BRIEF = {
    "cache_fresh": 0.001, "prices_fresh": 0.001, "stock_fresh": 0.001, "products_fresh": 0.001,
    "view_deadline": DEADLINE, "query_lag": 60.0,
}  # fmt: skip
EVERY = 0.25
# Every fourth who asks is shown what others have asked for.
BETWEEN = 2 * EVERY
SLOWLY = 0.5
# One question per SKU is under way, and after a failure none for a second, nor is a view with a hole made anew
# (queries/product_cache.py, queries/cache_kept.py).
SHARED = {"pricing": 2.0, "inventory": 2.0}
SILENT = {"orders", "fulfillment"}
OWNERS = ("shopping", "orders", "catalog")
OTHERS = ("customer_identity", "payments", "fulfillment", "pricing", "inventory")
# Who comes and goes is away for longer than a view may take, or its deadline would have nothing to end.
AWAY, THERE = 1.5 * DEADLINE, 0.5
# Seconds by which the loop is late where the machine has no time for good services either.
BUSY = 0.1
# Seconds more than any bound of these tests, for a machine that is busy with something else.
PATIENT = 20


@dataclass
class Look:
    """A view that is looked at all the time."""

    asks: tuple[tuple[str, str], ...]
    seen: list[tuple[float, Answer]] = field(default_factory=list)

    async def look(self, port: int, first: float) -> None:
        async def once(path: str, token: str) -> None:
            began = trio.current_time()
            self.seen.append((began, await ask(port, path, token)))

        await trio.sleep(first)
        async with trio.open_nursery() as nursery:
            for path, token in itertools.cycle(self.asks):
                nursery.start_soon(once, path, token)
                await trio.sleep(EVERY)

    def begun(self, since: float) -> list[Answer]:
        return [answer for at, answer in self.seen if at >= since]


@dataclass
class Watched:
    """A service that goes away, and the view that shows it."""

    service: str
    door: Turnstile
    look: Look
    silent: bool
    back: float = 0.0
    heard: int = 0
    answered: int = 0

    def whole(self, answer: Answer) -> bool:
        return answer.status == 200 and answer.state(self.service) == "ok"

    def honest(self, answer: Answer) -> bool:
        """Whether an answer says that something is missing or old."""
        if answer.status == 503:
            return self.service in OWNERS and 1 <= int(answer.headers["retry-after"]) <= 60
        state = answer.state(self.service)
        missing = state in {"open", "error", "timeout"} and not answer.meta["complete"]
        return answer.status == 200 and (missing or state == "expired")

    async def leave(self, nursery) -> None:
        await self.door.close()
        if self.silent:
            self.door.fault = turnstile.never
            await nursery.start(self.door.run)

    async def come_back(self, nursery, fault: turnstile.Fault = turnstile.well) -> None:
        """From now on it is asked and answered anew."""
        self.door.fault = fault
        self.heard, self.answered = len(self.door.heard), len(self.door.answered)
        await nursery.start(self.door.run)
        self.back = trio.current_time()

    @property
    def came(self) -> list[float]:
        """Seconds after which it was asked, since it is back."""
        return [at - self.back for at in self.door.heard[self.heard :]]

    @property
    def proved(self) -> list[float]:
        """Seconds after which it had answered."""
        return [at - self.back for at in self.door.answered[self.answered :]]


@dataclass
class Street:
    """The shop, its services at their doors, and those who look."""

    watched: list[Watched]
    looks: list[Look]
    port: int
    token: str
    nursery: trio.Nursery
    lag: Lag

    async def counted(self) -> dict[str, dict[str, float]]:
        """What /metrics says of each service: its breaker's openings, and attempts by their end."""
        text = (await ask(self.port, "/metrics", self.token)).body.decode()
        told: dict[str, dict[str, float]] = {one.service: {} for one in self.watched}
        for line in text.splitlines():
            name, _, rest = line.partition("{")
            labels, _, value = rest.rpartition("} ")
            for service, counts in told.items():
                if name.startswith("storefront_downstream_") and f'service="{service}"' in labels:
                    outcome = labels.partition('outcome="')[2].partition('"')[0]
                    name_of_it = name.removeprefix("storefront_downstream_")
                    counts[outcome or name_of_it] = float(value)
        return told

    async def all_leave(self) -> float:
        for one in self.watched:
            await one.leave(self.nursery)
        return trio.current_time()

    async def all_have_opened(self, times: int) -> None:
        with trio.fail_after(PATIENT):
            while any(c["opened_total"] < times for c in (await self.counted()).values()):
                await trio.sleep(0.2)

    async def all_are_gone(self) -> dict[str, dict[str, float]]:
        """Break off with whoever is inside a silent one; then what is counted, each probe of before being over."""
        for one in self.watched:
            await one.door.close()
        return await self.counted()

    async def all_are_used_again(self) -> None:
        """Until every breaker is closed, and every view shown whole."""
        async with trio.open_nursery() as waiting:
            for one in self.watched:
                waiting.start_soon(
                    until, lambda one=one: len(one.proved) >= PROBES, f"used again: {one.service}"
                )
        with trio.fail_after(1.2 * LONGEST + PATIENT):
            while any(counts["closed"] != 1 for counts in (await self.counted()).values()):
                await trio.sleep(0.2)
        for one in self.watched:
            one.door.fault = turnstile.well
        await self.all_are_shown(since=trio.current_time())

    async def all_are_shown(self, since: float) -> None:
        """Until each view was whole."""
        for one in self.watched:
            await until(
                lambda one=one: any(map(one.whole, one.look.begun(since))),
                f"shown whole: {one.service}",
            )

    def latest(self, look: Look) -> float:
        """Seconds beyond the deadline, without those for which nothing ran on this loop."""

        def late(at: float, answer: Answer) -> float:
            stood = self.lag.within(at, at + answer.seconds) if answer.seconds > ALLOWED else 0.0
            return answer.seconds - stood - DEADLINE

        return max(late(at, answer) for at, answer in look.seen)

    def dishonest(self, one: Watched, said: list[tuple[float, Answer]]) -> list[Answer]:
        """Those that do not say what they lack. Of a loop that stood still, who owns the view may have had too little
        time as well: that nothing can be shown is honest then.
        """

        def excused(at: float, answer: Answer) -> bool:
            return answer.status == 503 and self.lag.within(at, at + answer.seconds) >= BUSY

        return [a for at, a in said if not (one.honest(a) or excused(at, a))]

    def check_in_time(self) -> None:
        for look in self.looks:
            assert self.latest(look) <= ALLOWED - DEADLINE, (look.asks[0][0], self.lag)
            assert {answer.status for answer in look.begun(0)} <= {200, 503}


async def until(condition, what: str) -> None:
    with trio.move_on_after(1.2 * LONGEST + PATIENT):
        while not condition():
            await trio.sleep(0.01)
        return
    raise AssertionError(f"never {what}")


async def asks_of(market: Market, services: tuple[str, ...]) -> dict[str, tuple]:
    """What to look at for each of the services."""
    support, alice = market.token(None, ("support",)), market.token()

    def own(path: str) -> tuple:
        return ((path, support),) * 3 + ((path, alice),)

    pages = tuple((f"/api/products?pageSize={size}", alice) for size in range(1, 5))
    cart = await market.filled_cart(("DOG-BOWL-01", 1))
    shown = {"catalog": pages, "pricing": pages, "inventory": pages}
    if "customer_identity" in services:
        shown["customer_identity"] = own(f"/api/checkouts/{await market.new_checkout(cart)}/view")
        cart = await market.filled_cart(("DOG-BOWL-01", 1))
    if "shopping" in services:
        shown["shopping"] = own(f"/api/storefront/carts/{cart}")
        cart = await market.filled_cart(("DOG-BOWL-01", 1))
    order = await market.place_order(cart)
    await market.heard(ALICE, "shipment", "Delivered")
    shown |= dict.fromkeys(("orders", "payments", "fulfillment"), own(f"/api/orders/{order}/view"))
    return {service: shown[service] for service in services}


@asynccontextmanager
async def open_street(services: tuple[str, ...], silent: set[str], **numbers):
    async with (
        open_market(budget=4 * PATIENT + 4 * MINUTE) as market,
        trio.open_nursery() as nursery,
    ):
        asks = await asks_of(market, services)
        looks = {shown: Look(shown) for shown in asks.values()}
        watched: list[Watched] = []
        for service in services:
            name = {"customer_identity": "identity"}.get(service, service)
            door = Turnstile(market.services[name])
            await nursery.start(door.run)
            watched.append(Watched(service, door, looks[asks[service]], service in silent))
        doors = {f"{one.service}_url": one.door.address for one in watched}
        async with (
            open_front(market, NUMBERS | doors | numbers, BRIEF) as (port, _),
            lateness() as lag,
            trio.open_nursery() as looking,
        ):
            for place, look in enumerate(looks.values()):
                looking.start_soon(look.look, port, place * EVERY / len(looks))
            street = Street(watched, [*looks.values()], port, market.token(), nursery, lag)
            try:
                await street.all_are_shown(since=0)
                for (
                    look
                ) in looks.values():  # and each who looks has seen what they will be shown as old
                    await until(lambda look=look: len(look.seen) >= len(look.asks), "looked at")
                yield street
            finally:
                looking.cancel_scope.cancel()
                nursery.cancel_scope.cancel()
                for one in watched:
                    one.door.give_up()


def check_used_again(one: Watched, street: Street, before: dict, after: dict) -> None:
    """Within one open period, and by no more than there are probes until they are answered."""
    opened, first = after["opened_total"], one.came[0]
    period = 1.2 * min(OPEN * 2 ** (opened - 1), LONGEST) if opened else 0.0
    late = BETWEEN + SHARED.get(one.service, 0.0) + street.lag.within(one.back, one.back + first)
    assert first <= period + late, (one.service, first, period, late)
    # A probe whose caller left, or that was under way when the service came back, may be had again.
    again = sum(after[end] - before[end] for end in ("left", "failed", "unconnected"))
    early = len([at for at in one.came if at < one.proved[PROBES - 1]])
    assert before["closed"] == 1 or early <= PROBES + again, (one.service, one.came, one.proved)
    at_once = [len([at for at in one.came if at < start + 1]) for start in (0, first)]
    print(
        f"\n{one.service}: used {first:.2f} s after it was back, of {period:.2f} (opened {opened:.0f} times);"
        f" calls in the first second back {at_once[0]}, of its use {at_once[1]}, until three were answered {early},"
        f" unanswered {again:.0f}; latest answer {1000 * street.latest(one.look):+.0f} ms of the deadline,"
        f" loop late by {1000 * street.lag.worst:.0f} ms at worst"
    )


@pytest.mark.parametrize("services", [OWNERS, OTHERS], ids=["owners", "others"])
async def test_services_are_away_for_a_minute_and_used_again_within_one_open_period(services):
    async with open_street(services, SILENT) as street:
        began = await street.counted()
        away = await street.all_leave()
        await trio.sleep(MINUTE)
        # On a machine that is busy with something else few have asked: it is as long as it takes to be noticed.
        await street.all_have_opened(3 if MINUTE >= 60 else 1)
        before = await street.all_are_gone()
        for one in street.watched:
            slow = turnstile.well if one.service in SHARED else turnstile.late(SLOWLY)
            await one.come_back(street.nursery, slow)
        await street.all_are_used_again()
        after = await street.counted()
    street.check_in_time()
    for one in street.watched:
        # What was under way when it went may still have been whole, for whoever shares it.
        said = [
            (at, answer)
            for at, answer in one.look.seen
            if at >= away + DEADLINE and at + answer.seconds < one.back
        ]
        assert said
        assert street.dishonest(one, said) == [], one.service
        first, last = began[one.service], before[one.service]
        assert last["closed"] == 0, (one.service, last)
        # So many as open it, those who were inside when it did, and then the probes alone.
        asked = sum(last[end] - first[end] for end in ("failed", "unconnected"))
        assert asked <= CALLS + ATTEMPT / EVERY + 8 + PROBES * last["opened_total"], (
            one.service,
            last,
        )
        check_used_again(one, street, last, after[one.service])


async def test_services_that_come_and_go_are_answered_for_in_time():
    """Shopping is silent by turns, and so patiently asked that nothing but the view's deadline ends it."""
    async with open_street(("shopping", "payments"), {"shopping"}, attempt_timeout=10) as street:
        for _ in range(2 if MINUTE < 60 else 15):
            await street.all_leave()
            await trio.sleep(AWAY)
            before = await street.all_are_gone()
            for one in street.watched:
                await one.come_back(street.nursery)
            await trio.sleep(THERE)
        await street.all_are_used_again()
        after = await street.counted()
    street.check_in_time()
    assert after["payments"]["opened_total"] >= 1
    for one in street.watched:
        said = [(at, answer) for at, answer in one.look.seen if not one.whole(answer)]
        assert street.dishonest(one, said) == [], one.service
        check_used_again(one, street, before[one.service], after[one.service])
