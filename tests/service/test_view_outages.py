"""A service that is away and comes back, seen from a view: over real sockets, each service away from a shop of its own.

In `make test` the minute takes six seconds, and the breaker's pauses are as much shorter. With
STOREFRONT_TEST_OUTAGE=60 it is a minute and the breaker's own numbers: open for 5 s give or take a fifth, then for
twice that, up to a minute.
"""

from __future__ import annotations

import os
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import trio

from tests.service.front import Answer, ask, lateness, open_front
from tests.service.market import ALICE, Market, open_market
from tests.service.turnstile import Turnstile

MINUTE = float(os.environ.get("STOREFRONT_TEST_OUTAGE", "6"))
SCALE = MINUTE / 60
OPEN, LONGEST, WINDOW, PROBES = 5 * SCALE, 60 * SCALE, 10 * SCALE, 3
BREAKER = {"breaker_open": OPEN, "breaker_longest": LONGEST, "breaker_window": WINDOW}
DEADLINE = 1.0
# So many ask at the same moment, so often: who comes back is not asked by one and then the next. Eight shops and
# eight services share this process, and more than that would be a test of the machine.
AT_ONCE, EVERY = 4, 1.5
# Of a price that failed nobody asks for a second where an old one is at hand (queries/product_cache.py).
LEFT_ALONE = 1.0
PATIENT = 60
SERVICES = (
    "shopping", "orders", "catalog", "customer_identity", "payments", "fulfillment", "pricing", "inventory",
)  # fmt: skip
OWNERS = {"shopping", "orders", "catalog"}
# Nothing is fresh for long, so that each view asks; only what is shown as old comes from before.
BRIEF = {"cache_fresh": 0.001, "prices_fresh": 0.001, "stock_fresh": 0.001, "products_fresh": 0.001}


@dataclass
class Watched:
    """One shop, the service that fails it, and those who look at a view of it all the time."""

    market: Market
    service: str
    path: str
    token: str
    door: Turnstile
    port: int
    seen: list[tuple[float, Answer]] = field(default_factory=list)

    async def look(self, first: float) -> None:
        """As support, where a thing has an id: nothing is kept for them, and nothing is shared."""
        await trio.sleep(first)

        async def once() -> None:
            began = trio.current_time()
            self.seen.append((began, await ask(self.port, self.path, self.token)))

        async with trio.open_nursery() as nursery:
            while True:
                for _ in range(AT_ONCE):
                    nursery.start_soon(once)
                await trio.sleep(EVERY)

    async def count(self, name: str, **labels: str) -> float:
        """What /metrics says of the service."""
        text = (await ask(self.port, "/metrics", self.token)).body.decode()
        wanted = {
            f'{label}="{value}"' for label, value in (labels | {"service": self.service}).items()
        }
        for line in text.splitlines():
            said, _, value = line.rpartition(" ")
            if said.startswith(f"{name}{{") and all(each in said for each in wanted):
                return float(value)
        raise LookupError(name)

    async def closed(self) -> bool:
        return await self.count("storefront_downstream_closed") == 1

    def whole(self, answer: Answer) -> bool:
        return (
            answer.status == 200 and answer.state(self.service) == "ok" and answer.meta["complete"]
        )

    def honest(self, answer: Answer) -> bool:
        """Whether an answer of the outage says that something is missing or old."""
        if answer.status == 503:
            return self.service in OWNERS and 1 <= int(answer.headers["retry-after"]) <= 60
        state = answer.state(self.service)
        missing = state in {"open", "error", "timeout"} and not answer.meta["complete"]
        return answer.status == 200 and (missing or state == "expired")

    def of(self, began: float, until: float) -> list[Answer]:
        return [answer for at, answer in self.seen if began <= at < until]


@asynccontextmanager
async def open_street(services: tuple[str, ...]):
    async with open_market(budget=PATIENT + 5 * MINUTE) as market, AsyncExitStack() as stack:
        order = await market.place_order(await market.filled_cart(("DOG-BOWL-01", 1)))
        await market.heard(ALICE, "shipment", "Delivered")
        checkout = await market.new_checkout(await market.filled_cart(("DOG-BOWL-01", 1)))
        cart = await market.filled_cart(("DOG-BOWL-01", 1))
        by_id = f"/api/storefront/carts/{cart}"
        paths = {
            "shopping": by_id, "orders": f"/api/orders/{order}/view", "catalog": "/api/products?pageSize=1",
            "customer_identity": f"/api/checkouts/{checkout}/view", "payments": f"/api/orders/{order}/view",
            "fulfillment": f"/api/orders/{order}/view", "pricing": f"{by_id}?include=prices",
            "inventory": f"{by_id}?include=stock",
        }  # fmt: skip
        support = market.token(None, ("support",))
        nursery = await stack.enter_async_context(trio.open_nursery())
        watched = []
        for service in services:
            door = Turnstile(
                market.services[{"customer_identity": "identity"}.get(service, service)]
            )
            await nursery.start(door.run)
            port, _ = await stack.enter_async_context(
                open_front(market, BREAKER | {f"{service}_url": door.address}, BRIEF)
            )
            watched.append(Watched(market, service, paths[service], support, door, port))
        lag = await stack.enter_async_context(lateness())
        looking = await stack.enter_async_context(trio.open_nursery())
        for place, one in enumerate(watched):
            looking.start_soon(one.look, place * EVERY / len(watched))
        await until(
            lambda: all(any(one.whole(answer) for _, answer in one.seen) for one in watched)
        )
        yield nursery, watched, lag
        looking.cancel_scope.cancel()
        nursery.cancel_scope.cancel()


async def until(condition) -> None:
    with trio.fail_after(PATIENT):
        while not condition():
            await trio.sleep(0.01)


async def until_closed(one: Watched) -> None:
    with trio.fail_after(PATIENT + LONGEST * 1.2):
        while not await one.closed():
            await trio.sleep(0.1)


async def test_each_service_is_away_for_a_minute_and_used_again_within_one_open_period():
    opened, tried, heard = {}, {}, {}
    async with open_street(SERVICES) as (nursery, watched, lag):
        for one in watched:
            await one.door.close()
        away = trio.current_time()
        await trio.sleep(MINUTE)
        for one in watched:
            opened[one.service] = await one.count("storefront_downstream_opened_total")
            tried[one.service] = await one.count(
                "storefront_downstream_attempts_total", outcome="unconnected"
            ) - await one.count("storefront_downstream_retries_total")
            heard[one.service] = len(one.door.heard)
        for one in watched:
            await nursery.start(one.door.run)
        back = trio.current_time()
        async with trio.open_nursery() as waiting:
            for one in watched:
                waiting.start_soon(until_closed, one)
        now = trio.current_time()
        await until(lambda: all(any(map(one.whole, one.of(now, now + PATIENT))) for one in watched))
    for one in watched:
        # It opened at once, and was tried after 5, 15 and 35 s of the minute, by three at most.
        assert 2 <= opened[one.service] <= 5, (one.service, opened)
        assert tried[one.service] <= 5 + AT_ONCE + PROBES * opened[one.service], (
            one.service,
            tried,
        )
        came = [at - back for at in one.door.heard[heard[one.service] :]]
        longest = min(OPEN * 2 ** (opened[one.service] - 1), LONGEST) * 1.2
        late = EVERY + LEFT_ALONE + 10 * lag.worst
        assert came[0] <= longest + late, (one.service, came[0], longest)
        # No stampede: the fourth is let in when the third has been answered.
        third = one.door.answered[-len(came) :][PROBES - 1] - back
        assert len([at for at in came if at < third]) <= PROBES, (one.service, came)
        said = one.of(away, back - DEADLINE)
        assert len(said) >= AT_ONCE
        assert [answer for answer in said if not one.honest(answer)] == [], one.service
        slowest = max(answer.seconds for _, answer in one.seen)
        assert slowest <= DEADLINE + 0.1 + lag.worst, (one.service, slowest, lag)
        assert {answer.status for _, answer in one.seen} <= {200, 503}


async def test_services_that_come_and_go_every_second_are_answered_for_in_time():
    async with open_street(("shopping", "payments")) as (nursery, watched, lag):
        for _ in range(max(2, round(10 * SCALE))):
            for one in watched:
                await one.door.close()
            await trio.sleep(1)
            for one in watched:
                await nursery.start(one.door.run)
            await trio.sleep(1)
        async with trio.open_nursery() as waiting:
            for one in watched:
                waiting.start_soon(until_closed, one)
        now = trio.current_time()
        await until(lambda: all(any(map(one.whole, one.of(now, now + PATIENT))) for one in watched))
        opened = [await one.count("storefront_downstream_opened_total") for one in watched]
    assert min(opened) >= 1
    for one in watched:
        assert [a for _, a in one.seen if not (one.whole(a) or one.honest(a))] == [], one.service
        assert max(a.seconds for _, a in one.seen) <= DEADLINE + 0.1 + lag.worst, (one.service, lag)
