"""What is ready to be recorded, and what the store may say to it. A value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from storefront.domain.ids import CustomerId, OrderId
from storefront.store.contract import Entry, Recording, Refused
from storefront.telemetry.tracing import Span

# The event as it is in the log; None where it had been there before, or where there is none.
Answer = Entry | Refused | None
# Told once, when the delivery is out of our hands: whether a copy of it is in the delay queue, or
# it was given back to the broker.
Gone = Callable[[bool], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ready:
    """An event that may be recorded.

    Attributes:
        recording: what is to be recorded; None where only the order's owner is.
        owner: an order and its customer, to be written down before the event.
        since: when its delivery came into our hands, on Trio's clock.
        done: called once it is in the log; True where it had been there before.
        put_off: called to have a copy of it come again later, and then to settle this one; answers
            whether it will, and did not become a dead letter for its age. Until it tells that it is
            gone, `done` may be called instead. None where there is no such thing: then it can only
            be held.
        span: until it is in the log, where anybody wants to know.
    """

    recording: Recording | None
    owner: tuple[OrderId, CustomerId] | None = None
    since: float
    done: Callable[[bool], None]
    put_off: Callable[[Refused, Gone], bool] | None = None
    span: Span | None = None

    @property
    def ordering_key(self) -> str:
        """Within what its order is kept: its customer; of an order that is nobody's, itself."""
        return self.recording.customer if self.recording is not None else self._order

    @property
    def name(self) -> str:
        """What it is known by when it comes again."""
        return self.recording.message_id if self.recording is not None else self._order

    @property
    def size(self) -> int:
        """Bytes of what is kept of it."""
        return len(self.recording.payload) if self.recording is not None else 0

    @property
    def _order(self) -> str:
        return self.owner[0] if self.owner is not None else ""
