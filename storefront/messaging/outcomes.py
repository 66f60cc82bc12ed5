"""What becomes of a delivery in the end. Each is counted once, and makes room for another once.

Where the broker has to take a copy first, delayed or dead, that is done in a serial queue of its
own: nothing waits for it, neither the next message nor the same customer's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

import structlog

from storefront.errors import InvalidMessageError
from storefront.messaging import retrying, spans
from storefront.messaging.broker import Delivery
from storefront.messaging.ready import Gone
from storefront.messaging.serial_queues import SerialQueues
from storefront.messaging.work import Desk, Fate, Work
from storefront.store.contract import Refused
from storefront.telemetry import tracing

log = structlog.get_logger(__name__)


class Watch(Protocol):
    """Who counts what became of the deliveries."""

    def settled(self, outcome: str, kind: str) -> None: ...


class Outcomes:
    """See the module. `make_room` is called once for each delivery."""

    def __init__(
        self,
        queues: SerialQueues[object],
        *,
        watch: Watch,
        clock: Callable[[], float],
        make_room: Callable[[], None],
    ) -> None:
        self._queues = queues
        self._watch = watch
        self._clock = clock
        self._make_room = make_room

    def recorded(self, work: Work, known_before: bool) -> None:
        """It is in the log. Nothing, where the delay queue has taken it meanwhile."""
        if work.desk.done(work.delivery):
            outcome = "duplicate" if known_before else "recorded"
            self._settle(work.delivery, outcome, work.row.name)

    def drop(self, delivery: Delivery, desk: Desk, outcome: str) -> None:
        """There is nothing to record."""
        desk.done(delivery)
        self._settle(delivery, outcome, "")

    def refuse(self, delivery: Delivery, desk: Desk, error: InvalidMessageError) -> None:
        """It can never be recorded: it becomes a dead letter."""
        log.warning("dead letter", reason=error.reason, detail=error.detail, type=delivery.type)
        why = retrying.dead_letter_notes(delivery, error.reason, str(error), self._clock())
        self._apart(partial(self._bury, delivery, desk, why, error.reason))

    def count_attempt(self, work: Work) -> None:
        """Orders answered and knows no such order: perhaps it will in a moment."""
        after = retrying.after_unknown(work.delivery)
        if after is None:
            error = InvalidMessageError("unplaceable", "no service knows this order")
            self.refuse(work.delivery, work.desk, error)
            return
        self._apart(partial(self._postpone, work, after, "order-unknown"))

    def try_later(self, work: Work, error: Exception) -> None:
        """Whoever could answer is away; that is not the message's fault, and is not counted."""
        after = retrying.after_unreachable(work.delivery, self._clock())
        if after is None:
            gone = InvalidMessageError("unreachable", "no answer for a day")
            self.refuse(work.delivery, work.desk, gone)
            return
        log.warning("postponed", error=str(error), type=work.row.name, pause=after.seconds)
        self._apart(partial(self._postpone, work, after, "unreachable"))

    def put_off(self, work: Work, why: Refused, gone: Gone) -> bool:
        """The store refuses this one for its own sake: a copy of it comes again, uncounted; False
        where it has done so for a day. Which copy comes back first does not matter: the recorder
        has their order.
        """
        after = retrying.after_unreachable(work.delivery, self._clock())
        if after is None:
            error = InvalidMessageError("unreachable", f"refused by the log for a day: {why.kind}")
            self.refuse(work.delivery, work.desk, error)
            return False
        self._apart(partial(self._postpone, work, after, "refused", gone))
        return True

    async def _bury(
        self, delivery: Delivery, desk: Desk, why: dict[str, str | int], reason: str
    ) -> None:
        with tracing.within(delivery.span):
            fate = await desk.refuse(delivery, why)
        self._end(delivery, fate, "dead-letter", reason)

    async def _postpone(
        self, work: Work, after: retrying.Retry, kind: str, gone: Gone | None = None
    ) -> None:
        with tracing.within(work.delivery.span):
            fate = await work.desk.postpone(work.delivery, after.seconds, after.notes)
        self._end(work.delivery, fate, "postponed", kind)
        if gone is not None and fate != "settled before":
            gone(fate == "taken")

    def _apart(self, job: Callable[[], Awaitable[None]]) -> None:
        self._queues.put(object(), job)

    def _end(self, delivery: Delivery, fate: Fate, outcome: str, kind: str) -> None:
        if fate != "settled before":
            self._settle(delivery, outcome if fate == "taken" else "given-back", kind)

    def _settle(self, delivery: Delivery, outcome: str, kind: str) -> None:
        spans.settled(delivery, outcome)
        self._make_room()
        self._watch.settled(outcome, kind)
