"""A delivery in hand, and the desk where it is settled: once, whatever becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from storefront.domain.messages import Message
from storefront.domain.translate import Translation
from storefront.messaging.broker import Delivery
from storefront.messaging.envelope import Envelope

# What became of a delivery that was to go elsewhere: the broker has taken the copy; or it brings
# the delivery itself again, for its session is over; or it had been settled before that.
Fate = Literal["taken", "given back", "settled before"]


class Desk(Protocol):
    """Where a delivery is settled: the subscription it came from."""

    def done(self, delivery: Delivery) -> bool:
        """It may be acknowledged; False where it was settled before."""
        ...

    async def refuse(self, delivery: Delivery, why: Mapping[str, str | int]) -> Fate:
        """Put it with the dead letters, then settle it."""
        ...

    async def postpone(
        self, delivery: Delivery, seconds: int, notes: Mapping[str, str | int]
    ) -> Fate:
        """Have it come back later, then settle it; until the broker takes the copy, or it was
        settled otherwise.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A delivery that could be read. `since` when it is in hand, on Trio's clock."""

    delivery: Delivery
    desk: Desk
    envelope: Envelope
    row: Translation
    message: Message
    since: float
