"""The deadline and the limiter around a question, on virtual time; and that neither leaks on real sockets."""

from __future__ import annotations

import contextlib
import random

import pytest
import trio

from storefront.downstream.breaker import Patience
from storefront.downstream.http import CONNECTIONS, open_http
from storefront.errors import (
    DownstreamError,
    DownstreamNonsenseError,
    DownstreamTimeoutError,
    DownstreamUnavailableError,
)
from tests.downstream.conftest import guarding, response, saying


async def test_an_answer_is_handed_on_as_it_is(autojump_clock):
    async def ask(*args: object) -> tuple[object, ...]:
        await trio.sleep(0.1)
        return args

    assert await guarding("catalog", budget=0.5).ask(ask, 1, "two") == (1, "two")
    assert trio.current_time() == 0.1


async def test_a_question_ends_exactly_at_its_budget(autojump_clock):
    with pytest.raises(DownstreamTimeoutError) as caught:
        await guarding("catalog", budget=0.5).ask(trio.sleep_forever)
    assert trio.current_time() == 0.5
    assert caught.value.service == "catalog"
    assert str(caught.value) == "catalog: no answer in time"


async def test_an_answer_just_before_the_budget_counts(autojump_clock):
    await guarding("catalog", budget=0.5).ask(trio.sleep, 0.499)
    with pytest.raises(DownstreamTimeoutError):
        await guarding("catalog", budget=0.5).ask(trio.sleep, 0.501)
    assert trio.current_time() == pytest.approx(0.999)


async def test_waiting_for_a_place_is_part_of_the_budget(autojump_clock):
    guard = guarding("catalog", budget=0.5)
    ended: list[tuple[str, float]] = []

    async def occupy() -> None:
        with pytest.raises(DownstreamTimeoutError):
            await guard.ask(trio.sleep_forever)

    async def come_late() -> None:
        await trio.sleep(0.2)
        with pytest.raises(DownstreamTimeoutError):
            await guard.ask(trio.sleep, 0.4)
        ended.append(("late", trio.current_time()))

    async with trio.open_nursery() as nursery:
        for _ in range(CONNECTIONS):
            nursery.start_soon(occupy)
        nursery.start_soon(come_late)
        await trio.sleep(0.3)
        assert guard.statistics().waiting == 1
    # It got its place at 0.5 and needed until 0.9; its budget of 0.5 began at 0.2.
    assert ended == [("late", 0.7)]
    assert guard.statistics().waiting == 0


async def test_no_more_than_ten_ask_at_a_time_and_those_who_wait_are_served_in_turn(autojump_clock):
    guard = guarding("catalog", budget=100)
    asking, most, order = 0, 0, []

    async def ask(number: int) -> None:
        nonlocal asking, most
        asking += 1
        most = max(most, asking)
        order.append(number)
        await trio.sleep(1)
        asking -= 1

    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(guard.ask, ask, number)
            await trio.testing.wait_all_tasks_blocked()
    assert most == CONNECTIONS == 10
    # Ten places become free in the same moment, and who of the ten runs first is Trio's dice.
    assert [number // 10 for number in order] == [number // 10 for number in range(50)]
    assert trio.current_time() == 5


async def test_one_service_does_not_wait_for_another(autojump_clock):
    slow, other = guarding("catalog", budget=60), guarding("orders", budget=60)
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(slow.ask, trio.sleep, 1)
        await trio.testing.wait_all_tasks_blocked()
        await other.ask(trio.sleep, 0.25)
        assert trio.current_time() == 0.25
        assert slow.statistics().waiting == 10


@pytest.mark.parametrize("place", ["asking", "waiting"])
async def test_a_caller_who_leaves_gives_the_place_back_and_proves_nothing(autojump_clock, place):
    guard = guarding("catalog", budget=10)
    async with trio.open_nursery() as nursery:
        for _ in range(CONNECTIONS - (place == "asking")):
            nursery.start_soon(guard.ask, trio.sleep, 2)
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(1) as leaving:
            await guard.ask(trio.sleep_forever)
        assert leaving.cancelled_caught
        assert trio.current_time() == 1
        assert guard.statistics().waiting == 0
        if place == "asking":
            await guard.ask(trio.sleep, 0.5)
            assert trio.current_time() == 1.5


async def test_a_callers_own_deadline_stays_the_callers(autojump_clock):
    with pytest.raises(trio.TooSlowError), trio.fail_after(0.2):
        await guarding("catalog", budget=0.5).ask(trio.sleep_forever)
    assert trio.current_time() == 0.2


async def test_the_sooner_of_two_budgets_counts(autojump_clock):
    outer, inner = guarding("orders", budget=0.3), guarding("catalog", budget=0.5)
    with pytest.raises(DownstreamTimeoutError) as caught:
        await outer.ask(inner.ask, trio.sleep_forever)
    assert caught.value.service == "orders"
    assert trio.current_time() == 0.3


@pytest.mark.parametrize(
    "error",
    [
        DownstreamUnavailableError("catalog", "x"),
        DownstreamNonsenseError("catalog", "x"),
        ZeroDivisionError(),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_goes_wrong_is_handed_on_as_it_is_and_the_place_given_back(
    autojump_clock, error
):
    guard = guarding(
        "catalog", budget=0.5, retry_share=0, patience=Patience(connections=1000, calls=1000)
    )

    async def fail() -> None:
        await trio.sleep(0.1)
        raise error

    for _ in range(2 * CONNECTIONS):
        with pytest.raises(type(error)) as caught:
            await guard.ask(fail)
        assert caught.value is error
    assert guard.statistics().in_flight == 0


@pytest.mark.parametrize("seed", range(5))
async def test_after_two_hundred_callers_left_at_random_every_place_is_free(autojump_clock, seed):
    chance = random.Random(seed)
    guard = guarding("catalog", budget=0.3)
    ends: dict[str, int] = {"answered": 0, "left": 0, "late": 0}

    async def come_and_go(arrives: float, patience: float, takes: float) -> None:
        await trio.sleep(arrives)
        with trio.move_on_after(patience) as leaving:
            try:
                await guard.ask(trio.sleep, takes)
                ends["answered"] += 1
            except DownstreamTimeoutError:
                ends["late"] += 1
        ends["left"] += leaving.cancelled_caught

    async with trio.open_nursery() as nursery:
        for _ in range(200):
            nursery.start_soon(
                come_and_go, chance.uniform(0, 2), chance.uniform(0, 0.5), chance.uniform(0, 0.4)
            )
    assert sum(ends.values()) == 200
    assert min(ends.values()) > 10
    assert guard.statistics().waiting == 0
    assert guard.statistics().in_flight == 0
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(CONNECTIONS):
            nursery.start_soon(guard.ask, trio.sleep, 0.1)
    assert trio.current_time() - began == pytest.approx(0.1)


# Real sockets, real time.


async def test_a_service_that_never_answers_costs_its_budget_and_no_place(there, service):
    guard = guarding("shopping", budget=0.3)
    answers: list[object] = []

    async def ask() -> None:
        try:
            answers.append(await guard.ask(service.get_json, "api", "x"))
        except DownstreamError as exc:
            answers.append(type(exc))

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(25):
            nursery.start_soon(ask)
    assert answers == [DownstreamTimeoutError] * 25
    assert 0.3 <= trio.current_time() - began < 2
    there.answer = saying(response(b"{}"))
    answers.clear()
    async with trio.open_nursery() as nursery:
        for _ in range(CONNECTIONS):
            nursery.start_soon(ask)
    assert answers == [b"{}"] * CONNECTIONS


async def test_a_byte_now_and_then_does_not_buy_time(there, service):
    there.answer = saying(*(bytes([byte]) for byte in response(b"{}")), every=0.1)
    began = trio.current_time()
    with pytest.raises(DownstreamTimeoutError):
        await guarding("shopping", budget=0.35).ask(service.get_json, "api", "x")
    assert 0.35 <= trio.current_time() - began < 2


async def test_callers_who_left_at_random_leave_the_pool_usable(there, service):
    """Without the limiter before it, the pool is stuck for good after this (encode/httpcore, pool slots)."""
    chance = random.Random(1)
    guard = guarding("shopping", budget=5)
    there.answer = saying(response(b"{}"), every=0.01)

    async def come_and_go() -> None:
        for _ in range(20):
            with trio.move_on_after(chance.uniform(0, 0.02)):
                with contextlib.suppress(DownstreamUnavailableError):
                    await guard.ask(service.get_json, "api", "x")

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(come_and_go)
    assert guard.statistics().in_flight == 0
    there.answer = saying(response(b"{}"))
    with trio.fail_after(10):
        for _ in range(2 * CONNECTIONS):
            assert await guard.ask(service.get_json, "api", "x") == b"{}"


async def test_a_connection_that_is_accepted_by_the_kernel_only_is_a_timeout():
    listener = trio.socket.socket()
    with listener:
        await listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        async with open_http(
            "shopping", f"http://127.0.0.1:{listener.getsockname()[1]}"
        ) as service:
            with pytest.raises(DownstreamTimeoutError):
                await guarding("shopping", budget=0.2).ask(service.get_json, "x")
