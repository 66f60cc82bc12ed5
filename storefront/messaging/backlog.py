"""What waits until the store is willing again: of each customer of whom it refused something, all
that came since, in order. PURE.

Each has a place. At first its delivery is unacknowledged: it is *held*, or it is on its way into
the broker's delay queue. Once a copy of it is there it is *put off*, and what stands here is only
its place and its contents. So all of a customer's can be taken in its order, at once, when the
store is willing again; the copies come back later and are known by their message ids.

The backlog is this process's own. After a crash all of it comes again from the broker: the held
ones in their old places, the copies in the order in which they return.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import count, islice
from typing import Generic, Protocol, TypeVar

# All that waits, together: places, and bytes of contents. At the bound what is refused gets no
# place: it comes back by its own delay, and may then be behind some that came later. Copies of what
# has a place get one meanwhile all the same: of them there are no more than deliveries in hand.
PLACES = 10_000
BYTES = 32 * 1024 * 1024


class Waiting(Protocol):
    """What waits: within which `ordering_key`, by which `name` its copy is known, how many bytes
    its `size` is, and `since` when its delivery is in hand.
    """

    @property
    def ordering_key(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int: ...

    @property
    def since(self) -> float: ...


W = TypeVar("W", bound=Waiting)


class Backlog(Generic[W]):
    """Places by ordering key; there is no key without one."""

    def __init__(self, *, places: int = PLACES, room: int = BYTES) -> None:
        # By numbers that only rise, so that whoever is put off stays where it stands.
        self._places: dict[str, OrderedDict[int, W]] = {}
        self._numbers = count()
        self._in_hand: dict[int, int] = {}  # by identity, for each delivery has to be settled
        self._put_off: dict[tuple[str, str], int] = {}  # by ordering key and name
        self._held: dict[int, W] = {}  # of those in hand who stay there, the oldest first
        self._willing: set[str] = set()
        self._free = places
        self._room = room

    def __len__(self) -> int:
        """Of how many ordering keys something waits."""
        return len(self._places)

    @property
    def held(self) -> int:
        """How many are unacknowledged and to remain so."""
        return len(self._held)

    @property
    def moving(self) -> bool:
        """Whether a front was taken and more stands behind it."""
        return bool(self._willing)

    def waits(self, ordering_key: str) -> bool:
        """Whether what comes must stand behind others."""
        return ordering_key in self._places

    def was_put_off(self, who: W) -> bool:
        """Whether one of this name was, and keeps its place: then this is its copy."""
        return (who.ordering_key, who.name) in self._put_off

    def has_room_for(self, who: W) -> bool:
        """Whether it may have a place; see PLACES."""
        return self._free > 0 and self._room >= who.size

    def hold(self, who: W) -> None:
        """Take a place at the end, unacknowledged. The bound is the caller's."""
        number = next(self._numbers)
        self._places.setdefault(who.ordering_key, OrderedDict())[number] = who
        self._in_hand[id(who)] = number
        self._held[id(who)] = who
        self._free -= 1
        self._room -= who.size

    def held_since(self, then: float) -> Sequence[W]:
        """Who is held, and has been in hand since then or longer."""
        return [who for who in self._held.values() if who.since <= then]

    def send_off(self, who: W) -> None:
        """It is on its way into the delay queue; until it is there it may be taken all the same."""
        self._held.pop(id(who), None)

    def put_off(self, who: W, kept: W) -> None:
        """The broker has it, and will bring it again: `kept` stands where it stood. Of two of one
        name the first place remains: the second may have come again while the first was held.
        """
        number = self._in_hand.pop(id(who), None)
        self._held.pop(id(who), None)
        if number is None:
            return
        name = (who.ordering_key, who.name)
        first = min(number, self._put_off.get(name, number))
        if name in self._put_off:
            self._vacate(who.ordering_key, max(number, self._put_off[name]))
        self._places[who.ordering_key][first] = kept
        self._put_off[name] = first

    def due(self, most: int) -> Sequence[W]:
        """Who may be tried: of each key the first, of those that move as many as there is room
        for.
        """
        found: list[W] = []
        for key, places in tuple(self._places.items())[:most]:
            # Whoever was asked goes to the back, so that at the bound the others are next.
            self._places[key] = self._places.pop(key)
            together = most - len(found) if key in self._willing else 1
            found += islice(places.values(), together)
        return found[:most]

    def taken(self, who: W) -> bool:
        """It is in the log; whether it was the last of its key."""
        last = self.leave(who)
        if self.waits(who.ordering_key):
            self._willing.add(who.ordering_key)
        return last

    def refused(self, ordering_key: str) -> None:
        """It stands still again."""
        self._willing.discard(ordering_key)

    def leave(self, who: W) -> bool:
        """It is not waited for any more; whether it was the last of its key."""
        self._held.pop(id(who), None)
        number = self._in_hand.pop(id(who), None)
        if number is None:
            number = self._put_off.pop((who.ordering_key, who.name), None)
        return number is not None and self._vacate(who.ordering_key, number)

    def forget(self, who: W) -> None:
        """Neither this one is waited for any more, nor what was put off under its name."""
        self.leave(who)
        self.leave(who)

    def _vacate(self, ordering_key: str, number: int) -> bool:
        places = self._places[ordering_key]
        self._room += places.pop(number).size
        self._free += 1
        if places:
            return False
        self._willing.discard(ordering_key)
        del self._places[ordering_key]
        return True
