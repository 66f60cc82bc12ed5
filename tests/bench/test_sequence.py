"""What a stream was due, held against what it got."""

import pytest

from bench.measure.sequence import Faults, Sequence


@pytest.mark.parametrize(
    ("numbers", "due", "faults"),
    [
        ([1, 2, 3], 3, Faults(0, 0, 0)),
        ([1, 3], 3, Faults(1, 0, 0)),
        ([1, 2], 4, Faults(2, 0, 0)),
        ([1, 2, 2, 3], 3, Faults(0, 1, 0)),
        ([1, 3, 2], 3, Faults(0, 0, 1)),
        ([1, 4, 2, 2], 4, Faults(1, 1, 1)),
        ([2, 3], 3, Faults(1, 0, 0)),
        ([], 2, Faults(2, 0, 0)),
    ],
)
def test_each_fault_is_counted_for_what_it_is(numbers, due, faults):
    sequence = Sequence()
    for number in numbers:
        sequence.take(number)
    assert sequence.faults(due) == faults


def test_a_stream_that_comes_back_goes_on_from_where_it_was():
    sequence = Sequence(last=5)
    sequence.take(5)
    sequence.take(6)
    assert sequence.faults(6) == Faults(0, 1, 0)
