from __future__ import annotations

from storefront.serving.allowance import FULL, REFILL, Allowance


def test_a_burst_up_to_the_full_purse_is_paid_for():
    purse = Allowance(now=0)
    assert all(purse.spend(1, 0) for _ in range(int(FULL)))
    assert not purse.spend(1, 0)


def test_the_purse_refills_with_time_and_never_beyond_full():
    purse = Allowance(now=0)
    assert purse.spend(FULL, 0)
    assert purse.spend(REFILL, 1)
    assert not purse.spend(1, 1)
    assert not purse.spend(FULL + 1, 1000)


def test_what_is_sent_pays_for_what_answers_it():
    purse = Allowance(now=0)
    purse.spend(FULL, 0)
    purse.earn(2)
    assert purse.spend(2, 0)
    purse.earn(10 * FULL)
    assert not purse.spend(FULL + 1, 0)
