"""Ten thousand callers who leave, over real sockets, wherever they happen to be. Nothing of theirs stays behind.

A caller is made to leave a moment after it has come to a phase, so that each phase sees thousands. What the phases
are is httpcore's own word: connecting until the first byte of the request is sent, reading from then on.
"""

from __future__ import annotations

import random
from collections import Counter
from contextvars import ContextVar

import pytest
import trio

from storefront.downstream import http
from storefront.downstream.connecting import Connecting
from storefront.downstream.http import open_http
from tests.downstream.conftest import guarding, response

LEAVING = 10_000
WORKERS = 60
PATIENT = 30
CONNECTING = "connection.connect_tcp.started"
CONNECTED = "connection.connect_tcp.complete"
SENT = "http11.send_request_headers.started"
# Seconds a caller stays on, at most, once it has come to where it is to leave.
STAYS = {"waiting": 0.004, "connecting": 0.002, "reading": 0.02}
KINDS = ("waiting", "waiting", "connecting", "connecting", "connected", "reading", "reading")


class Leaver:
    """One caller: where it is, and when it leaves."""

    def __init__(self, chance: random.Random, kind: str) -> None:
        self.scope = trio.CancelScope()
        self.phase = "waiting"
        self._chance, self.kind = chance, kind
        self.reach("waiting")

    def reach(self, phase: str) -> None:
        self.phase = phase
        if phase == self.kind:
            # Every fourth at once: the very next checkpoint is a place to leave too.
            stays = self._chance.choice((0, 1, 1, 1)) * self._chance.uniform(0, STAYS[phase])
            self.scope.deadline = trio.current_time() + stays


LEAVER: ContextVar[Leaver | None] = ContextVar("LEAVER", default=None)


class Watched(Connecting):
    async def trace(self, event, info):
        await super().trace(event, info)
        if leaver := LEAVER.get():
            if event == CONNECTING:
                leaver.reach("connecting")
            elif event == CONNECTED and leaver.kind == "connected":
                # Where a deadline lands once in thousands: between the connection and its first use.
                leaver.scope.cancel()
            elif event == SENT:
                leaver.reach("reading")


@pytest.fixture
def watched(monkeypatch):
    monkeypatch.setattr(http, "Connecting", Watched)


def answering(chance: random.Random, quickest: float = 0.005, slowest: float = 0.2):
    """Answers in 5 to 200 ms, its head before its body; every other connection is not used again."""
    whole = response(b'{"a":1}', extra=""), response(b'{"a":1}')

    async def answer(stream) -> None:
        said = chance.choice(whole)
        takes = chance.uniform(quickest, slowest) / 2
        await trio.sleep(takes)
        await stream.send_all(said[:40])
        await trio.sleep(takes)
        await stream.send_all(said[40:])

    return answer


def of_pool(service) -> list[str]:
    """The state of every connection that holds a place in httpcore's pool, other than ready for use."""
    connections = service._client._transport._pool.connections
    return [repr(one) for one in connections if not (one.is_idle() or one.is_closed())]


async def a_hundred(guard, service) -> float:
    began = trio.current_time()
    for _ in range(100):
        assert await guard.ask(service.get_json, "api", "x") == b'{"a":1}'
    return trio.current_time() - began


async def test_ten_thousand_callers_leave_and_nothing_of_theirs_stays(there, watched):
    chance = random.Random(7)
    guard = guarding("shopping", budget=PATIENT)
    left: Counter[str] = Counter()
    there.stays = True
    await trio.testing.wait_all_tasks_blocked()
    tasks = trio.lowlevel.current_statistics().tasks_living

    async def come_and_go() -> None:
        while left.total() < LEAVING:
            leaver = Leaver(chance, chance.choice(KINDS))
            LEAVER.set(leaver)
            with leaver.scope:
                await guard.ask(service.get_json, "api", "x")
            if leaver.scope.cancelled_caught:
                left[leaver.phase] += 1

    async with open_http("shopping", there.url, connect_timeout=PATIENT) as service:
        there.answer = answering(chance, 0.01, 0.01)
        baseline = await a_hundred(guard, service)
        there.answer = answering(chance)
        async with trio.open_nursery() as nursery:
            for _ in range(WORKERS):
                nursery.start_soon(come_and_go)

        assert left.total() >= LEAVING
        assert min(left[phase] for phase in STAYS) >= 1_000, left
        now = guard.statistics()
        assert (now.in_flight, now.waiting, now.state, now.opened) == (0, 0, "closed", 0)
        # At a connection that is used again some leave with their place, and before the first byte is sent.
        assert now.outcomes["left"] >= left["connecting"] + left["reading"]
        assert now.outcomes["failed"] == now.outcomes["unconnected"] == 0
        assert of_pool(service) == []
        there.answer = answering(chance, 0.01, 0.01)
        assert await a_hundred(guard, service) <= 2 * baseline

    with trio.fail_after(PATIENT):
        while there.open or trio.lowlevel.current_statistics().tasks_living > tasks:
            await trio.sleep(0.01)
