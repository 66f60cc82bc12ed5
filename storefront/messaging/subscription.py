"""One life of a queue's subscription: what it receives, and what it says is settled."""

from __future__ import annotations

from collections.abc import Mapping

import structlog
import trio

from storefront.errors import BrokerError
from storefront.messaging.broker import LONGEST_IN_HAND, Delivery, Session
from storefront.messaging.dispatch import Dispatcher
from storefront.messaging.retrying import pauses
from storefront.messaging.settlement import Settlement
from storefront.messaging.work import Fate

log = structlog.get_logger(__name__)


class Subscription:
    """One life: receives, and tells the broker what is settled. The dispatcher's `Desk`.

    Attributes:
        over: set when nothing more is to be received in this life.
        ended: why; None where it was not the broker.
        gone: the session is, and nothing can be told to it any more.
    """

    def __init__(self, session: Session) -> None:
        self.over = trio.Event()
        self.ended: BrokerError | None = None
        self.gone = False
        self._session = session
        self._settlement = Settlement()
        self._changed = trio.Event()
        self._finishing = trio.Event()

    def done(self, delivery: Delivery) -> bool:
        self._changed.set()
        return self._settlement.settle(delivery.tag)

    async def refuse(self, delivery: Delivery, why: Mapping[str, str | int]) -> Fate:
        try:
            await self._session.dead_letter(delivery, why)
        except BrokerError as exc:
            log.warning("dead letter without a reason", error=str(exc))
            return await self._reject(delivery)
        self.done(delivery)
        return "taken"

    async def postpone(
        self, delivery: Delivery, seconds: int, notes: Mapping[str, str | int]
    ) -> Fate:
        """See `work.Desk`.

        A broker that is short of memory takes no copies for a while, and is no reason to have the
        queue begin anew; the delivery keeps its place among the prefetched meanwhile.
        """
        until, pause = trio.current_time() + LONGEST_IN_HAND, pauses()
        # It may be recorded while a try fails, or between two of them.
        while self._settlement.is_open(delivery.tag):
            try:
                await self._session.delay(delivery, seconds, notes)
            except BrokerError as exc:
                if not self._settlement.is_open(delivery.tag):
                    break
                if not self._may_try_again(until, exc):
                    self._leave(delivery)
                    return "given back"
                log.info("not postponed", queue=delivery.queue, error=str(exc))
            else:
                return "taken" if self.done(delivery) else "settled before"
            with trio.move_on_after(next(pause)):
                await self._finishing.wait()
        return "settled before"

    async def receive_into(self, dispatcher: Dispatcher) -> None:
        """Receive until cancelled, or until this life is over."""
        while True:
            try:
                delivery = await self._session.receive()
            except BrokerError as exc:
                self.gone = True
                self._end(exc)
                return
            # Cancelled here, the delivery was not taken, and returns to its place in the queue.
            await dispatcher.wait_for_room()
            self._settlement.took(delivery.tag)
            dispatcher.accept(delivery, self)

    async def acknowledge(self) -> None:
        """Tell the broker what is settled, as it comes, until all is and `finish` was called."""
        while True:
            if acks := self._settlement.due():
                try:
                    await self._session.acknowledge(acks)
                except BrokerError as exc:
                    # What was not told comes again.
                    self.gone = True
                    self._end(exc)
                    return
            elif self._finishing.is_set() and not self._settlement.in_hand:
                return
            else:
                await self._changed.wait()
                self._changed = trio.Event()

    def finish(self) -> None:
        """Nothing more comes in: `acknowledge` ends when what is in hand is settled."""
        self._finishing.set()
        self._changed.set()

    async def _reject(self, delivery: Delivery) -> Fate:
        try:
            await self._session.reject(delivery)
        except BrokerError as exc:
            # The session is gone with everything in it: the message comes again.
            self._leave(delivery)
            self._end(exc)
            return "given back"
        self._settlement.drop(delivery.tag)
        self._changed.set()
        return "taken"

    def _may_try_again(self, until: float, error: BrokerError) -> bool:
        """Whether what failed is tried again in this life.

        At the bound the life ends, so that all of it returns to its place in the queue: the broker
        would end it soon, and with it the acknowledgements that are on their way.
        """
        if self._finishing.is_set() or self._session.over:
            return False
        if trio.current_time() < until:
            return True
        log.warning("not postponed for too long", error=str(error))
        self._end(error)
        return False

    def _leave(self, delivery: Delivery) -> None:
        self._settlement.leave(delivery.tag)
        self._changed.set()

    def _end(self, error: BrokerError) -> None:
        self.ended = self.ended or error
        self.over.set()
