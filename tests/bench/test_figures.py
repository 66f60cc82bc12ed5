"""Percentiles, ratios and verdicts."""

from types import SimpleNamespace

import numpy as np
import pytest
import trio

from bench.measure.latency import Latency, spread_of
from bench.measure.processes import Usage
from bench.measure.sequence import Faults
from bench.options import Options
from bench.report.rows import (
    Row,
    bound_verdict,
    faults_verdict,
    harness_verdict,
    ratio_verdict,
    ratios,
)
from bench.run import judged
from bench.scenarios.climbing import climb, kept_up

MS = 1_000_000


def a_row(**more):
    return Row(**({"scenario": "idle", "case": "5000", "subject": "storefront", "round": 1} | more))


def test_percentiles_are_those_of_the_samples():
    found = Latency.of(n * MS for n in range(1, 1001))
    assert found.count == 1000
    assert found.p50 == pytest.approx(500, rel=0.002)
    assert found.p99 == pytest.approx(990, rel=0.002)
    assert found.p999 == pytest.approx(999, rel=0.002)
    assert found.max == pytest.approx(1000, rel=0.002)


def test_one_sample_in_a_thousand_does_not_vanish():
    assert Latency.of([MS] * 999 + [5000 * MS]).max == pytest.approx(5000, rel=0.002)


def test_none_at_all_say_so_by_their_count():
    assert Latency.of([]).count == 0


def test_ratios_are_taken_round_by_round():
    assert ratios([2, 9], [1, 3]) == [2, 3]


def test_the_spread_is_between_the_furthest_rounds():
    assert spread_of([9, 10, 12]) == pytest.approx(0.3)


def test_a_ratio_is_judged_by_its_median_and_shown_with_its_range():
    verdict = ratio_verdict("x", [0.7, 0.75, 3.0], most=0.8, judged=True)
    assert (verdict.found, verdict.held) == ("0.75 (0.70-3.00)", True)
    assert ratio_verdict("x", [0.9], most=0.8, judged=True).held is False
    assert ratio_verdict("x", [1.4], least=1.5, judged=True).held is False


def test_what_was_not_measured_is_not_held():
    assert ratio_verdict("x", [], most=1, judged=True).held is None
    assert bound_verdict("x", [], most=1, judged=True).held is None


def test_a_quick_run_judges_no_timing():
    assert bound_verdict("x", [99], most=1, judged=False).held is None


@pytest.mark.parametrize("faults", [Faults(lost=1), Faults(doubled=1), Faults(disordered=1)])
def test_one_fault_of_any_kind_misses_even_in_a_quick_run(faults):
    rows = [a_row(faults=Faults()), a_row(faults=faults)]
    assert any(v.held is False for v in judged([], Options(quick=True), rows))
    assert faults_verdict(rows[:1]).held is True


def test_a_harness_that_takes_more_than_its_share_misses():
    def usage(share):
        return Usage(seconds=1.0, cores={"harness": share, "subject": 1.0}, rss={})

    assert harness_verdict([a_row(usage=usage(0.29))], judged=True).held is True
    assert harness_verdict([a_row(usage=usage(0.31))], judged=True).held is False
    assert harness_verdict([a_row(usage=usage(0.9), flat_out=True)], judged=True).held is None


def stretch_of(delays_ms, gap_ms=10):
    """A stretch whose n-th message came so late; None: never."""
    due = np.arange(len(delays_ms), dtype=np.int64) * gap_ms * MS
    came = [(n, delay) for n, delay in enumerate(delays_ms) if delay is not None]
    delays = np.array([delay * MS for _, delay in came], np.int64)
    when = np.array([due[n] for n, _ in came], np.int64) + delays
    return SimpleNamespace(
        published=SimpleNamespace(due=due, count=len(due)),
        arrivals=SimpleNamespace(when=when),
        delays=delays,
    )


@pytest.mark.parametrize(
    ("delays", "kept"),
    [
        ([5] * 100, True),
        ([900] * 50 + [5] * 50, True),  # a slow start
        ([n * 12 for n in range(100)], False),  # a queue that grows
        ([5] * 98 + [None, None], False),  # what never came
    ],
)
def test_who_keeps_up_has_no_queue_that_grows(delays, kept):
    assert kept_up(stretch_of(delays), len(delays)) is kept


def test_the_climb_ends_between_the_last_rate_that_held_and_the_first_that_did_not():
    tried = []

    async def step(rate):
        await trio.lowlevel.checkpoint()
        tried.append(rate)
        return stretch_of([5 if rate <= 300 else 2000] * 10)

    async def run():
        return await climb(step, [100, 200, 400, 800], lambda _found: 10, looks=2)

    best, steps = trio.run(run)
    assert tried == [100, 200, 400, pytest.approx(282.8, abs=0.1), pytest.approx(336.4, abs=0.1)]
    assert best == pytest.approx(282.8, abs=0.1)
    assert len(steps) == 5
