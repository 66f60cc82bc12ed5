"""One task that records what is ready, in batches, and then has the messages acknowledged.

Batches make themselves: while one is being written, the next gathers. Nothing is acknowledged
before `record` has returned; while the store is away nothing is, and the broker keeps the rest.

What the store refuses for its own sake (one customer's key of a wrong type) waits in the backlog
and holds that customer only. A few are held here unacknowledged, and so keep their place in the
queue whatever becomes of this process. But each is one of the prefetched, and a hundred would stop
the queue for everybody; and no broker lets one be unacknowledged for ever. So the others are put
off, and these too when it takes long: a copy goes into the broker's delay queue, uncounted, and
what is recorded is the one in the backlog. Either way the backlog is their order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

import structlog
import trio

from storefront.messaging.backlog import Backlog
from storefront.messaging.broker import LONGEST_IN_HAND
from storefront.messaging.log_writer import LogWriter
from storefront.messaging.ready import Answer, Ready
from storefront.messaging.recorder_counts import RecorderCounts
from storefront.store.contract import Entry, Refused, Store
from storefront.telemetry import tracing
from storefront.telemetry.metrics import Reading

log = structlog.get_logger(__name__)

# A pipeline of 200 records is where the store's cost per event levels off (hazards H22d).
BATCH = 200
# Refused messages that are held, of all customers together: a quarter of one queue's prefetch. At
# the bound the next ones are put off.
HELD = 25
# Seconds between two tries of what stands first of each key. A person has to mend what it was
# refused for.
HELD_PAUSE = 1.0

BEHIND = Refused("behind", "another of its customer's is refused")
FOR_LONG = Refused("for-long", "it has been refused for too long to be held")


class Recorder:
    """The way into the log. `room` bounds what waits; at the bound `put` waits too."""

    def __init__(
        self, store: Store, *, clock: Callable[[], float], room: int, held: int = HELD
    ) -> None:
        self._send, self._receive = trio.open_memory_channel[Ready](room)
        self._backlog: Backlog[Ready] = Backlog()
        self._most_held = held
        self._again_at = math.inf
        self._counts = RecorderCounts()
        self._writer = LogWriter(store, clock=clock, counts=self._counts)

    async def put(self, ready: Ready) -> None:
        """Have it recorded after all that was put before."""
        await self._send.send(ready)

    def put_nowait(self, ready: Ready) -> None:
        """The same without waiting.

        Raises:
            trio.WouldBlock: there is no room.
        """
        self._send.send_nowait(ready)

    def condition(self) -> str:
        """What ails the way into the log, in a few words for a person; "" for nothing."""
        if self._counts.away:
            return "takes nothing"
        return f"refuses {len(self._backlog)} customer(s)" if len(self._backlog) else ""

    def readings(self) -> Iterable[Reading]:
        """What is counted, for /metrics."""
        self._counts.held, self._counts.refused_keys = self._backlog.held, len(self._backlog)
        return self._counts.readings()

    async def run(self) -> None:
        """Record until cancelled."""
        while True:
            batch: list[Ready] = []
            with trio.move_on_at(self._again_at):
                batch.append(await self._receive.receive())
            again: Sequence[Ready] = ()
            if trio.current_time() >= self._again_at:
                again, self._again_at = self._backlog.due(BATCH), math.inf
            while len(batch) < BATCH:
                try:
                    batch.append(self._receive.receive_nowait())
                except trio.WouldBlock:
                    break
            await self._record(again, batch)
            self._put_off_the_old()
            self._again_at = self._next_try()

    def _next_try(self) -> float:
        """When the backlog is tried: at once where what stood first was taken."""
        if not len(self._backlog):
            return math.inf
        now = trio.current_time()
        return now if self._backlog.moving else max(now, min(self._again_at, now + HELD_PAUSE))

    async def _record(self, again: Sequence[Ready], batch: Sequence[Ready]) -> None:
        fresh = []
        for ready in batch:
            if self._backlog.waits(ready.ordering_key):
                self._wait(ready, BEHIND)
            else:
                fresh.append(ready)
        answers = await self._writer.write_until_taken([*again, *fresh])
        for ready, answer in zip(again, answers, strict=False):
            self._settle_again(ready, answer)
        for ready, answer in zip(fresh, answers[len(again) :], strict=True):
            if isinstance(answer, Refused):
                self._refuse(ready, answer)
            else:
                self._finish(ready, answer)

    def _settle_again(self, ready: Ready, answer: Answer) -> None:
        if isinstance(answer, Refused):
            self._counts.refusals[answer.kind] += 1
            self._backlog.refused(ready.ordering_key)
            return
        if self._backlog.taken(ready):
            log.info("taken by the log again", whose=ready.ordering_key)
        self._finish(ready, answer)

    def _refuse(self, ready: Ready, why: Refused) -> None:
        self._counts.refusals[why.kind] += 1
        if not self._backlog.waits(ready.ordering_key):
            # Once, and not with every try: the rest is in the metrics.
            log.warning(
                "refused by the log", whose=ready.ordering_key, kind=why.kind, error=why.detail
            )
        self._wait(ready, why)

    def _wait(self, ready: Ready, why: Refused) -> None:
        """Put it into the backlog. Held are a few, and not what stands there by its name: that is a
        copy which came back, and is put off again.
        """
        copy = self._backlog.was_put_off(ready)
        room = copy or ready.put_off is None or self._backlog.has_room_for(ready)
        if room:
            self._backlog.hold(ready)
        if copy or not room or self._backlog.held > self._most_held:
            self._put_off(ready, why)

    def _put_off_the_old(self) -> None:
        for ready in self._backlog.held_since(trio.current_time() - LONGEST_IN_HAND):
            self._put_off(ready, FOR_LONG)

    def _put_off(self, ready: Ready, why: Refused) -> None:
        if ready.put_off is None:
            return
        self._backlog.send_off(ready)
        if not ready.put_off(why, partial(self._gone, ready)):
            self._backlog.forget(ready)

    def _gone(self, ready: Ready, put_off: bool) -> None:
        """The broker has it, in the delay queue or in its old place, and will bring it again."""
        self._counts.put_off += put_off
        self._backlog.put_off(ready, replace(ready, done=_settled_already, put_off=None))

    def _finish(self, ready: Ready, answer: Entry | None) -> None:
        known = ready.recording is not None and answer is None
        self._counts.repetitions += known
        self._counts.events += answer is not None
        tracing.end(ready.span)
        ready.done(known)


def _settled_already(_known: bool) -> None:
    """What was put off has nobody left who waits to hear of it."""
