"""The bounds of what is kept in memory."""

from __future__ import annotations

from storefront.queries.memory_shelf import OVERHEAD, Bounded
from tests.queries.keeping import MEBIBYTE


def test_the_bytes_are_bounded_and_what_was_not_looked_at_for_the_longest_goes():
    bounded = Bounded(10 * (1000 + OVERHEAD))
    for number in range(10):
        assert bounded.keep(number, bytes(1000), 60.0)
    assert bounded.get(0, 1.0) is not None
    bounded.keep(10, bytes(1000), 60.0)
    assert (len(bounded), bounded.pushed_out) == (10, 1)
    assert bounded.get(1, 1.0) is None
    assert bounded.get(0, 1.0) is not None


def test_however_much_is_kept_no_more_bytes_are_held_than_the_bound():
    bounded = Bounded(MEBIBYTE)
    for number in range(5000):
        bounded.keep(number % 3000, bytes(number % 4000), 60.0)
        assert bounded.bytes <= MEBIBYTE
    held = sum(len(entry) + OVERHEAD for entry, _ in bounded._entries.values())
    assert bounded.bytes == held
    for number in range(3000):
        bounded.drop(number)
    assert (len(bounded), bounded.bytes) == (0, 0)


def test_an_entry_too_large_for_it_is_not_kept_nor_the_one_it_would_replace():
    bounded = Bounded(8000)
    assert bounded.keep("key", bytes(100), 60.0)
    assert not bounded.keep("key", bytes(1001), 60.0)
    assert bounded.get("key", 0.0) is None
    assert bounded.bytes == 0


def test_what_lapsed_is_dropped_when_it_is_looked_at():
    bounded = Bounded(8000)
    bounded.keep("key", bytes(100), 60.0)
    assert bounded.get("key", 59.9) is not None
    assert bounded.get("key", 60.0) is None
    assert (len(bounded), bounded.bytes) == (0, 0)
