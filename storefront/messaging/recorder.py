"""One task that records what is ready, in batches, and then has the messages acknowledged.

Batches make themselves: while one is being written, the next gathers. Nothing is acknowledged
before `record` has returned; while the store is away nothing is, and the broker keeps the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog
import trio

from storefront.domain.ids import CustomerId, OrderId
from storefront.errors import StoreUnavailableError
from storefront.store.contract import Recording, Store

log = structlog.get_logger(__name__)

# A pipeline of 200 records is where the store's cost per event levels off (hazards H22d).
BATCH = 200
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """An event that may be recorded.

    Attributes:
        recording: what is to be recorded; None where only the order's owner is.
        owner: an order and its customer, to be written down before the event.
        done: called once it is in the log; True where it had been there before.
    """

    recording: Recording | None
    owner: tuple[OrderId, CustomerId] | None = None
    done: Callable[[bool], None]


class Recorder:
    """The way into the log. `room` bounds what waits; at the bound `put` waits too."""

    def __init__(self, store: Store, *, clock: Callable[[], float], room: int) -> None:
        self._store = store
        self._clock = clock
        self._send, self._receive = trio.open_memory_channel[Ready](room)

    async def put(self, ready: Ready) -> None:
        """Have it recorded after all that was put before."""
        await self._send.send(ready)

    def put_nowait(self, ready: Ready) -> None:
        """The same without waiting.

        Raises:
            trio.WouldBlock: there is no room.
        """
        self._send.send_nowait(ready)

    async def run(self) -> None:
        """Record until cancelled."""
        while True:
            batch = [await self._receive.receive()]
            while len(batch) < BATCH:
                try:
                    batch.append(self._receive.receive_nowait())
                except trio.WouldBlock:
                    break
            await self._record(batch)

    async def _record(self, batch: list[Ready]) -> None:
        pause = FIRST_PAUSE
        recordings = [ready.recording for ready in batch if ready.recording is not None]
        while True:
            try:
                for ready in batch:
                    if ready.owner is not None:
                        await self._store.place(*ready.owner, now=self._clock())
                entries = iter(await self._store.record(recordings, now=self._clock()))
            except StoreUnavailableError as exc:
                # Trying again is harmless: what was recorded already is known by its message id.
                log.warning("the log does not answer", error=str(exc), pause=pause)
                await trio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                break
        for ready in batch:
            ready.done(ready.recording is not None and next(entries) is None)
