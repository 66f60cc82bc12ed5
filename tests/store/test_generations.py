from __future__ import annotations

from itertools import count

from storefront.domain.ids import CustomerId
from storefront.store.generations import Generations
from tests.store.kit import ALICE, BOB, NOW


def generations(kept: int) -> Generations:
    tokens = count(1)
    return Generations(lambda: f"t{next(tokens)}", kept=kept)


def test_a_generation_is_empty_until_it_is_renewed():
    current = generations(2)
    assert current.of(ALICE) == ""
    assert current.renew(ALICE, NOW) == current.of(ALICE) != ""
    assert current.of(BOB) == ""


def test_at_the_bound_the_longest_unchanged_is_forgotten():
    current = generations(2)
    first = current.renew(ALICE, NOW)
    current.renew(BOB, NOW)
    again = current.renew(ALICE, NOW)
    current.renew(CustomerId("carol"), NOW)
    assert current.of(ALICE) == again != first


def test_a_forgotten_generation_comes_back_neither_as_it_was_nor_as_none():
    """Or a view read before the event would pass for one read after it."""
    current = generations(1)
    seen = {"", current.of(ALICE)}
    for round_ in range(5):
        seen.add(current.renew(ALICE, NOW))
        current.renew(CustomerId(f"pushes it out {round_}"), NOW)
        assert current.of(ALICE) not in seen
        seen.add(current.of(ALICE))


def test_no_more_are_kept_than_the_bound():
    current = generations(10)
    for number in range(1000):
        current.renew(CustomerId(str(number)), NOW)
    assert len(current._current) == 10


def test_whoever_is_forgotten_makes_nobody_elses_views_old():
    current = generations(1)
    watched = [CustomerId(f"only looks {number}") for number in range(100)]
    before = {customer: current.of(customer) for customer in watched}
    current.renew(ALICE, NOW)
    current.renew(BOB, NOW)  # forgets her
    changed = [customer for customer in watched if current.of(customer) != before[customer]]
    assert len(changed) <= 3, "those of her share"
    assert current.of(ALICE) != ""
