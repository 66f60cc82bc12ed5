"""Those whom the store has refused, and who came behind them: a line for each customer. PURE.

Whoever stands here is *held*, and then its delivery is unacknowledged, or was *put off*, and then a
copy of it is in the broker's delay queue and what stands here is only its place and its contents.
So the whole line can be taken in its order, at once, when the store is willing again; the copies
come back later and are known by their message ids.

The lines are this process's own. After a crash all of it comes again from the broker: the held ones
in their old places, the copies in the order in which they return.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import islice
from typing import Generic, Protocol, TypeVar

# What was put off, in all lines together: places, and bytes of contents. At the bound what is put
# off gets no place: it comes back by its own delay, and may then be behind some that came later.
PLACES = 10_000
BYTES = 32 * 1024 * 1024


class Standing(Protocol):
    """What stands in a line: `lane` says in which, `name` who it is, `size` how many bytes."""

    @property
    def lane(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int: ...


S = TypeVar("S", bound=Standing)


class Lines(Generic[S]):
    """A line for each lane of which something was refused; there is none that is empty."""

    def __init__(self, *, places: int = PLACES, room: int = BYTES) -> None:
        # In a line, by its name what was put off, and by its identity what is held.
        self._lines: dict[str, OrderedDict[str | int, S]] = {}
        self._willing: set[str] = set()
        self._places = places
        self._room = room
        self.held = 0  # how many are unacknowledged

    def __len__(self) -> int:
        """How many lines there are."""
        return len(self._lines)

    @property
    def moving(self) -> bool:
        """Whether a front was taken and more stands behind it."""
        return bool(self._willing)

    def waits(self, lane: str) -> bool:
        """Whether what comes must stand behind others."""
        return lane in self._lines

    def was_put_off(self, who: S) -> bool:
        """Whether one of this name was, and keeps its place: then this is its copy."""
        return who.lane in self._lines and who.name in self._lines[who.lane]

    def hold(self, who: S) -> None:
        """Take a place at the end: one for each delivery, for each has to be settled. The bound is
        the caller's.
        """
        self._lines.setdefault(who.lane, OrderedDict())[id(who)] = who
        self.held += 1

    def put_off(self, who: S) -> None:
        """Take a place at the end, or keep the one it has; see PLACES."""
        if self._places < 1 or self._room < who.size or self.was_put_off(who):
            return
        self._places -= 1
        self._room -= who.size
        self._lines.setdefault(who.lane, OrderedDict())[who.name] = who

    def due(self, most: int) -> Sequence[S]:
        """Who may be tried: of each line the first, of those that move as many as there is room
        for.
        """
        found: list[S] = []
        for lane, line in tuple(self._lines.items())[:most]:
            # Whoever was asked goes to the back, so that at the bound the others are next.
            self._lines[lane] = self._lines.pop(lane)
            together = most - len(found) if lane in self._willing else 1
            found += islice(line.values(), together)
        return found[:most]

    def taken(self, who: S) -> bool:
        """It is in the log; whether it was the last of its line."""
        self._willing.add(who.lane)
        return self.leave(who)

    def refused(self, lane: str) -> None:
        """The line stands still again."""
        self._willing.discard(lane)

    def leave(self, who: S) -> bool:
        """It is not waited for any more; whether it was the last of its line."""
        line = self._lines.get(who.lane)
        if line is None:
            return False
        if line.pop(id(who), None) is not None:
            self.held -= 1
        elif (left := line.pop(who.name, None)) is not None:
            self._places += 1
            self._room += left.size
        if line:
            return False
        self._willing.discard(who.lane)
        del self._lines[who.lane]
        return True
