"""What happens to an order after it was placed: paid, reserved, packed, sent, delivered, with the
pauses that people are used to, only shorter.

One task and a timetable, not a task per order. A step that falls due while the outbox is full is
put off for a second; one whose order is over by then, or forgotten, is the end of its way.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

import trio

from storefront.demo.messages import Message
from storefront.demo.outbox import Outbox
from storefront.demo.placed import Order
from storefront.demo.world import World

# Seconds until a step is tried again that found the outbox full.
_SECOND_TRY = 1.0

Act = Callable[[World, Order], Sequence[Message]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds before each step. A visitor should see every light come on, and not fall asleep."""

    payment: float = 2.0
    reservation: float = 2.0
    capture: float = 1.0
    commitment: float = 1.0
    dispatch: float = 3.0
    delivery: float = 5.0

    def steps(self) -> tuple[tuple[float, Act], ...]:
        """The way of an order: how long to wait, and what happens then."""
        return (
            (self.payment, World.authorise),
            (self.reservation, World.reserve),
            (self.capture, World.capture),
            (self.commitment, World.commit),
            (self.dispatch, World.dispatch),
            (self.delivery, World.deliver),
        )


class Journeys:
    """Every order that is on its way. As many as the shop remembers orders: 10,000."""

    def __init__(self, world: World, outbox: Outbox, pace: Pace | None = None) -> None:
        self._world = world
        self._outbox = outbox
        self._steps = (pace or Pace()).steps()
        # When, a number that keeps the order of equals, whose, and the step's index.
        self._timetable: list[tuple[float, int, str, int]] = []
        self._number = count()
        self._changed = trio.Event()

    def begin(self, order_id: str) -> None:
        """Send an order on its way."""
        self._plan(order_id, 0, self._steps[0][0])

    def __len__(self) -> int:
        return len(self._timetable)

    async def run(self) -> None:
        """Move orders on for ever."""
        while True:
            with trio.move_on_at(self._next_due()):
                await self._changed.wait()
            self._changed = trio.Event()
            self._take_steps(trio.current_time())

    def _next_due(self) -> float:
        return self._timetable[0][0] if self._timetable else math.inf

    def _take_steps(self, now: float) -> None:
        while self._next_due() <= now:
            _, _, order_id, index = heapq.heappop(self._timetable)
            self._take_step(order_id, index)

    def _take_step(self, order_id: str, index: int) -> None:
        order = self._world.orders.find(order_id)
        if order is None or order.over:
            return
        if self._outbox.full:
            self._plan(order_id, index, _SECOND_TRY)
            return
        _, act = self._steps[index]
        self._outbox.add(act(self._world, order))
        following = index + 1
        if following < len(self._steps):
            # Also when the step was the end of the way: the next one finds the order over.
            self._plan(order_id, following, self._steps[following][0])

    def _plan(self, order_id: str, index: int, pause: float) -> None:
        due = trio.current_time() + pause
        heapq.heappush(self._timetable, (due, next(self._number), order_id, index))
        self._changed.set()
