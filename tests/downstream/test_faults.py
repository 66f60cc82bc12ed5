"""A service that does what services do, over real sockets: how its callers fare, and how it is found again.

The breaker's numbers are a twentieth of the real ones or less, so that a minute's outage takes two seconds; the
real ones at their exact times stand in test_guard_time.py. How long callers took is held against the deadline plus
what the loop itself was late in those seconds, which on a busy machine is the machine.
"""

from __future__ import annotations

import random
import socket
import struct
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import pytest
import trio

from storefront.domain.ids import CartId, CustomerId, OrderId
from storefront.downstream.breaker import Patience
from storefront.downstream.http import CONNECTIONS, open_http
from storefront.downstream.services import open_services
from storefront.errors import DownstreamError
from storefront.settings import ServicesSettings
from tests.downstream.conftest import Neighbour, guarding, never, response, saying

JSON = b'{"a":1}'
DEADLINE = 0.4
ATTEMPT = 0.15
PATIENCE = Patience(pause=0.25, longest=0.5, window=2, probes=3)
CALLERS = 15
PATIENT = 30
GOOD = saying(response(JSON, extra=""))


# Ways to fail.


async def late(stream) -> None:
    await trio.sleep(2)
    await GOOD(stream)


async def reset(stream) -> None:
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise trio.BrokenResourceError


async def half_a_body(stream) -> None:
    await stream.send_all(response(JSON)[:-3])
    raise trio.BrokenResourceError


async def fifty_megabytes(stream) -> None:
    await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n[")
    for _ in range(50 * 16):
        await stream.send_all(b"0," * 32_768)


def once(said: bytes):
    async def say(stream) -> None:
        await stream.send_all(said)
        raise trio.BrokenResourceError

    return say


FAULTS = {
    "an answer after the deadline": late,
    "accepts and never answers": never,
    "a reset": reset,
    "half a body": half_a_body,
    "one byte per 100 ms": saying(*(bytes([one]) for one in response(JSON)), every=0.1),
    "500": once(response(JSON, status="500 X")),
    "503": once(response(JSON, status="503 X")),
    "429, come back in an hour": once(response(JSON, status="429 X", extra="retry-after: 3600\r\nconnection: close\r\n")),
    "a page": once(response(b"<html>Welcome to the proxy</html>", kind="text/html")),
    "50 MB": fifty_megabytes,
    "refused": None,
}  # fmt: skip


class Switched(Neighbour):
    """A neighbour who can be switched off and on again, at one address."""

    at_once = most_at_once = 0

    async def run(self, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
        listeners = await trio.open_tcp_listeners(self.port, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        self.scope, self.stopped = trio.CancelScope(), trio.Event()
        with self.scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.serve_listeners, self.serve, listeners)
                task_status.started()
        self.stopped.set()

    async def stop(self) -> None:
        self.scope.cancel()
        await self.stopped.wait()


class Callers:
    """People who ask all the time, each with a deadline, and how they fared."""

    def __init__(self, guard, ask) -> None:
        self.guard, self._ask = guard, ask
        self.ends: Counter[str] = Counter()
        self.longest = self.lag = 0.0
        self.well_at: list[float] = []

    async def run(self) -> None:
        while True:
            began = trio.current_time()
            with trio.move_on_after(DEADLINE) as request:
                try:
                    await self.guard.ask(self._ask)
                    self.ends["well"] += 1
                    self.well_at.append(trio.current_time())
                except DownstreamError as exc:
                    self.ends[type(exc).__name__] += 1
            self.ends["late"] += request.cancelled_caught
            self.longest = max(self.longest, trio.current_time() - began)
            await trio.sleep(0.01)

    async def watch_the_loop(self) -> None:
        while True:
            began = trio.current_time()
            await trio.sleep(0.005)
            self.lag = max(self.lag, trio.current_time() - began - 0.005)

    async def until(self, condition) -> float:
        began = trio.current_time()
        with trio.fail_after(PATIENT):
            while not condition():
                await trio.sleep(0.001)
        return trio.current_time() - began

    @property
    def state(self) -> str:
        return self.guard.statistics().state

    def in_time(self) -> bool:
        return self.longest <= DEADLINE + 0.1 + self.lag


@asynccontextmanager
async def asked(patience: Patience = PATIENCE):
    async with trio.open_nursery() as nursery:
        there = Switched(0, GOOD, stays=True)
        await nursery.start(there.run)
        chance = random.Random(3).uniform
        guard = guarding("shopping", uniform=chance, budget=5, attempt=ATTEMPT, patience=patience)
        async with open_http("shopping", there.url, connect_timeout=ATTEMPT) as service:
            callers = Callers(guard, partial(service.get_json, "api", "x"))
            async with trio.open_nursery() as asking:
                asking.start_soon(callers.watch_the_loop)
                for _ in range(CALLERS):
                    asking.start_soon(callers.run)
                await callers.until(lambda: callers.ends["well"] >= 50)
                yield nursery, there, callers
                asking.cancel_scope.cancel()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
async def test_whatever_it_does_its_callers_are_in_time_and_it_is_found_again(fault):
    async with asked() as (nursery, there, callers):
        if fault is None:
            await there.stop()
        else:
            there.answer = fault
        # It is left alone, tried, and left alone for longer.
        await callers.until(lambda: callers.guard.statistics().opened >= 2)
        await callers.until(lambda: callers.state == "open")
        heard = len(there.heard)
        if fault is None:
            await nursery.start(there.run)
        there.answer = GOOD
        left_alone = callers.guard._breaker.retry_in(trio.current_time())
        before = callers.lag
        took = await callers.until(lambda: callers.state == "closed")
        assert took <= left_alone + 0.3 + 10 * max(before, callers.lag)
        # Those who tried it, and whoever asked between its closing and our looking.
        assert len(there.heard) - heard <= PATIENCE.probes + CALLERS
        well = callers.ends["well"]
        await callers.until(lambda: callers.ends["well"] > well + 50)
    assert callers.in_time(), (callers.longest, callers.lag)
    assert there.opened <= len(there.heard) + CONNECTIONS * 3


async def test_nobody_asks_while_it_is_open_and_three_when_it_is_tried():
    async with asked(Patience(pause=1, longest=1, probes=3)) as (_, there, callers):
        there.answer = once(response(JSON, status="500 X"))
        await callers.until(lambda: callers.state == "open")
        # Whoever was on the way when it opened has arrived by then.
        await callers.until(lambda: callers.guard.statistics().in_flight == 0)
        heard, refused = len(there.heard), callers.guard.statistics().refused
        there.answer = never
        await callers.until(lambda: callers.guard.statistics().refused > refused + 50)
        assert len(there.heard) == heard
        await callers.until(lambda: callers.guard.statistics().opened == 2)
        assert len(there.heard) == heard + 3


async def test_a_service_that_flaps_is_asked_by_few_and_answered_for_in_time():
    at_once = most = 0

    async def counted(stream, answer) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        try:
            await answer(stream)
        finally:
            at_once -= 1

    # It says no faster than yes or slower, as the machine has it: an eighth of refusals is enough here.
    sensitive = Patience(share=0.125, pause=0.25, longest=0.5, window=2)
    async with asked(sensitive) as (_, there, callers):
        with trio.move_on_after(2.5):
            while True:
                there.answer = partial(counted, answer=once(response(JSON, status="500 X")))
                await trio.sleep(0.25)
                there.answer = partial(counted, answer=GOOD)
                await trio.sleep(0.25)
        there.answer = GOOD
        await callers.until(lambda: callers.state == "closed")
        well = callers.ends["well"]
        await callers.until(lambda: callers.ends["well"] > well + 50)
    assert callers.in_time(), (callers.longest, callers.lag)
    assert callers.guard.statistics().opened >= 1
    assert most <= CONNECTIONS


# Each of the services away for a minute, on a scale of 1 to 30.

SCALE = 30
CART = CartId("019c5dd6-29d2-7fb9-9d90-cf760997d1c0")
ORDER = OrderId("019c5dd7-29d2-7fb9-9d90-cf760997d1c1")
ALICE = CustomerId("11111111-1111-1111-1111-111111111111")
PLACED = f'"orderId":"{ORDER}","customerId":"{ALICE}","lineItems":[],"totalAmount":1,"status":"Placed","placedAt":"2026-02-17T22:00:00+00:00"'
QUESTIONS = {
    "shopping": (lambda all_: all_.shopping.cart(CART), f'{{"cartId":"{CART}","items":[]}}'),
    "orders": (lambda all_: all_.orders.order(ORDER), f"{{{PLACED}}}"),
    "catalog": (lambda all_: all_.catalog.product("A"), '{"sku":"A","name":"a"}'),
    "customer_identity": (lambda all_: all_.identity.addresses(ALICE), "[]"),
    "payments": (lambda all_: all_.payments.of_order(ORDER), "[]"),
    "fulfillment": (lambda all_: all_.fulfillment.shipments(ORDER), "[]"),
    "pricing": (lambda all_: all_.pricing.prices(["A"]), "[]"),
    "inventory": (lambda all_: all_.inventory.stock("A"), '{"sku":"A","totalAvailable":0}'),
}


async def test_each_service_is_away_for_a_minute_and_asked_again_within_one_period():
    async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
        stack.callback(nursery.cancel_scope.cancel)
        there = {
            name: Switched(0, saying(response(body.encode(), extra="")), stays=True)
            for name, (_, body) in QUESTIONS.items()
        }
        for service in there.values():
            await nursery.start(service.run)
        settings = ServicesSettings(
            **{f"{name}_url": one.url for name, one in there.items()},
            breaker_open=5 / SCALE, breaker_longest=60 / SCALE, breaker_window=10 / SCALE,
            connect_timeout=10, attempt_timeout=10, enrichment_timeout=10,
        )  # fmt: skip
        services = await stack.enter_async_context(
            open_services(settings, uniform=random.Random(5).uniform)
        )
        asking = await stack.enter_async_context(trio.open_nursery())
        callers = {}
        for name, (ask, _) in QUESTIONS.items():
            # The client's own guard stands within; this one only keeps the books of its callers.
            callers[name] = Callers(services.guards[name], None)
            callers[name].guard = Through(services.guards[name], partial(ask, services))
            asking.start_soon(callers[name].run)
            asking.start_soon(callers[name].watch_the_loop)
        for one in callers.values():
            await one.until(lambda one=one: one.ends["well"] >= 3)
        for service in there.values():
            await service.stop()
        away = trio.current_time()
        await trio.sleep(60 / SCALE)
        for service in there.values():
            await nursery.start(service.run)
        back = trio.current_time()
        for name, one in callers.items():
            now = services.guards[name].statistics()
            # Opened at once, and tried after 5, 15 and 35 s of the minute, by three at most.
            assert 2 <= now.opened <= 6
            assert now.outcomes["unconnected"] <= 5 + 3 * now.opened + now.retries
            assert not [moment for moment in one.well_at if away + 0.5 < moment < back]
        due = {n: g._breaker.retry_in(back) for n, g in services.guards.items()}
        for name, one in callers.items():
            await one.until(lambda one=one: one.state == "closed")
            first = min(moment for moment in one.well_at if moment > back)
            assert first - back <= due[name] + 0.5 + 10 * one.lag, name
        asking.cancel_scope.cancel()


class Through:
    """What `Callers` ask through, where the client brings its guard along."""

    def __init__(self, guard, question) -> None:
        self._guard, self._question = guard, question

    async def ask(self, _ask) -> None:
        await self._question()

    def statistics(self):
        return self._guard.statistics()
