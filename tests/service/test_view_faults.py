"""What the services do wrong, each in turn and in every way there is, and what the views say then: over real sockets.

The views have their second and the services far more, so that nothing but the view's own deadline ends a question.
Each answer is measured at the browser's end of the wire and may take the deadline and 100 ms. What came later is asked
for again of a shop that has seen nothing yet, with nobody else asking meanwhile: a machine that is busy with something
else is late once, and a deadline that does not hold is late every time. Only in the last try is it excused what the
loop itself was late in that try.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio

from tests.service import turnstile
from tests.service.front import Answer, ask, lateness, open_front
from tests.service.market import ALICE, BOB, open_market
from tests.service.turnstile import Turnstile, response

DEADLINE = 1.0
ALLOWED = DEADLINE + 0.1
# Of a service that fails at once; beyond it the machine has kept the services that do not from answering.
QUICK = 0.8 * DEADLINE
TRIES = 4
# Shops at the same time: two processors have to carry them, and half of their time is waiting.
AT_ONCE = 4
PRIMED_WITHIN = 20
OTHER = "0000dead-0000-4000-8000-000000000000"
HOUR = "retry-after: 3600\r\n"

FAULTS: dict[str, turnstile.Fault] = {
    "an answer after the deadline": turnstile.late(2 * DEADLINE),
    "accepts and never answers": turnstile.never,
    "a reset": turnstile.reset,
    "half a body": turnstile.half_a_body,
    "one byte per 100 ms": turnstile.drip,
    "500": turnstile.says(
        response(b'{"status":500}', status="500 X", kind="application/problem+json")
    ),
    "429, come back in an hour": turnstile.says(response(b"", status="429 X", more=HOUR)),
    "200 with an error page": turnstile.says(
        response(b"<html>Welcome to the proxy</html>", kind="text/html")
    ),
    "50 MB": turnstile.fifty_megabytes,
}
SLOW = {"an answer after the deadline", "accepts and never answers", "one byte per 100 ms"}
REFUSED, SOMEBODY_ELSES = "refused", "somebody else's data"


@dataclass
class Things:
    """What Alice has, and where it is shown."""

    order: str
    checkout: str
    cart: str

    def paths(self, service: str) -> dict[str, str]:
        cart, alias = f"/api/carts/{ALICE}/view", f"/api/storefront/carts/{self.cart}"
        checkout, order = f"/api/checkouts/{self.checkout}/view", f"/api/orders/{self.order}/view"
        products, history = "/api/products?pageSize=2", "/api/orders"
        return {
            "shopping": {"cart": cart, "cart by id": alias},
            "orders": {"checkout": checkout, "order": order, "history": history},
            "catalog": {
                "products": products, "cart": cart, "cart by id": alias, "checkout": checkout,
                "order": f"{order}?include=products",
            },
            "customer_identity": {"checkout": checkout},
            "payments": {"order": order},
            "fulfillment": {"order": order},
            "pricing": {"products": products, "cart": f"{cart}?include=prices"},
            "inventory": {"products": products, "cart": f"{cart}?include=stock"},
        }[service]  # fmt: skip


OWNED = {
    "shopping": {"cart", "cart by id"},
    "orders": {"checkout", "order", "history"},
    "catalog": {"products"},
}
# How a whole view would differ, were it believed. The listing is of whatever Catalog says, and of prices those of
# other products are passed over: neither can be somebody else's.
LIES: dict[str, Callable[[bytes], bytes]] = {
    "shopping": lambda body: body.replace(ALICE.encode(), BOB.encode()),
    "orders": lambda body: body.replace(ALICE.encode(), BOB.encode()),
    "catalog": lambda body: body.replace(b'"sku":"', b'"sku":"NO-'),
    "customer_identity": lambda body: body.replace(
        b'{"id"', f'{{"customerId":"{BOB}","id"'.encode()
    ),
    "payments": lambda body: body.replace(b'"orderId":"', f'"orderId":"{OTHER}","was":"'.encode()),
    "fulfillment": lambda body: body.replace(
        b'"orderId":"', f'"orderId":"{OTHER}","was":"'.encode()
    ),
    "inventory": lambda body: body.replace(b'"sku":"', b'"sku":"NO-'),
}
URLS = {"customer_identity": "identity"}


@asynccontextmanager
async def open_street():
    async with open_market() as market:
        order = await market.place_order(await market.filled_cart(("DOG-BOWL-01", 2)))
        await market.heard(ALICE, "shipment", "Delivered")
        checkout = await market.new_checkout(await market.filled_cart(("DOG-BOWL-01", 2)))
        cart = await market.filled_cart(("DOG-BOWL-01", 2), ("CAT-TOY-05", 1))
        yield market, Things(order, checkout, cart)


@dataclass
class Case:
    """One service doing one thing wrong to one shop after the other."""

    market: object
    things: Things
    service: str
    wrong: str
    late: dict[str, float] = field(default_factory=dict)
    lag: float = 0.0

    def fault(self) -> turnstile.Fault:
        if self.wrong == SOMEBODY_ELSES:
            return turnstile.says_instead(LIES[self.service])
        return FAULTS.get(self.wrong, turnstile.well)

    def shown(self) -> dict[str, str]:
        paths = self.things.paths(self.service)
        if self.wrong == SOMEBODY_ELSES:
            paths.pop("products", None)
        return paths

    async def holds(self, *, at_last: bool = False) -> bool:
        """Whether all that is asked of the views is so: cold, and where they were seen before.

        Raises:
            AssertionError: what was said is wrong, and the machine had time for what is right.
        """
        for asked in (self._cold, self._known_before):
            answers = await asked()
            excused = self.lag if at_last else 0.0
            self.late = {
                n: a.seconds for n, a in answers.items() if a.seconds > self._allowed + excused
            }
            if self.late:
                return False
            try:
                for name, answer in answers.items():
                    self._check(name, answer, known=asked == self._known_before)
            except AssertionError:
                # What is wrong of us is wrong each time.
                if at_last:
                    raise
                self.late = {"wrong": self.lag}
                return False
        return True

    @property
    def _allowed(self) -> float:
        return ALLOWED if self.wrong in SLOW else QUICK

    async def _cold(self) -> dict[str, Answer]:
        """Nothing is known from before: what depends on the service is missing, and is said to be."""
        async with self._shop() as (port, door):
            await self._break(door)
            return await self._ask_all(port, self.shown())

    async def _known_before(self) -> dict[str, Answer]:
        """What was seen before is shown again where the owner fails, and is said to be old."""
        owned = {n: path for n, path in self.shown().items() if n in OWNED.get(self.service, ())}
        if not owned:
            return {}
        async with self._shop(cache_fresh=0.001) as (port, door):
            door.fault = turnstile.well
            await door.open()
            with trio.fail_after(PRIMED_WITHIN):
                # A machine that has no time just now has none for the deadline either: not the question here.
                while {a.status for a in (await self._ask_all(port, owned)).values()} != {200}:
                    pass
            await self._break(door)
            return await self._ask_all(port, owned)

    @asynccontextmanager
    async def _shop(self, **views):
        door = Door(self.market.services[URLS.get(self.service, self.service)], self.fault())
        async with (
            trio.open_nursery() as nursery,
            open_front(
                self.market,
                {f"{self.service}_url": door.address},
                {"view_deadline": DEADLINE} | views,
            ) as (port, _),
        ):
            door.nursery = nursery
            try:
                yield port, door
            finally:
                nursery.cancel_scope.cancel()
                door.give_up()

    async def _break(self, door: Door) -> None:
        door.fault = self.fault()
        if self.wrong == REFUSED:
            await door.close()
        else:
            await door.open()

    async def _ask_all(self, port: int, paths: dict[str, str]) -> dict[str, Answer]:
        token, answers = self.market.token(), {}

        async def one(name: str, path: str) -> None:
            answers[name] = await ask(port, path, token)

        async with lateness() as lag, trio.open_nursery() as nursery:
            for name, path in paths.items():
                nursery.start_soon(one, name, path)
        self.lag = lag.worst
        return answers

    def _check(self, name: str, answer: Answer, *, known: bool) -> None:
        # No event tells whose a checkout is: it is Bob's now, and looks as one that is not there.
        gone = self.wrong == SOMEBODY_ELSES and name == "checkout" and self.service == "orders"
        if name not in OWNED.get(self.service, ()):
            self._check_hole(name, answer)
        elif gone or not known:
            self._check_nothing_to_show(name, answer, 404 if gone else 503)
        else:
            self._check_old(name, answer)

    def _check_old(self, name: str, answer: Answer) -> None:
        told = (self.service, self.wrong, name, answer)
        assert answer.status == 200, told
        assert answer.meta["freshness"] == "expired", told
        assert answer.state(self.service) == "expired", told
        said = answer.meta if name == "history" else answer.json()
        assert said["isStale"] is True, told

    def _check_nothing_to_show(self, name: str, answer: Answer, status: int) -> None:
        told = (self.service, self.wrong, name, answer)
        assert answer.status == status, told
        if status == 503:
            assert answer.json()["type"] == "urn:storefront:problem:not-available", told
            assert 1 <= int(answer.headers["retry-after"]) <= 60, told
        assert answer.headers["content-type"] == "application/problem+json", told
        for inner in (b"127.0.0.1", BOB.encode(), b"Error", self.service.encode()):
            assert inner not in answer.body, told

    def _check_hole(self, name: str, answer: Answer) -> None:
        told = (self.service, self.wrong, name, answer)
        assert answer.status == 200, told
        assert answer.meta["freshness"] == "live", told
        assert answer.meta["complete"] is False, told
        assert answer.state(self.service) == ("timeout" if self.wrong in SLOW else "error"), told
        others = {s["state"] for n, s in answer.meta["sources"].items() if n != self.service}
        assert others <= {"ok", "cached"}, told
        assert BOB.encode() not in answer.body, told


class Door(Turnstile):
    """A turnstile that is opened and closed from outside."""

    nursery: trio.Nursery

    async def open(self) -> None:
        if self._scope is None:
            await self.nursery.start(self.run)


@pytest.mark.parametrize(
    "services",
    [("shopping", "orders", "catalog"), ("customer_identity", "payments", "fulfillment", "pricing", "inventory")],
    ids=["owners", "others"],
)  # fmt: skip
async def test_whatever_a_service_does_each_view_answers_in_time_and_says_what_is_missing_or_old(
    services,
):
    async with open_street() as (market, things):
        places, late = trio.CapacityLimiter(AT_ONCE), []

        async def one(case: Case) -> None:
            async with places:
                if not await case.holds():
                    late.append(case)

        async with trio.open_nursery() as nursery:
            for service in services:
                for wrong in (*FAULTS, REFUSED, *([SOMEBODY_ELSES] if service in LIES else [])):
                    nursery.start_soon(one, Case(market, things, service, wrong))
        for case in late:
            tries = [False] * (TRIES - 1) + [True]
            for last in tries:
                if await case.holds(at_last=last):
                    break
            else:
                raise AssertionError(case.service, case.wrong, case.late)
