"""A batch into the store: owners first, and until it is taken.

The store answers for each of a batch by itself, or does not answer at all. Then the batch is tried
again, as a whole: what was recorded already is known by its message id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import structlog
import trio

from storefront.errors import StoreUnavailableError
from storefront.messaging.ready import Answer, Ready
from storefront.messaging.recorder_counts import RecorderCounts
from storefront.messaging.retrying import pauses
from storefront.store.contract import Refused, Store
from storefront.telemetry import tracing

log = structlog.get_logger(__name__)


class LogWriter:
    """The only one who writes into the log."""

    def __init__(self, store: Store, *, clock: Callable[[], float], counts: RecorderCounts) -> None:
        self._store = store
        self._clock = clock
        self._counts = counts

    async def write_until_taken(self, batch: Sequence[Ready]) -> Sequence[Answer]:
        """The store's answers, one for each, however long they take."""
        pause = pauses()
        while batch:
            try:
                # The store's own spans are of all of the batch.
                with tracing.within(*(ready.span for ready in batch)):
                    answers = await self._write(batch)
            except StoreUnavailableError as exc:
                seconds = next(pause)
                log.warning("the log does not answer", error=str(exc), pause=seconds)
                self._counts.failures += 1
                self._counts.away = True
                await trio.sleep(seconds)
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


def _refusals(batch: Sequence[Ready], placed: Iterator[Refused | None]) -> Sequence[Refused | None]:
    """Who stays behind because an owner was refused: from there on all of its key, in order."""
    stopped: dict[str, Refused] = {}
    refusals: list[Refused | None] = []
    for ready in batch:
        refused = next(placed) if ready.owner is not None else None
        if refused is not None:
            stopped.setdefault(ready.ordering_key, refused)
        refusals.append(stopped.get(ready.ordering_key))
    return refusals
