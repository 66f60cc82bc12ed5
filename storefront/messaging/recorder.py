"""One task that records what is ready, in batches, and then has the messages acknowledged.

Batches make themselves: while one is being written, the next gathers. Nothing is acknowledged
before `record` has returned; while the store is away nothing is, and the broker keeps the rest.

What the store refuses for its own sake (one customer's key of a wrong type) stands in line and
holds that customer only. A few are held here unacknowledged, and so keep their place in the queue
whatever becomes of this process. But each is one of the prefetched, and a hundred would stop the
queue for everybody; so the others are put off: a copy goes into the broker's delay queue,
uncounted, and what is recorded is the one in the line. Either way the line is their order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import structlog
import trio

from storefront.domain.ids import CustomerId, OrderId
from storefront.errors import StoreUnavailableError
from storefront.messaging.lines import Lines
from storefront.messaging.recorder_counts import RecorderCounts
from storefront.store.contract import Entry, Recording, Refused, Store
from storefront.telemetry.metrics import Reading

log = structlog.get_logger(__name__)

# A pipeline of 200 records is where the store's cost per event levels off (hazards H22d).
BATCH = 200
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
# Refused messages that are held, of all customers together: a quarter of one queue's prefetch. At
# the bound the next ones are put off.
HELD = 25
# Seconds between two tries of the front of each line. A person has to mend what it was refused for.
HELD_PAUSE = 1.0

BEHIND = Refused("behind", "another of its customer's is refused")
Answer = Entry | Refused | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """An event that may be recorded.

    Attributes:
        recording: what is to be recorded; None where only the order's owner is.
        owner: an order and its customer, to be written down before the event.
        done: called once it is in the log; True where it had been there before.
        put_off: called to have a copy of it come again later, and to settle this one; answers
            whether it will, and did not become a dead letter for its age. None where there is no
            such thing: then it can only be held.
    """

    recording: Recording | None
    owner: tuple[OrderId, CustomerId] | None = None
    done: Callable[[bool], None]
    put_off: Callable[[Refused], bool] | None = None

    @property
    def lane(self) -> str:
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


class Recorder:
    """The way into the log. `room` bounds what waits; at the bound `put` waits too."""

    def __init__(
        self, store: Store, *, clock: Callable[[], float], room: int, held: int = HELD
    ) -> None:
        self._store = store
        self._clock = clock
        self._send, self._receive = trio.open_memory_channel[Ready](room)
        self._lines: Lines[Ready] = Lines()
        self._most_held = held
        self._again_at = math.inf
        self._counts = RecorderCounts()

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
        return f"refuses {len(self._lines)} customer(s)" if len(self._lines) else ""

    def readings(self) -> Iterable[Reading]:
        """What is counted, for /metrics."""
        self._counts.held, self._counts.lines = self._lines.held, len(self._lines)
        return self._counts.readings()

    async def run(self) -> None:
        """Record until cancelled."""
        while True:
            batch: list[Ready] = []
            with trio.move_on_at(self._again_at):
                batch.append(await self._receive.receive())
            in_line: Sequence[Ready] = ()
            if trio.current_time() >= self._again_at:
                in_line, self._again_at = self._lines.due(BATCH), math.inf
            while len(batch) < BATCH:
                try:
                    batch.append(self._receive.receive_nowait())
                except trio.WouldBlock:
                    break
            await self._record(in_line, batch)
            self._again_at = self._next_try()

    def _next_try(self) -> float:
        """When the fronts of the lines are tried: at once where the last one was taken."""
        if not len(self._lines):
            return math.inf
        now = trio.current_time()
        return now if self._lines.moving else max(now, min(self._again_at, now + HELD_PAUSE))

    async def _record(self, in_line: Sequence[Ready], batch: Sequence[Ready]) -> None:
        fresh = []
        for ready in batch:
            if self._lines.waits(ready.lane):
                self._stand(ready, BEHIND)
            else:
                fresh.append(ready)
        answers = await self._write_until_taken([*in_line, *fresh])
        for ready, answer in zip(in_line, answers, strict=False):
            self._settle_in_line(ready, answer)
        for ready, answer in zip(fresh, answers[len(in_line) :], strict=True):
            if isinstance(answer, Refused):
                self._refuse(ready, answer)
            else:
                self._finish(ready, answer)

    async def _write_until_taken(self, batch: Sequence[Ready]) -> Sequence[Answer]:
        pause = FIRST_PAUSE
        while batch:
            try:
                answers = await self._write(batch)
            except StoreUnavailableError as exc:
                # Trying again is harmless: what was recorded already is known by its message id.
                log.warning("the log does not answer", error=str(exc), pause=pause)
                self._counts.failures += 1
                self._counts.away = True
                await trio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                self._counts.batches += 1
                self._counts.away = False
                return answers
        return ()

    async def _write(self, batch: Sequence[Ready]) -> Sequence[Answer]:
        """Owners first: whoever hears of the event may ask whose order it is about."""
        now = self._clock()
        owners = [ready.owner for ready in batch if ready.owner is not None]
        placed = iter(await self._store.place(owners, now=now) if owners else ())
        refusals = _refusals(batch, placed)
        recordings = [
            ready.recording
            for ready, refused in zip(batch, refusals, strict=True)
            if ready.recording is not None and refused is None
        ]
        entries = iter(await self._store.record(recordings, now=now) if recordings else ())
        return [
            refused or (next(entries) if ready.recording is not None else None)
            for ready, refused in zip(batch, refusals, strict=True)
        ]

    def _settle_in_line(self, ready: Ready, answer: Answer) -> None:
        if isinstance(answer, Refused):
            self._counts.refusals[answer.kind] += 1
            self._lines.refused(ready.lane)
            return
        if self._lines.taken(ready):
            log.info("taken by the log again", whose=ready.lane)
        self._finish(ready, answer)

    def _refuse(self, ready: Ready, why: Refused) -> None:
        self._counts.refusals[why.kind] += 1
        if not self._lines.waits(ready.lane):
            # Once, and not with every try: the rest is in the metrics.
            log.warning("refused by the log", whose=ready.lane, kind=why.kind, error=why.detail)
        self._stand(ready, why)

    def _stand(self, ready: Ready, why: Refused) -> None:
        """Put it in line, where a copy may stand already: then it is put off again."""
        few = self._lines.held < self._most_held and not self._lines.was_put_off(ready)
        if few or ready.put_off is None:
            self._lines.hold(ready)
        elif ready.put_off(why):
            self._counts.put_off += 1
            self._lines.put_off(replace(ready, done=_settled_already))
        else:
            self._lines.leave(ready)

    def _finish(self, ready: Ready, answer: Entry | None) -> None:
        known = ready.recording is not None and answer is None
        self._counts.repetitions += known
        self._counts.events += answer is not None
        ready.done(known)


def _settled_already(_known: bool) -> None:
    """What was put off has nobody left who waits to hear of it."""


def _refusals(batch: Sequence[Ready], placed: Iterator[Refused | None]) -> Sequence[Refused | None]:
    """Who stays behind because an owner was refused: from that one on all of its lane, in order."""
    stopped: dict[str, Refused] = {}
    refusals: list[Refused | None] = []
    for ready in batch:
        refused = next(placed) if ready.owner is not None else None
        if refused is not None:
            stopped.setdefault(ready.lane, refused)
        refusals.append(stopped.get(ready.lane))
    return refusals
