"""One question for all who want its answer, and nobody held or failed by whoever asked first."""

from __future__ import annotations

from functools import partial

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from storefront.errors import (
    DownstreamOpenError,
    DownstreamRefusedError,
    DownstreamUnavailableError,
    KeysAwayError,
)
from storefront.queries.single_flight import Flights, twin_of


class Question:
    """Answers after a while, as often as it is asked."""

    def __init__(self, takes=1.0, error=None):
        self.takes = takes
        self.error = error
        self.asked = 0
        self.under_way = 0

    async def __call__(self):
        self.asked += 1
        self.under_way += 1
        try:
            await trio.sleep(self.takes)
            if self.error is not None:
                raise self.error
            return f"answer {self.asked}"
        finally:
            self.under_way -= 1


@pytest.fixture
async def flights(nursery):
    flights = Flights()
    await nursery.start(flights.run)
    return flights


async def ask(flights, question, *, key="k", until=10.0, answers=None, pinned=False):
    flight = flights.find(key) or flights.launch([key], question, until=until, pinned=pinned)
    answer = await flight.wait()
    if answers is not None:
        answers.append((trio.current_time(), answer))
    return answer


async def test_all_who_ask_meanwhile_get_the_one_answer(flights, autojump_clock):
    question, answers = Question(), []
    async with trio.open_nursery() as callers:
        for _ in range(50):
            callers.start_soon(lambda: ask(flights, question, answers=answers))
            await trio.sleep(0.01)
    assert answers == [(1.0, "answer 1")] * 50
    assert question.asked == 1
    assert (flights.statistics().flights, flights.statistics().joined) == (1, 49)


async def test_who_asks_afterwards_asks_anew(flights, autojump_clock):
    question = Question()
    assert await ask(flights, question) == "answer 1"
    assert await ask(flights, question) == "answer 2"


async def test_two_questions_are_two_flights(flights, autojump_clock):
    question, answers = Question(), []
    async with trio.open_nursery() as callers:
        for key in "ab":
            callers.start_soon(partial(ask, flights, question, key=key, answers=answers))
    assert question.asked == 2
    assert trio.current_time() == 1.0


async def test_a_leader_that_is_cancelled_does_not_fail_its_followers(flights, autojump_clock):
    question, answers = Question(), []
    async with trio.open_nursery() as callers:

        async def leader():
            with trio.move_on_after(0.25):
                await ask(flights, question)

        callers.start_soon(leader)
        await wait_all_tasks_blocked()
        for _ in range(3):
            callers.start_soon(lambda: ask(flights, question, answers=answers))
    assert answers == [(1.0, "answer 1")] * 3
    assert question.asked == 1


async def test_a_followers_own_deadline_holds_and_fails_nobody_else(flights, autojump_clock):
    question, answers = Question(), []
    async with trio.open_nursery() as callers:
        callers.start_soon(lambda: ask(flights, question, answers=answers))
        await wait_all_tasks_blocked()
        with trio.move_on_after(0.3) as scope:
            await ask(flights, question)
        assert scope.cancelled_caught
        assert trio.current_time() == 0.3
    assert answers == [(1.0, "answer 1")]


async def test_when_the_last_has_left_the_question_is_called_off(flights, autojump_clock):
    question = Question()
    async with trio.open_nursery() as callers:
        for patience in (0.1, 0.4, 0.2):

            async def impatient(patience=patience):
                with trio.move_on_after(patience):
                    await ask(flights, question)

            callers.start_soon(impatient)
    assert trio.current_time() == 0.4
    await wait_all_tasks_blocked()
    assert question.under_way == 0
    assert flights.statistics().under_way == 0


async def test_nobody_joins_a_flight_that_was_called_off(flights, autojump_clock):
    question = Question()
    with trio.move_on_after(0.1):
        await ask(flights, question)
    # Without a checkpoint between: the old one has not even noticed.
    assert await ask(flights, question) == "answer 2"
    assert trio.current_time() == pytest.approx(1.1)


async def test_a_pinned_flight_goes_on_without_anybody(flights, autojump_clock):
    question = Question()
    with trio.move_on_after(0.1):
        await ask(flights, question, pinned=True)
    assert flights.pinned == 1
    await trio.sleep(0.5)
    assert question.under_way == 1
    assert await ask(flights, question) == "answer 1"
    assert (trio.current_time(), flights.pinned) == (1.0, 0)


async def test_a_flight_that_takes_too_long_is_ended_for_all_at_its_deadline(
    flights, autojump_clock
):
    question, late = Question(takes=60.0), []
    async with trio.open_nursery() as callers:

        async def one():
            with pytest.raises(trio.TooSlowError):
                await ask(flights, question, until=2.0)
            late.append(trio.current_time())

        for _ in range(3):
            callers.start_soon(one)
    assert late == [2.0, 2.0, 2.0]
    assert question.under_way == 0


async def test_an_error_reaches_all_who_wait_with_the_traceback_of_the_flight_only(
    flights, autojump_clock
):
    question, seen = Question(error=DownstreamUnavailableError("shopping", "is down")), []

    async def one():
        try:
            await ask(flights, question)
        except DownstreamUnavailableError as exc:
            depth, frame = 0, exc.__traceback__
            while frame is not None:
                depth, frame = depth + 1, frame.tb_next
            seen.append(depth)

    async with trio.open_nursery() as callers:
        for _ in range(20):
            callers.start_soon(one)
    assert len(seen) == 20
    assert len(set(seen)) == 1
    assert question.asked == 1


async def test_each_who_waits_raises_an_error_of_his_own(flights, autojump_clock):
    error = DownstreamUnavailableError("shopping", "is down", retry_after=3.0)
    error.add_note("said by the flight")
    question, seen = Question(error=error), []

    async def one(number):
        try:
            await ask(flights, question)
        except DownstreamUnavailableError as exc:
            exc.__context__ = LookupError(number)
            exc.add_note(f"said by {number}")
            seen.append((number, exc))

    async with trio.open_nursery() as callers:
        for number in range(5):
            callers.start_soon(one, number)
    assert len({id(exc) for _, exc in seen}) == 5
    for number, exc in seen:
        assert exc.__context__.args == (number,)
        assert (str(exc), exc.service, exc.retry_after) == ("shopping: is down", "shopping", 3.0)
        assert exc.__notes__ == ["said by the flight", f"said by {number}"]
    assert error.__notes__ == ["said by the flight"]
    assert question.asked == 1


class _OddError(Exception):
    """Made of more than it keeps, and of less than it says."""

    def __init__(self, one, *, two):
        super().__init__(f"{one} and {two}")
        self.one, self.two = one, two


class _ChangedError(DownstreamUnavailableError):
    """Its maker takes its own words for something else."""

    def __init__(self, service):
        super().__init__(service, "changed")


@pytest.mark.parametrize(
    "error",
    [
        KeyError("bug"),
        OSError(2, "no such file", "name"),
        UnicodeDecodeError("utf-8", b"ab", 0, 1, "odd"),
        ExceptionGroup("two", [ValueError("a"), KeyError("b")]),
        DownstreamOpenError("shopping", "open", retry_in=2.0),
        DownstreamRefusedError("orders", 404, b"{}"),
        KeysAwayError(),
        _OddError(1, two=2),
        _ChangedError("shopping"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_twin_of_an_error_says_all_that_the_error_says(error):
    try:
        raise error from LookupError("why")
    except type(error):
        twin = twin_of(error)
    assert twin is not error
    assert type(twin) is type(error)
    assert (str(twin), repr(twin), twin.args) == (str(error), repr(error), error.args)
    assert vars(twin) == vars(error)
    assert (twin.__cause__, twin.__suppress_context__) == (error.__cause__, True)
    assert twin.__traceback__ is error.__traceback__


async def test_a_bug_in_a_question_ends_its_callers_and_no_other_flight(flights, autojump_clock):
    broken, sound, answers = Question(error=KeyError("bug")), Question(takes=2.0), []
    async with trio.open_nursery() as callers:
        callers.start_soon(lambda: ask(flights, sound, key="sound", answers=answers))
        with pytest.raises(KeyError):
            await ask(flights, broken)
    assert answers == [(2.0, "answer 1")]


async def test_where_nobody_runs_the_flights_everybody_asks_for_himself(autojump_clock):
    flights, question = Flights(), Question()
    assert await ask(flights, question) == "answer 1"
    with pytest.raises(trio.TooSlowError):
        await ask(flights, Question(takes=60.0), until=5.0)
    assert trio.current_time() == 5.0
    assert flights.statistics().under_way == 0


async def test_who_waits_when_the_flights_end_asks_for_himself(nursery, autojump_clock):
    flights, question, answers = Flights(), Question(), []
    async with trio.open_nursery() as office:
        await office.start(flights.run)
        nursery.start_soon(partial(ask, flights, question, answers=answers))
        await trio.sleep(0.5)
        office.cancel_scope.cancel()
    await trio.sleep(1.25)
    assert answers == [(1.5, "answer 2")]


async def test_several_keys_share_one_flight(flights, autojump_clock):
    question = Question()
    flight = flights.launch(["a", "b"], question, until=5.0)
    assert flights.find("a") is flights.find("b") is flight
    assert flights.statistics().under_way == 1
    assert await flight.wait() == "answer 1"
    assert not flights.under_way("a")
    assert not flights.under_way("b")


async def test_ten_thousand_cancelled_callers_leave_nothing_behind(flights, autojump_clock):
    question = Question(takes=0.05)

    async def one(number):
        with trio.move_on_after(number % 60 / 1000):
            await ask(flights, question, key=number % 7)

    async with trio.open_nursery() as callers:
        for number in range(10_000):
            callers.start_soon(one, number)
            if number % 100 == 0:
                await trio.sleep(0.001)
    await wait_all_tasks_blocked()
    assert question.under_way == 0
    assert flights.statistics().under_way == 0
    assert await ask(flights, question) is not None
