"""When a service is no longer asked, and when it is again: at exact times, which here are plain numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storefront.downstream.breaker import Breaker, Outcome, Patience, State
from tests.downstream.conftest import halfway

ANSWERED, FAILED, UNCONNECTED, LEFT = Outcome


def breaker(*, uniform=halfway, **patience) -> Breaker:
    return Breaker(Patience(**patience), uniform)


def attempt(one: Breaker, outcome: Outcome, now: float) -> None:
    admission = one.admit(now)
    assert admission is not None
    one.settle(admission, outcome, now)


def opened(now: float = 0.0, **options) -> Breaker:
    one = breaker(**options)
    for _ in range(5):
        attempt(one, UNCONNECTED, now)
    assert one.state(now) is State.OPEN
    return one


# Opening.


@pytest.mark.parametrize(("good", "bad"), [(10, 10), (0, 20), (9, 11), (50, 50)])
def test_half_of_twenty_attempts_failed_is_enough(good, bad):
    one = breaker()
    for number in range(good):
        attempt(one, ANSWERED, number * 0.01)
    for _ in range(bad):
        assert one.state(5) is State.CLOSED
        attempt(one, FAILED, 5)
    assert one.state(5) is State.OPEN
    assert one.opened == 1


@pytest.mark.parametrize(("good", "bad"), [(0, 19), (10, 9), (11, 10), (90, 40)])
def test_fewer_than_half_or_fewer_than_twenty_is_not(good, bad):
    one = breaker()
    for _ in range(good):
        attempt(one, ANSWERED, 5)
    for _ in range(bad):
        attempt(one, FAILED, 5)
    assert one.state(5) is State.CLOSED


def test_what_is_ten_seconds_old_is_forgotten():
    one = breaker()
    for _ in range(19):
        attempt(one, FAILED, 0.5)
    attempt(one, FAILED, 10.5)
    assert one.state(10.5) is State.CLOSED
    one = breaker()
    for _ in range(19):
        attempt(one, FAILED, 0.5)
    attempt(one, FAILED, 9.4)
    assert one.state(9.4) is State.OPEN


def test_five_in_a_row_that_never_connected_are_enough_and_any_answer_breaks_the_row():
    one = breaker()
    for outcome in (UNCONNECTED,) * 4 + (ANSWERED,) + (UNCONNECTED,) * 4 + (FAILED,):
        attempt(one, outcome, 1)
    for _ in range(4):
        attempt(one, UNCONNECTED, 1)
    assert one.state(1) is State.CLOSED
    attempt(one, UNCONNECTED, 1)
    assert one.state(1) is State.OPEN


def test_those_who_left_count_for_nothing_at_all():
    one = breaker()
    for _ in range(1000):
        attempt(one, LEFT, 1)
    for _ in range(19):
        attempt(one, FAILED, 1)
    assert one.state(1) is State.CLOSED
    one = breaker()
    for _ in range(4):
        attempt(one, UNCONNECTED, 1)
        attempt(one, LEFT, 1)
    attempt(one, UNCONNECTED, 1)
    assert one.state(1) is State.OPEN


def test_an_answer_never_opens():
    one = breaker(calls=1, share=0.01)
    slow = one.admit(0)
    attempt(one, ANSWERED, 0)
    one.settle(slow, ANSWERED, 0)
    assert one.state(0) is State.CLOSED


# Closing.


def test_an_open_one_admits_nobody_until_its_pause_is_over_to_the_moment():
    one = opened(100.0)
    assert one.retry_in(101.0) == 4.0
    assert one.admit(104.999) is None
    assert one.state(104.999) is State.OPEN
    assert one.state(105.0) is State.PROBING
    assert one.retry_in(105.0) == 0
    assert one.admit(105.0) is not None


def test_three_may_try_and_no_fourth_until_one_of_them_has_left():
    one = opened()
    probes = [one.admit(5.0) for _ in range(3)]
    assert None not in probes
    assert one.admit(5.0) is None
    one.settle(probes[0], LEFT, 5.5)
    assert one.refuses(5.5) is False
    again = one.admit(5.5)
    assert again is not None
    assert one.admit(5.5) is None
    one.settle(probes[1], ANSWERED, 5.6)
    assert one.admit(5.6) is None
    one.settle(probes[2], ANSWERED, 5.7)
    assert one.admit(5.7) is None
    assert one.state(5.7) is State.PROBING
    one.settle(again, ANSWERED, 5.8)
    assert one.state(5.8) is State.CLOSED


def test_probes_may_come_one_at_a_time_and_late():
    one = opened()
    for moment in (5.0, 500.0, 5000.0):
        assert one.state(moment) is State.PROBING
        attempt(one, ANSWERED, moment)
    assert one.state(5000.0) is State.CLOSED


@pytest.mark.parametrize("outcome", [FAILED, UNCONNECTED])
def test_each_failing_probe_doubles_the_pause_up_to_a_minute(outcome):
    one, now, pauses = opened(), 0.0, []
    for _ in range(6):
        pauses.append(one.retry_in(now))
        now += one.retry_in(now)
        attempt(one, outcome, now)
    assert pauses == [5, 10, 20, 40, 60, 60]
    assert one.opened == 7


def test_once_closed_the_pause_is_short_again_and_the_past_forgotten():
    one = opened()
    attempt(one, FAILED, 5.0)
    assert one.retry_in(5.0) == 10
    for _ in range(3):
        attempt(one, ANSWERED, 15.0)
    for _ in range(19):
        attempt(one, FAILED, 15.0)
    assert one.state(15.0) is State.CLOSED
    attempt(one, FAILED, 15.0)
    assert one.retry_in(15.0) == 5


def test_what_was_admitted_before_a_change_of_state_says_nothing_after_it():
    one = breaker()
    slow = [one.admit(0) for _ in range(20)]
    for _ in range(5):
        attempt(one, UNCONNECTED, 0)
    for admission in slow[:10]:
        one.settle(admission, FAILED, 1)
    assert one.retry_in(1) == 4
    probe = one.admit(5)
    for admission in slow[10:15]:
        one.settle(admission, ANSWERED, 5)
    assert one.state(5) is State.PROBING
    for admission in slow[15:]:
        one.settle(admission, FAILED, 5)
    assert one.state(5) is State.PROBING
    one.settle(probe, ANSWERED, 6)
    attempt(one, ANSWERED, 6)
    assert one.state(6) is State.PROBING


def test_of_two_probes_that_fail_only_the_first_doubles_the_pause():
    one = opened()
    first, second = one.admit(5), one.admit(5)
    one.settle(first, FAILED, 6)
    one.settle(second, FAILED, 7)
    assert one.retry_in(7) == 9
    assert one.opened == 2


def test_a_pause_is_drawn_from_a_fifth_to_either_side():
    assert opened(uniform=min).retry_in(0) == 4
    assert opened(uniform=max).retry_in(0) == 6


@given(st.lists(st.tuples(st.sampled_from([*Outcome, None]), st.floats(0, 20)), max_size=200))
def test_whatever_happens_three_answers_after_the_longest_pause_close_it(steps):
    """No probe is ever lost: however callers come, fail and leave, it is never stuck."""
    one, now, out = breaker(), 0.0, []
    for outcome, later in steps:
        now += later
        if outcome is None:
            if admission := one.admit(now):
                out.append(admission)
        elif out:
            one.settle(out.pop(0), outcome, now)
    for admission in out:
        one.settle(admission, LEFT, now)
    now += 60
    for _ in range(3):
        attempt(one, ANSWERED, now)
    assert one.state(now) is State.CLOSED
