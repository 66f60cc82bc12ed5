"""How many questions may be asked twice, how long before, and what a service's own wish does to it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storefront.downstream.backoff import pause, retry_after
from storefront.downstream.retries import RetryBudget
from storefront.downstream.window import Window
from tests.downstream.conftest import halfway

NOW = "Sun, 22 Nov 2026 12:00:00 GMT"


def spent(budget: RetryBudget, now: float, tries: int = 1000) -> int:
    return sum(budget.spend(now) for _ in range(tries))


@pytest.mark.parametrize(
    ("questions", "retries"), [(0, 3), (1, 3), (30, 3), (39, 3), (40, 4), (100, 10), (1000, 100)]
)
def test_a_tenth_may_be_asked_twice_and_always_three(questions, retries):
    budget = RetryBudget(0.1)
    for _ in range(questions):
        budget.asked(5.0)
    assert spent(budget, 5.0) == retries


def test_a_share_of_nothing_is_nothing():
    budget = RetryBudget(0)
    for _ in range(1000):
        budget.asked(5.0)
    assert spent(budget, 5.0) == 0


def test_what_was_spent_comes_back_after_ten_seconds_and_not_before():
    budget = RetryBudget(0.1)
    assert spent(budget, 0.5) == 3
    assert spent(budget, 9.9) == 0
    assert spent(budget, 10.0) == 3
    assert spent(budget, 19.9) == 0


def test_questions_count_for_ten_seconds_only():
    budget = RetryBudget(0.1)
    for _ in range(100):
        budget.asked(0.0)
    assert spent(budget, 10.0) == 3


@given(st.lists(st.tuples(st.floats(0, 3), st.booleans()), max_size=300))
def test_a_window_is_a_count_of_what_was_lately_give_or_take_a_step(steps):
    window, now, all_of_it = Window(10), 0.0, []
    for later, kind in steps:
        now += later
        window.add(now, kind)
        all_of_it.append((now, kind))
    for which in (False, True):
        found = window.counts(now)[which]
        surely = sum(kind is which and moment > now - 9 for moment, kind in all_of_it)
        perhaps = sum(kind is which and moment > now - 10 for moment, kind in all_of_it)
        assert surely <= found <= perhaps
    assert len(window._counts) <= 10


# The pause.


@pytest.mark.parametrize(
    ("remaining", "wish", "shortest", "longest"),
    [
        (1.0, None, 0, 0.1),
        (1e9, None, 0, 0.1),
        (0.1, None, 0, 0.05),
        (0.02, None, 0, 0.01),
        (1.0, 0.0, 0, 0.1),
        (2.0, 1.0, 1.0, 1.1),
        (1.1, 1.0, 1.0, 1.05),
    ],
)
def test_a_pause_is_anything_up_to_a_tenth_of_a_second_that_leaves_half_the_time(
    remaining, wish, shortest, longest
):
    assert pause(remaining, wish, min) == pytest.approx(shortest)
    assert pause(remaining, wish, max) == pytest.approx(longest)


@pytest.mark.parametrize(
    ("remaining", "wish"), [(0.019, None), (0, None), (-1, None), (1, 1), (1, 30), (1, 0.985)]
)
def test_what_does_not_fit_is_not_tried(remaining, wish):
    assert pause(remaining, wish, halfway) is None


@pytest.mark.parametrize(
    ("said", "date", "seconds"),
    [
        ("0", None, 0),
        ("120", None, 120),
        ("999999999", None, 999_999_999),
        ("Sun, 22 Nov 2026 12:00:30 GMT", NOW, 30),
        ("Sunday, 22-Nov-26 12:00:30 GMT", NOW, 30),
        ("Sun, 22 Nov 2026 11:00:00 GMT", NOW, 0),
        ("Sun, 22 Nov 2026 12:00:30 GMT", None, None),
        ("Sun, 22 Nov 2026 12:00:30 GMT", "now", None),
        ("Sun, 22 Nov 2026 12:00:30 -0000", NOW, None),
        ("", NOW, None),
        (None, NOW, None),
        ("-1", NOW, None),
        ("1.5", NOW, None),
        ("1e9", NOW, None),
        ("9" * 10, NOW, None),
        ("9" * 5000, NOW, None),
        ("\u0661", NOW, None),
        ("soon", NOW, None),
        ("Sun, 99 Nov 2026 12:00:30 GMT", NOW, None),
    ],
    ids=ascii,
)
def test_when_to_come_back_is_seconds_or_a_moment_by_the_services_own_clock(said, date, seconds):
    assert retry_after(said, date) == seconds


@given(st.text(), st.text() | st.none())
def test_no_text_at_all_is_more_than_a_wish_that_is_not_understood(said, date):
    found = retry_after(said, date)
    assert found is None or found >= 0
