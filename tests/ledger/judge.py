"""What was confirmed against what every reader saw: the faults, or none. PURE.

It knows nothing of the service but the form of an id (`<epoch>-<seq>`), and leaves nothing out of its own accord: a
frame that came twice counts twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal[
    "lost",  # confirmed to the publisher, and not seen
    "double",  # seen more than once
    "foreign",  # another customer's
    "unknown",  # no message of ours becomes this
    "order",  # after one that was posted later
    "sequence",  # an id that is not the next one, or that stands for two events
    "reset",  # told that the stream cannot be resumed, well within the window
    "refused",  # an answer that a browser does not come back from, or no event stream
]


@dataclass(frozen=True, slots=True)
class Frame:
    """One complete event frame, as it was on the wire."""

    id: str
    data: str


@dataclass(slots=True)
class Account:
    """What one reader saw, over all its connections.

    Attributes:
        name: the reader's.
        customer: whose stream it is.
        start: the cursor it was given before any event, "" for none.
        frames: in the order of arrival; nothing is left out.
        modes: the verdicts after the first cursor was given; all of them should be `resumed`.
        refusals: what ended a connection otherwise than a browser could live with.
    """

    name: str
    customer: str
    start: str = ""
    frames: list[Frame] = field(default_factory=list)
    modes: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Posted:
    """Whose message it is, and its number."""

    customer: str
    number: int


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong."""

    kind: Kind
    customer: str
    number: int  # 0 where it is about no message
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: customer {self.customer}, number {self.number}: {self.what}"


def judge(
    book: Mapping[str, Posted], confirmed: Iterable[Posted], accounts: Sequence[Account]
) -> list[Fault]:
    """All faults, in the order of the accounts.

    Args:
        book: by its event's bytes, every message that was ever handed to the broker, confirmed or not.
        confirmed: those that the broker has taken; each must have been seen by every reader of its customer.
        accounts: of every reader.
    """
    owed: dict[str, list[int]] = {}
    for posted in confirmed:
        owed.setdefault(posted.customer, []).append(posted.number)
    faults: list[Fault] = []
    for account in accounts:
        faults += _unwanted(book, account)
        faults += _numbers(owed.get(account.customer, []), _own(book, account), account)
        faults += _sequence(book, account)
        faults += [
            Fault("reset", account.customer, 0, f"{account.name} was told {mode!r}")
            for mode in account.modes
            if mode != "resumed"
        ]
        faults += [
            Fault("refused", account.customer, 0, f"{account.name}: {refusal}")
            for refusal in account.refusals
        ]
    return faults + list(_disagreements(accounts))


def _own(book: Mapping[str, Posted], account: Account) -> list[int]:
    """The numbers of the reader's own customer, as they came."""
    found = (book.get(frame.data) for frame in account.frames)
    return [each.number for each in found if each and each.customer == account.customer]


def _unwanted(book: Mapping[str, Posted], account: Account) -> Iterator[Fault]:
    for frame in account.frames:
        posted = book.get(frame.data)
        if posted is None:
            yield Fault("unknown", account.customer, 0, f"{account.name} saw {frame}")
        elif posted.customer != account.customer:
            told = f"{account.name} saw it, who is of {account.customer}, as {frame.id}"
            yield Fault("foreign", posted.customer, posted.number, told)


def _numbers(owed: Sequence[int], seen: Sequence[int], account: Account) -> Iterator[Fault]:
    times = Counter(seen)
    for number in sorted(set(owed) - set(times)):
        yield Fault("lost", account.customer, number, f"{account.name} never saw it")
    for number, often in times.items():
        if often > 1:
            yield Fault("double", account.customer, number, f"{account.name} saw it {often} times")
    # A repetition is a double and nothing more: the order is that of the first sightings.
    highest = 0
    for number in times:
        if number < highest:
            told = f"{account.name} saw it after {highest}"
            yield Fault("order", account.customer, number, told)
        highest = max(highest, number)


def _sequence(book: Mapping[str, Posted], account: Account) -> Iterator[Fault]:
    """The ids run on from the cursor that was given first, one by one, in one epoch."""
    before = account.start
    for frame in account.frames:
        epoch, _, seq = before.rpartition("-")
        due = f"{epoch}-{int(seq) + 1}" if seq.isdigit() else "an id after a cursor"
        if frame.id != due:
            posted = book.get(frame.data)
            told = f"{account.name} saw id {frame.id!r} where {due!r} was due"
            yield Fault("sequence", account.customer, posted.number if posted else 0, told)
        before = frame.id


def _disagreements(accounts: Sequence[Account]) -> Iterator[Fault]:
    """Two readers of a customer who have different events under one id."""
    stands_for: dict[tuple[str, str], str] = {}
    for account in accounts:
        for frame in account.frames:
            known = stands_for.setdefault((account.customer, frame.id), frame.data)
            if known != frame.data:
                told = (
                    f"id {frame.id!r} is {known} to one reader and {frame.data} to {account.name}"
                )
                yield Fault("sequence", account.customer, 0, told)
