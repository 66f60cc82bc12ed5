"""Attempts, retries, the breaker and commands behind a guard: at exact times, on virtual time."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
import trio.lowlevel

from storefront.downstream.breaker import Patience
from storefront.downstream.guard import Guard, Policy
from storefront.errors import (
    DownstreamAbsentError,
    DownstreamError,
    DownstreamNonsenseError,
    DownstreamOpenError,
    DownstreamRefusedError,
    DownstreamTimeoutError,
    DownstreamUnavailableError,
)
from tests.downstream.conftest import halfway

REFUSED = DownstreamUnavailableError("catalog", "ConnectError", reached=False)
BROKEN = DownstreamUnavailableError("catalog", "ReadError")
NONSENSE = DownstreamNonsenseError("catalog", "not a product")


def status(number: int, retry_after: float | None = None) -> DownstreamUnavailableError:
    return DownstreamUnavailableError(
        "catalog", f"status {number}", status=number, retry_after=retry_after
    )


class Service:
    """Answers as the list has it, and keeps when it was asked; after its end it answers well."""

    def __init__(self, *answers, takes: float = 0.0) -> None:
        self.answers = list(answers)
        self.takes = takes
        self.asked: list[float] = []

    async def __call__(self):
        self.asked.append(trio.current_time())
        await trio.sleep(self.takes)
        answer = self.answers.pop(0) if self.answers else "well"
        if isinstance(answer, Exception):
            raise answer
        return answer


def guard(*, uniform=halfway, **policy) -> Guard:
    return Guard("catalog", Policy(**policy), uniform=uniform)


async def failing(asked: Guard, question, kind: type[DownstreamError], times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(kind):
            await asked.ask(question)


def opened() -> tuple[Guard, Service]:
    return guard(retry_share=0), Service(*[NONSENSE] * 20)


# Deadlines.


async def test_an_attempt_ends_at_its_own_time_and_counts_against_the_service(autojump_clock):
    one = guard(attempt=0.25)
    await failing(one, trio.sleep_forever, DownstreamTimeoutError)
    assert trio.current_time() == 0.25
    assert one.statistics().outcomes["failed"] == 1


async def test_an_attempt_begins_when_it_has_its_place(autojump_clock):
    one = guard(places=1, attempt=0.25, budget=1)
    slow = Service(takes=0.2)
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(one.ask, slow)
    assert slow.asked == pytest.approx([0, 0.2, 0.4])
    assert one.statistics().outcomes["answered"] == 3


async def test_waiting_counts_for_the_caller_and_not_against_the_service(autojump_clock):
    one = guard(places=1, attempt=10, budget=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.ask, Service(takes=0.9))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(failing, one, Service(takes=0.2), DownstreamTimeoutError)
        await trio.testing.wait_all_tasks_blocked()
        waited = Service()
        with trio.move_on_after(0.5) as impatient:
            await one.ask(waited)
        assert impatient.cancelled_caught
        assert waited.asked == []
    assert trio.current_time() == 1
    outcomes = one.statistics().outcomes
    # Its place came at 0.9, and the 0.1 s that were left were the service's to use.
    assert outcomes == {"answered": 1, "failed": 1, "unconnected": 0, "left": 0}


async def test_a_place_that_does_not_come_in_time_was_no_question(autojump_clock):
    one = guard(places=1, command=10, budget=0.2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.tell, Service(takes=1))
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(DownstreamTimeoutError, match="no place in time") as caught:
            await one.ask(Service())
        assert trio.current_time() == 0.2
    assert caught.value.reached is False
    assert one.statistics().outcomes["failed"] == 0


async def test_the_callers_deadline_ends_all_of_it_and_proves_nothing(autojump_clock):
    one = guard(attempt=0.35, budget=2)
    with trio.move_on_after(0.2) as request:
        await one.ask(trio.sleep_forever)
    assert request.cancelled_caught
    assert trio.current_time() == 0.2
    outcomes = one.statistics().outcomes
    assert outcomes == {"answered": 0, "failed": 0, "unconnected": 0, "left": 1}


# The one retry.


@pytest.mark.parametrize("error", [REFUSED, BROKEN, *map(status, (502, 503, 504))], ids=str)
async def test_what_may_pass_is_asked_once_more_after_a_moment(autojump_clock, error):
    one, service = guard(), Service(error)
    assert await one.ask(service) == "well"
    assert service.asked == [0, 0.05]
    assert one.statistics().retries == 1


@pytest.mark.parametrize(
    "error",
    [
        NONSENSE,
        *map(status, (500, 501, 408, 425, 429)),
        DownstreamRefusedError("catalog", 400),
        DownstreamAbsentError("catalog", "x"),
    ],
    ids=str,
)
async def test_what_would_not_pass_is_not(autojump_clock, error):
    one, service = guard(), Service(error)
    await failing(one, service, type(error))
    assert service.asked == [0]


async def test_a_late_answer_is_not_waited_for_twice(autojump_clock):
    one, service = guard(), Service(takes=1)
    await failing(one, service, DownstreamTimeoutError)
    assert service.asked == [0]


async def test_never_more_than_one_retry(autojump_clock):
    one, service = guard(), Service(*[BROKEN] * 5)
    await failing(one, service, DownstreamUnavailableError)
    assert service.asked == [0, 0.05]


@pytest.mark.parametrize(("chance", "pause"), [(min, 0), (max, 0.1)])
async def test_the_moment_is_drawn_from_all_of_a_tenth_of_a_second(autojump_clock, chance, pause):
    service = Service(BROKEN)
    await guard(uniform=chance).ask(service)
    assert service.asked == [0, pause]


async def test_with_little_time_left_the_moment_is_half_of_it_and_with_none_there_is_none(
    autojump_clock,
):
    service = Service(BROKEN, takes=0.04)
    with trio.move_on_after(0.1):
        await guard(uniform=max).ask(service)
    assert service.asked == pytest.approx([0, 0.07])
    last = Service(BROKEN, takes=0.09)
    with trio.move_on_after(0.1), pytest.raises(DownstreamUnavailableError):
        await guard().ask(last)
    assert len(last.asked) == 1


@pytest.mark.parametrize("number", [429, 503])
async def test_a_wish_to_be_left_alone_is_respected_where_it_fits(autojump_clock, number):
    one, service = guard(budget=2), Service(status(number, retry_after=1))
    assert await one.ask(service) == "well"
    assert service.asked == [0, 1.05]


@pytest.mark.parametrize("number", [429, 503])
async def test_a_wish_that_does_not_fit_is_handed_on_at_once(autojump_clock, number):
    one, service = guard(budget=2), Service(status(number, retry_after=30))
    with pytest.raises(DownstreamUnavailableError) as caught:
        await one.ask(service)
    assert caught.value.retry_after == 30
    assert trio.current_time() == 0
    assert len(service.asked) == 1


async def test_no_place_is_held_during_the_pause(autojump_clock):
    one = guard(places=1)
    other = Service()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.ask, Service(BROKEN))
        await trio.sleep(0.01)
        await one.ask(other)
    assert other.asked == [0.01]


async def test_a_tenth_of_the_questions_is_asked_twice_however_many_fail(autojump_clock):
    one = guard(patience=Patience(calls=10_000, connections=10_000))
    service = Service(*[BROKEN] * 5000)
    for _ in range(1000):
        await failing(one, service, DownstreamUnavailableError)
    assert one.statistics().retries <= 100 + 3
    assert len(service.asked) == 1000 + one.statistics().retries
    assert one.statistics().retries >= 50


async def test_a_retry_is_no_way_around_the_breaker_and_the_cause_is_told(autojump_clock):
    one, service = guard(patience=Patience(connections=1)), Service(REFUSED)
    await failing(one, service, DownstreamUnavailableError)
    assert service.asked == [0]
    assert one.statistics().state == "open"


# The breaker.


async def test_half_of_twenty_failed_and_nobody_asks_for_five_seconds(autojump_clock):
    one = guard(retry_share=0)
    service = Service(*["well", NONSENSE] * 10, takes=0.1)
    for number in range(20):
        if number % 2:
            await failing(one, service, DownstreamNonsenseError)
        else:
            await one.ask(service)
    assert trio.current_time() == pytest.approx(2)
    assert one.statistics().state == "open"
    await trio.sleep(1)
    with pytest.raises(DownstreamOpenError) as caught:
        await one.ask(service)
    assert caught.value.retry_in == pytest.approx(4)
    assert caught.value.reached is False
    await trio.sleep(3.999)
    await failing(one, service, DownstreamOpenError)
    assert len(service.asked) == 20
    assert one.statistics().refused == 2
    await trio.sleep(0.002)
    assert await one.ask(service) == "well"


async def test_five_refused_connections_in_a_row_are_enough(autojump_clock):
    one = guard(retry_share=0)
    service = Service(*[REFUSED] * 5)
    await failing(one, service, DownstreamUnavailableError, 5)
    await failing(one, service, DownstreamOpenError)
    assert len(service.asked) == 5


async def test_a_service_that_comes_back_is_asked_by_three_and_then_by_all(autojump_clock):
    one, service = opened()
    await failing(one, service, DownstreamNonsenseError, 20)
    await trio.sleep(5)
    service.takes, ends = 0.1, []

    async def ask() -> None:
        try:
            ends.append(await one.ask(service))
        except DownstreamOpenError:
            ends.append("open")

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(ask)
    assert sorted(ends) == ["open"] * 47 + ["well"] * 3
    assert service.asked[20:] == [5, 5, 5]
    assert one.statistics().state == "closed"
    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(ask)
    assert ends[50:] == ["well"] * 50


async def test_a_minute_out_is_asked_at_5_15_35_and_75_seconds(autojump_clock):
    """A customer asks every 10 ms; the service is away for 60 s, and hears of it from at most three at a time."""
    one = guard(retry_share=0)
    asked: list[float] = []

    async def service() -> None:
        asked.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        if trio.current_time() < 60:
            raise REFUSED

    while trio.current_time() < 80:
        with suppress(DownstreamError):
            await one.ask(service)
        await trio.sleep(0.01)
    probes = [round(moment) for moment in asked[5:9]]
    assert asked[4] < 0.05
    assert probes == [5, 15, 35, 75]
    assert len(asked) > 450
    assert one.statistics().opened == 4


async def test_those_who_wait_are_turned_away_when_it_opens(autojump_clock):
    one = guard(places=1, retry_share=0, patience=Patience(connections=1))
    service, ends = Service(REFUSED, takes=0.2), []

    async def ask() -> None:
        try:
            await one.ask(service)
        except DownstreamError as exc:
            ends.append((type(exc), trio.current_time()))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(ask)
    assert ends[0] == (DownstreamUnavailableError, 0.2)
    assert ends[1:] == [(DownstreamOpenError, 0.2)] * 4
    assert len(service.asked) == 1
    assert one.statistics().in_flight == 0


async def test_nobody_queues_for_a_service_that_is_not_asked(autojump_clock):
    one = guard(places=1, command=10, retry_share=0, patience=Patience(connections=1))
    async with trio.open_nursery() as nursery:
        await failing(one, Service(REFUSED), DownstreamUnavailableError)
        nursery.start_soon(one._limiter.acquire)
        await trio.testing.wait_all_tasks_blocked()
        await failing(one, Service(), DownstreamOpenError)
        assert trio.current_time() == 0


@pytest.mark.parametrize(
    "answer",
    ["well", None, DownstreamRefusedError("catalog", 400), DownstreamAbsentError("catalog", "x")],
    ids=str,
)
async def test_no_is_an_answer(autojump_clock, answer):
    one, service = guard(), Service(*[answer] * 100)
    for _ in range(100):
        with suppress(DownstreamRefusedError, DownstreamAbsentError):
            assert await one.ask(service) == answer
    assert one.statistics().outcomes["answered"] == 100
    assert one.statistics().state == "closed"


@pytest.mark.parametrize("error", [NONSENSE, BROKEN, *map(status, (500, 503, 429))], ids=str)
async def test_nonsense_and_come_back_later_are_failures(autojump_clock, error):
    one, service = guard(retry_share=0), Service(*[error] * 20)
    await failing(one, service, type(error), 20)
    assert one.statistics().state == "open"


async def test_a_thousand_callers_who_left_do_not_open_it(autojump_clock):
    one = guard()
    for _ in range(1000):
        with trio.move_on_after(0.01):
            await one.ask(trio.sleep_forever)
    assert one.statistics().state == "closed"
    assert one.statistics().outcomes["left"] == 1000


@pytest.mark.parametrize("leaving", ["caller", "bug", "interrupt"])
async def test_a_probe_whose_caller_left_is_there_for_the_next(autojump_clock, leaving):
    one, service = opened()
    await failing(one, service, DownstreamNonsenseError, 20)
    await trio.sleep(5)

    async def break_off() -> None:
        await trio.sleep(0.01)
        raise {"bug": ZeroDivisionError, "interrupt": KeyboardInterrupt}[leaving]

    for _ in range(10):
        if leaving == "caller":
            with trio.move_on_after(0.01):
                await one.ask(trio.sleep_forever)
        else:
            with pytest.raises((ZeroDivisionError, KeyboardInterrupt)):
                await one.ask(break_off)
    assert one.statistics().state == "probing"
    for _ in range(3):
        assert await one.ask(service) == "well"
    assert one.statistics().state == "closed"


# Commands.


@pytest.mark.parametrize("error", [REFUSED, BROKEN, status(503), status(429, 0.0)], ids=str)
async def test_a_command_is_never_sent_twice(autojump_clock, error):
    one, service = guard(), Service(error)
    with pytest.raises(DownstreamUnavailableError):
        await one.tell(service)
    assert service.asked == [0]


async def test_a_command_has_its_own_time_and_its_outcome_is_unknown_after_it(autojump_clock):
    one = guard(command=5, attempt=0.3, budget=0.3)
    await one.tell(Service(takes=4.9))
    with pytest.raises(DownstreamTimeoutError) as caught:
        await one.tell(trio.sleep_forever)
    assert caught.value.reached is True
    assert trio.current_time() == pytest.approx(9.9)


async def test_commands_and_questions_share_the_places_and_the_breaker(autojump_clock):
    one = guard(places=1, command=1, retry_share=0, patience=Patience(connections=1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.tell, Service(takes=0.5))
        await trio.testing.wait_all_tasks_blocked()
        await one.ask(Service())
        assert trio.current_time() == 0.5
    with pytest.raises(DownstreamUnavailableError):
        await one.tell(Service(REFUSED))
    with pytest.raises(DownstreamOpenError):
        await one.tell(Service())
    await failing(one, Service(), DownstreamOpenError)


async def test_a_command_that_got_no_place_was_certainly_not_carried_out(autojump_clock):
    one = guard(places=1, command=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one._limiter.acquire)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(DownstreamTimeoutError) as caught:
            await one.tell(trio.sleep_forever)
    assert caught.value.reached is False
    assert trio.current_time() == 1
