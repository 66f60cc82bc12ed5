"""The judge sees what is planted, names it, and accuses nobody else."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from itertools import islice

import pytest

from tests.ledger.judge import Account, Frame, Posted, judge
from tests.ledger.post import customers, letters

WHO = customers(3, random.Random(1))
LETTERS = list(islice(letters(WHO, random.Random(2)), 60))
BOOK = {letter.event: Posted(letter.customer, letter.number) for letter in LETTERS}


def account(customer: str, name: str = "reader") -> Account:
    """Of one to whom nothing went wrong."""
    own = [letter.event for letter in LETTERS if letter.customer == customer]
    frames = [Frame(f"k-{seq}", data) for seq, data in enumerate(own, 1)]
    return Account(name, customer, "k-0", frames, ["resumed", "resumed"])


def verdict(found: Account, *others: Account, confirmed: list[Posted] | None = None):
    owed = list(BOOK.values()) if confirmed is None else confirmed
    return [
        (fault.kind, fault.customer, fault.number)
        for fault in judge(BOOK, owed, [account(WHO[1]), found, *others])
    ]


def numbered(frames: list[Frame]) -> list[Frame]:
    """The same frames under ids without a fault."""
    return [replace(frame, id=f"k-{seq}") for seq, frame in enumerate(frames, 1)]


@pytest.fixture
def reader() -> Account:
    return account(WHO[0])


def test_there_is_nothing_wrong_where_nothing_is(reader):
    assert verdict(reader) == []
    assert verdict(reader, account(WHO[0], "another")) == []


def test_a_confirmed_message_that_was_not_seen_is_lost(reader):
    del reader.frames[3]
    reader.frames = numbered(reader.frames)
    assert verdict(reader) == [("lost", WHO[0], 4)]


def test_all_is_lost_to_one_who_saw_nothing(reader):
    owed = len(reader.frames)
    reader.frames = []
    assert [kind for kind, _, _ in verdict(reader)] == ["lost"] * owed


def test_a_message_that_was_never_confirmed_may_be_seen_or_not(reader):
    confirmed = [posted for posted in BOOK.values() if posted != Posted(WHO[0], 2)]
    assert verdict(reader, confirmed=confirmed) == []
    del reader.frames[1]
    reader.frames = numbered(reader.frames)
    assert verdict(reader, confirmed=confirmed) == []


def test_an_event_that_was_recorded_twice_is_a_double(reader):
    reader.frames = numbered([*reader.frames[:5], reader.frames[2], *reader.frames[5:]])
    assert verdict(reader) == [("double", WHO[0], 3)]


def test_a_frame_that_was_sent_twice_is_a_double_and_breaks_the_sequence(reader):
    reader.frames.insert(5, reader.frames[4])
    assert verdict(reader) == [("double", WHO[0], 5), ("sequence", WHO[0], 5)]


def test_an_event_of_somebody_else_is_foreign(reader):
    strange = next(letter.event for letter in LETTERS if letter.customer == WHO[2])
    reader.frames = numbered([*reader.frames, Frame("", strange)])
    assert verdict(reader) == [("foreign", WHO[2], 1)]


def test_an_event_that_differs_in_one_byte_is_unknown_and_its_message_lost(reader):
    reader.frames[0] = replace(reader.frames[0], data=reader.frames[0].data.replace("}", " }"))
    assert verdict(reader) == [("unknown", WHO[0], 0), ("lost", WHO[0], 1)]


def test_one_that_comes_after_a_later_one_is_out_of_order(reader):
    frames = reader.frames
    frames[3], frames[4] = frames[4], frames[3]
    reader.frames = numbered(frames)
    assert verdict(reader) == [("order", WHO[0], 4)]


@pytest.mark.parametrize("wrong", ["k-9", "k-1", "k-2", "l-3", "k-", ""])
def test_an_id_that_is_not_the_next_breaks_the_sequence_there_and_after(reader, wrong):
    reader.frames[2] = replace(reader.frames[2], id=wrong)
    found = [fault for fault in verdict(reader) if fault[2]]
    assert found == [("sequence", WHO[0], 3), ("sequence", WHO[0], 4)]


def test_one_reader_with_two_events_under_one_id_breaks_the_sequence(reader):
    reader.frames[2] = replace(reader.frames[2], id="k-2")
    assert ("sequence", WHO[0], 0) in verdict(reader)


def test_a_numbering_that_does_not_go_on_from_the_cursor_breaks_the_sequence(reader):
    reader.start = "k-7"
    assert verdict(reader) == [("sequence", WHO[0], 1)]
    reader.start = ""
    assert verdict(reader) == [("sequence", WHO[0], 1)]


def test_two_readers_with_two_events_under_one_id_break_the_sequence(reader):
    other = account(WHO[0], "another")
    frames = [*other.frames[:3], other.frames[4], other.frames[3], *other.frames[5:]]
    other.frames = numbered(frames)
    found = verdict(reader, other)
    assert found.count(("sequence", WHO[0], 0)) == 2
    assert ("order", WHO[0], 4) in found


@pytest.mark.parametrize("mode", ["reset", "fresh"])
def test_a_reader_who_is_told_to_start_over_was_reset(reader, mode):
    reader.modes.append(mode)
    assert verdict(reader) == [("reset", WHO[0], 0)]


def test_an_answer_that_a_browser_does_not_survive_is_a_refusal(reader):
    reader.refusals.append("status 503")
    assert verdict(reader) == [("refused", WHO[0], 0)]


def test_a_fault_says_who_and_which(reader):
    del reader.frames[-1]
    (fault,) = judge(BOOK, BOOK.values(), [reader])
    assert str(fault).startswith(f"lost: customer {WHO[0]}, number {fault.number}: reader")


def test_every_message_has_an_event_of_its_own_with_its_number_in_it():
    assert len(BOOK) == len(LETTERS) == len({letter.message_id for letter in LETTERS})
    for letter in LETTERS:
        assert json.loads(letter.body)
        assert json.loads(letter.event)["customerId"] == letter.customer
    for customer in WHO:
        own = [letter.number for letter in LETTERS if letter.customer == customer]
        assert own == list(range(1, len(own) + 1))


def test_the_same_seed_posts_the_same_letters():
    assert list(islice(letters(WHO, random.Random(2)), 60)) == LETTERS
