"""What the log remembers of a customer, for a view: its place, and facts about its things.

The log is asked with little patience, for a view can do without: a place that is not known is null,
and facts that are not known are a hole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import trio

from storefront.domain.facts import Fact
from storefront.domain.ids import CartId, CustomerId, OrderId
from storefront.domain.positions import Position
from storefront.errors import StoreUnavailableError

# Of a view's second. The log answers in a few milliseconds where it answers at all; starting a
# numbering is a commit.
PATIENCE = 0.25

# The name under which a view says that it was told by events instead of a service.
EVENTS = "events"


class Log(Protocol):
    """What a view asks of the store (store/contract.py)."""

    async def position(self, customer: CustomerId, *, now: float) -> Position: ...

    async def facts(self, customer: CustomerId, *, now: float) -> Sequence[Fact]: ...


class Remembered:
    """The log on a clock. A `deadline` is a view's, on Trio's clock; the log gets no more of it
    than PATIENCE.

    Args:
        log: the store.
        clock: seconds since 1970.
    """

    def __init__(self, log: Log, *, clock: Callable[[], float]) -> None:
        self._log = log
        self._clock = clock

    async def position(self, customer: CustomerId, *, deadline: float) -> Position | None:
        """The customer's place in the log; None where the log does not say in time."""
        with trio.move_on_at(_patience(deadline)):
            try:
                return await self._log.position(customer, now=self._clock())
            except StoreUnavailableError:
                return None
        return None

    async def facts(self, customer: CustomerId, deadline: float) -> Sequence[Fact]:
        """What is known of the customer's things.

        Raises:
            StoreUnavailableError: the log does not say in time.
        """
        with trio.move_on_at(_patience(deadline)):
            return await self._log.facts(customer, now=self._clock())
        raise StoreUnavailableError("no facts in time")


def _patience(deadline: float) -> float:
    return min(deadline, trio.current_time() + PATIENCE)


def cart_among(facts: Sequence[Fact]) -> CartId | None:
    """The cart that the customer's last cart event was about."""
    return next((CartId(fact.state) for fact in facts if fact.kind == "cart"), None)


def shipments_among(facts: Sequence[Fact], order: OrderId) -> Sequence[Fact]:
    """What is known of an order's shipments, newest first."""
    return [fact for fact in facts if fact.kind == "shipment" and fact.order == order]


def payment_among(facts: Sequence[Fact], order: OrderId) -> str | None:
    """How the order's payment stands, in Payments' words."""
    found = (fact.state for fact in facts if fact.kind == "payment" and fact.id == order)
    return next(found, None)


def known_among(facts: Sequence[Fact], order: OrderId) -> bool:
    """Whether an event told that this is an order of this customer's."""
    return any(order in {fact.id, fact.order} for fact in facts if fact.kind != "cart")
