"""What happens to an order after it was placed: paid, reserved, packed, sent, delivered, with the
pauses that people are used to, only shorter; and to one that is sent back.

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
from storefront.demo.returns import Return
from storefront.demo.world import World

# Seconds until a step is tried again that found the outbox full.
_SECOND_TRY = 1.0

# What happens to the order of that id; None is the end of its way.
Act = Callable[[str], Sequence[Message] | None]
# Seconds to wait before that.
Step = tuple[float, Act]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds before each step. A visitor should see every light come on, and not fall asleep."""

    payment: float = 2.0
    reservation: float = 2.0
    capture: float = 1.0
    commitment: float = 1.0
    dispatch: float = 3.0
    delivery: float = 5.0
    approval: float = 2.0
    receipt: float = 4.0
    refund: float = 3.0


class Journeys:
    """Every order that is on its way, or on its way back. As many as the shop remembers orders."""

    def __init__(self, world: World, outbox: Outbox, pace: Pace | None = None) -> None:
        self._world = world
        self._outbox = outbox
        pace = pace or Pace()
        self._way = (
            (pace.payment, self._of_order(world.authorise)),
            (pace.reservation, self._of_order(world.reserve)),
            (pace.capture, self._of_order(world.capture)),
            (pace.commitment, self._of_order(world.commit)),
            (pace.dispatch, self._of_order(world.dispatch)),
            (pace.delivery, self._of_order(world.deliver)),
        )
        self._way_back = (
            (pace.approval, self._of_return(world.approve_return)),
            (pace.receipt, self._of_return(world.receive_return)),
            (pace.refund, self._of_return(world.complete_return)),
        )
        # When, a number that keeps the order of equals, whose, and the steps that are left.
        self._timetable: list[tuple[float, int, str, Sequence[Step]]] = []
        self._number = count()
        self._changed = trio.Event()

    def begin(self, order_id: str) -> None:
        """Send an order on its way."""
        self._plan(order_id, self._way)

    def take_back(self, order_id: str) -> None:
        """Have a delivered order sent back.

        Raises:
            RefusedError: there is none, it cannot be sent back, or the outbox is full.
        """
        self._outbox.check_room()
        self._outbox.add(self._world.take_back(order_id))
        self._plan(order_id, self._way_back)

    def __len__(self) -> int:
        return len(self._timetable)

    async def run(self) -> None:
        """Move orders on for ever."""
        while True:
            with trio.move_on_at(self._next_due()):
                await self._changed.wait()
            self._changed = trio.Event()
            self._take_steps(trio.current_time())

    def _of_order(self, act: Callable[[Order], Sequence[Message]]) -> Act:
        def step(order_id: str) -> Sequence[Message] | None:
            order = self._world.orders.find(order_id)
            return None if order is None or order.over else act(order)

        return step

    def _of_return(self, act: Callable[[Return], Sequence[Message]]) -> Act:
        def step(order_id: str) -> Sequence[Message] | None:
            made = self._world.returns.find(order_id)
            return None if made is None else act(made)

        return step

    def _next_due(self) -> float:
        return self._timetable[0][0] if self._timetable else math.inf

    def _take_steps(self, now: float) -> None:
        while self._next_due() <= now:
            _, _, order_id, steps = heapq.heappop(self._timetable)
            self._take_step(order_id, steps)

    def _take_step(self, order_id: str, steps: Sequence[Step]) -> None:
        (_, act), *left = steps
        if self._outbox.full:
            self._plan(order_id, steps, _SECOND_TRY)
            return
        happened = act(order_id)
        if happened is None:
            return
        self._outbox.add(happened)
        if left:
            # Also when the step was the end of the way: the next one finds the order over.
            self._plan(order_id, left)

    def _plan(self, order_id: str, steps: Sequence[Step], pause: float | None = None) -> None:
        due = trio.current_time() + (steps[0][0] if pause is None else pause)
        heapq.heappush(self._timetable, (due, next(self._number), order_id, steps))
        self._changed.set()
