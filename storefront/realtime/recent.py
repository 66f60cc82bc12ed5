"""What this process has heard of each customer lately, so that a return need not ask the store.

Every process hears of every event. The tail of what it heard of a customer is kept here: of one
epoch, without holes, as far as there is room. A cursor inside it is answered from it: what follows,
resumable, with the last number heard as the head. Everything else is answered by None, "don't
know", and is for the store to say; that a cursor can *not* be resumed is never said here.

Why a browser misses nothing by it. The hub tells the tail and the streams in one step, and a stream
joins the hub before it asks: what was heard before the question is in the answer, what is heard
after it comes to the stream. The answer is the one the store gave when the last number heard was
its head, and by the same rule (contract, promise 3, `now` being the caller's).

What was announced and not heard. `lost` forgets everything, a number that does not follow the last
begins the tail anew. One announcement, the last, may be missed unnoticed, by the tail as by every
live stream. `resumed` is true all the same: everything up to the position told follows. But a live
stream learns of what it missed with its next beat, and a browser that is cut more often than that
would come back to the same tail each time. So whoever is answered from here has its head looked at
there and then (`Heartbeat.look`, in batches: a thousand returns are a few round trips). A head
beyond the tail silences it until what is between has been heard, and has the stream read the log.

A Redis that lost its data, or a numbering that was let go: the tail still knows the old epoch, and
says `resumed` where the store would say `reset`. What it replays did happen and was this
customer's; the same look at the head then finds the other epoch, drops the tail, and the stream
goes on with `reset`, milliseconds later and in the same response. To ask the store first would cost
the very question that is to be spared, to spare the browser two frames on the day Redis lost data.

Synchronous and without a clock: the store is not asked here, and the time is an argument.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from storefront.domain.ids import CustomerId
from storefront.domain.positions import Position
from storefront.store.contract import Entry, Slice

# Bytes, of all customers. At the bound the customer least recently heard of is forgotten, and is
# answered by the store. At 250 bytes of payload these are 11,000 events: 37 a second for the whole
# window.
ROOM = 8 * 1024 * 1024
# Of one customer; at the bound its oldest events go. Twice what a stream's channel holds, so that a
# stream that overflowed finds here what it let go.
ROOM_EACH = 512 * 1024
# What an entry costs besides its payload, its trace context and all objects counted; and a tail,
# however short. They bound the numbers as well: 1,000 entries of a customer, 16,000 customers.
ENTRY, TAIL = 512, 512


@dataclass(slots=True)
class _Tail:
    """The newest of one customer: `entries` end at `head` and have no holes.

    `known` is the furthest number of this epoch that anybody told us of.
    """

    head: Position
    known: int
    entries: list[Entry] = field(default_factory=list)
    size: int = TAIL

    def extend(self, entry: Entry) -> None:
        """Add the entry, or begin anew with it where it does not follow."""
        epoch, seq = entry.position.epoch, entry.position.seq
        if epoch != self.head.epoch:
            self.known = seq
        if epoch != self.head.epoch or seq != self.head.seq + 1:
            self.entries.clear()
            self.size = TAIL
        self.head = entry.position
        self.known = max(self.known, seq)
        self.entries.append(entry)
        self.size += _size(entry)

    def let_go(self, room: int) -> None:
        """Drop the oldest until the rest fits."""
        count = 0
        while self.size > room and count < len(self.entries):
            self.size -= _size(self.entries[count])
            count += 1
        del self.entries[:count]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentStatistics:
    """How much is kept now."""

    customers: int
    size: int


class Recent:
    """The tails of the customers, bounded in bytes. `window` is the store's, in seconds."""

    def __init__(self, *, window: float, room: int = ROOM, room_each: int = ROOM_EACH) -> None:
        self._window = window
        self._room = room
        self._room_each = room_each
        # The least recently heard of first.
        self._tails: OrderedDict[CustomerId, _Tail] = OrderedDict()
        self._size = 0

    def hear(self, entries: Sequence[Entry]) -> None:
        """Events were announced, per customer in log order."""
        for entry in entries:
            self._append(entry)
        while self._size > self._room:
            _, tail = self._tails.popitem(last=False)
            self._size -= tail.size

    def lost(self) -> None:
        """Announcements may have been missed, of whomever."""
        self._tails.clear()
        self._size = 0

    def heed(self, customer: CustomerId, head: Position | None) -> None:
        """The store says that the customer's log reaches this far, or did a moment ago; None where
        there is none.
        """
        tail = self._tails.get(customer)
        if tail is None:
            return
        if head is not None and head.epoch == tail.head.epoch:
            tail.known = max(tail.known, head.seq)
        else:
            # Also where the answer is the older of the two: then the store is asked once more.
            self._size -= self._tails.pop(customer).size

    def since(
        self, customer: CustomerId, cursor: Position, *, now: float, limit: int, max_bytes: int
    ) -> Slice | None:
        """What follows the cursor, as `contract.Store.since` has it; None for "don't know"."""
        tail = self._tails.get(customer)
        if tail is None or tail.known > tail.head.seq or tail.head.epoch != cursor.epoch:
            return None
        after = len(tail.entries) - (tail.head.seq - cursor.seq)
        if not 0 <= after <= len(tail.entries):
            return None
        if cursor != tail.head and now - tail.entries[after].recorded_at > self._window:
            return None
        found = _slice(tail.entries, after, limit, max_bytes)
        return Slice(resumable=True, entries=found, head=tail.head)

    def statistics(self) -> RecentStatistics:
        return RecentStatistics(customers=len(self._tails), size=self._size)

    def _append(self, entry: Entry) -> None:
        tail = self._tails.get(entry.customer)
        if tail is None:
            tail = self._tails[entry.customer] = _Tail(entry.position, entry.position.seq)
            self._size += tail.size
        self._size -= tail.size
        tail.extend(entry)
        tail.let_go(self._room_each)
        self._size += tail.size
        self._tails.move_to_end(entry.customer)


def _slice(entries: Sequence[Entry], start: int, limit: int, max_bytes: int) -> Sequence[Entry]:
    """At most so many, and of about so many bytes of payload, but at least the first."""
    found: list[Entry] = []
    size = 0
    for entry in entries[start : start + max(limit, 1)]:
        size += len(entry.payload)
        if found and size > max_bytes:
            break
        found.append(entry)
    return tuple(found)


def _size(entry: Entry) -> int:
    return ENTRY + len(entry.payload)
