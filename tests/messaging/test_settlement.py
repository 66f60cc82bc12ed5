from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storefront.messaging.broker import Ack
from storefront.messaging.settlement import Settlement


def books(*tags: int) -> Settlement:
    settlement = Settlement()
    for tag in tags:
        settlement.took(tag)
    return settlement


def test_an_unbroken_prefix_is_acknowledged_at_once():
    settlement = books(1, 2, 3)
    for tag in (1, 2, 3):
        settlement.settle(tag)
    assert settlement.due() == [Ack(3, multiple=True)]
    assert settlement.due() == []


def test_what_stands_behind_an_unfinished_one_is_acknowledged_singly():
    settlement = books(1, 2, 3, 4)
    settlement.settle(2)
    settlement.settle(4)
    assert settlement.due() == [Ack(2, multiple=False), Ack(4, multiple=False)]
    settlement.settle(1)
    assert settlement.due() == [Ack(1, multiple=True)]
    settlement.settle(3)
    assert settlement.due() == [Ack(3, multiple=True)]
    assert settlement.in_hand == 0


def test_a_tag_that_was_never_taken_or_is_settled_twice_changes_nothing():
    settlement = books(1)
    settlement.settle(7)
    settlement.settle(1)
    settlement.settle(1)
    assert settlement.in_hand == 0
    assert settlement.due() == [Ack(1, multiple=True)]


def test_one_that_is_left_is_not_waited_for_and_never_acknowledged():
    settlement = books(1, 2)
    settlement.leave(1)
    settlement.settle(2)
    assert settlement.in_hand == 0
    assert settlement.due() == [Ack(2, multiple=False)]


def test_a_tag_that_was_rejected_is_never_named_again_and_does_not_break_the_prefix():
    settlement = books(1, 2, 3)
    settlement.settle(1)
    settlement.drop(2)
    settlement.settle(3)
    assert settlement.in_hand == 0
    assert settlement.due() == [Ack(3, multiple=True)]
    settlement = books(1, 2)
    settlement.settle(1)
    settlement.drop(2)
    assert settlement.due() == [Ack(1, multiple=True)]


@given(
    st.lists(
        st.tuples(st.sampled_from(["took", "settle", "drop", "due"]), st.integers(0, 30)),
        max_size=120,
    )
)
def test_a_broker_that_obeys_the_acks_never_drops_an_unfinished_message_and_keeps_no_finished_one(
    steps,
):
    settlement = Settlement()
    at_broker: set[int] = set()
    finished: set[int] = set()
    dropped: set[int] = set()
    last = 0

    def tell() -> None:
        for ack in settlement.due():
            told = {tag for tag in at_broker if tag <= ack.tag} if ack.multiple else {ack.tag}
            assert ack.tag in at_broker, "an ack of a tag the broker does not know"
            assert told <= at_broker
            assert told <= finished, "an unfinished message was acknowledged"
            at_broker.difference_update(told)

    for what, number in steps:
        if what == "took":
            last += 1
            settlement.took(last)
            at_broker.add(last)
        elif what == "settle" and at_broker - finished:
            tag = sorted(at_broker - finished)[number % len(at_broker - finished)]
            settlement.settle(tag)
            finished.add(tag)
        elif what == "drop" and at_broker - finished:
            tag = sorted(at_broker - finished)[number % len(at_broker - finished)]
            settlement.drop(tag)
            at_broker.discard(tag)
            dropped.add(tag)
        else:
            tell()
        assert settlement.in_hand == len(at_broker - finished)
    tell()
    assert at_broker == set(range(1, last + 1)) - finished - dropped


def test_a_tag_that_was_left_is_never_acknowledged_nor_settled_and_counted_again():
    """Its message comes again; who holds it may still hear that it is recorded."""
    books = Settlement()
    for tag in (1, 2, 3):
        books.took(tag)
    books.leave(2)
    assert [books.settle(tag) for tag in (1, 2, 3)] == [True, False, True]
    assert books.in_hand == 0
    assert books.due() == [Ack(1, multiple=True), Ack(3, multiple=False)]
