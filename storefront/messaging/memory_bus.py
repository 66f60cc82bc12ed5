"""What a broker in this process holds: queues, postponed messages, dead letters.

Nothing here waits. Whoever waits for a change takes `changed` first, then looks, then waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from itertools import count

import trio

from storefront.errors import BrokerError
from storefront.messaging.broker import Delivery

# Messages a queue holds; at the bound `put` is refused, as a broker out of room refuses.
ROOM = 100_000
# Dead letters kept to be looked at; at the bound the oldest goes.
MOST_DEAD_LETTERS = 10_000


@dataclass(slots=True)
class MemoryQueue:
    """Messages in their order, and whether somebody consumes them."""

    waiting: deque[Delivery] = field(default_factory=deque)
    held: bool = False


class MemoryBus:
    """The broker's side; it outlives its sessions.

    Attributes:
        changed: set, and replaced by a new one, with every change.
        cuts: how often connections broke; a session ends with the next one.
        dead_letters: the oldest first.
    """

    def __init__(self) -> None:
        self.changed = trio.Event()
        self.cuts = 0
        self.dead_letters: list[Delivery] = []
        self._queues: dict[str, MemoryQueue] = {}
        self._postponed: list[tuple[float, int, str, Delivery]] = []
        self._serial = count()
        self._reachable = True

    @property
    def postponed(self) -> int:
        """How many messages wait for their time."""
        return len(self._postponed)

    @property
    def next_due(self) -> float:
        """When the next of them comes back, on Trio's clock."""
        return self._postponed[0][0] if self._postponed else float("inf")

    def queue(self, name: str) -> MemoryQueue:
        """The queue of this name, made if there is none."""
        return self._queues.setdefault(name, MemoryQueue())

    def check(self) -> None:
        """Raises:
        BrokerError: the bus is cut.
        """
        if not self._reachable:
            raise BrokerError("the bus is cut")

    def reach(self, reachable: bool) -> None:
        """Be cut, or be mended."""
        self._reachable = reachable
        self.cuts += not reachable
        self.announce()

    def announce(self) -> None:
        """Something changed: who waits looks again."""
        self.changed.set()
        self.changed = trio.Event()

    def put(self, name: str, delivery: Delivery) -> None:
        """Put a message at the end of a queue.

        Raises:
            BrokerError: there is no room.
        """
        waiting = self.queue(name).waiting
        if len(waiting) >= ROOM:
            raise BrokerError("the queue is full")
        waiting.append(delivery)
        self.announce()

    def bring_back(self, name: str, deliveries: Iterable[Delivery]) -> None:
        """Put what was out back into its place, in its order."""
        again = [replace(delivery, redelivered=True) for delivery in deliveries]
        self.queue(name).waiting.extendleft(reversed(again))
        self.announce()

    def postpone(self, name: str, delivery: Delivery, seconds: float) -> None:
        """Keep a message from its queue until then."""
        due = trio.current_time() + seconds
        heappush(self._postponed, (due, next(self._serial), name, delivery))
        self.announce()

    def bring_due(self) -> None:
        """Put back those whose time has come. There is room for what was here before."""
        while self.next_due <= trio.current_time():
            _, _, name, delivery = heappop(self._postponed)
            self.queue(name).waiting.append(delivery)
            self.announce()

    def bury(self, delivery: Delivery) -> None:
        """Put a message with the dead letters."""
        self.dead_letters.append(delivery)
        del self.dead_letters[:-MOST_DEAD_LETTERS]
        self.announce()

    def name(self) -> str:
        """A name that no message has: the client library gives one to a copy without."""
        return f"copy-{next(self._serial)}"
