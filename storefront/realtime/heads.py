"""Has a stream heard of everything? Its customer's head in the log knows.

An announcement may be lost, and the last one is noticed by nobody: no gap follows it. So with each
beat of a stream, and when it opened on what this process remembers, the head of its customer is
read, and a stream that was offered less than the head looks into the log. Beats that come while the
store is busy, and for a moment after, are read together in the next round trip, so none is passed
over however many there are. Nothing waits longer than one beat, or where many do, that moment more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import islice

import structlog
import trio

from storefront.errors import StoreUnavailableError
from storefront.realtime.recent import Recent
from storefront.realtime.stream import Stream
from storefront.store.contract import Refused, Store

log = structlog.get_logger(__name__)

# Streams compared in one round trip; a store answers for as many within some milliseconds, and
# other questions come in between.
AT_ONCE = 500
# Seconds after an answer for which beats are gathered. Thousands of streams beat one by one, and a
# question for each was most of what they cost while nothing happened.
GATHERED = 0.25


class HeadWatch:
    """Compares heads. A stream waits here once, so there are never more than streams on the wheel.

    Args:
        store: the log.
        clock: seconds since 1970.
        recent: is told of the heads as well: it may have missed the same announcement.
    """

    def __init__(self, store: Store, *, clock: Callable[[], float], recent: Recent) -> None:
        self._store = store
        self._clock = clock
        self._recent = recent
        self._waiting: dict[Stream, None] = {}
        self._came = trio.Event()
        self.caught = 0  # streams that had missed something

    def look_at(self, streams: Sequence[Stream]) -> None:
        """Have these compared soon."""
        self._waiting.update(dict.fromkeys(streams))
        self._came.set()

    async def run(self) -> None:
        """Compare until cancelled."""
        while True:
            await self._came.wait()
            self._came = trio.Event()
            while self._waiting:
                together = list(islice(self._waiting, AT_ONCE))
                for stream in together:
                    del self._waiting[stream]
                await self._compare(together)
            await trio.sleep(GATHERED)

    async def _compare(self, streams: Collection[Stream]) -> None:
        try:
            heads = await self._store.heads(
                {stream.customer for stream in streams}, now=self._clock()
            )
        except StoreUnavailableError as exc:
            # They are looked at again with their next beat.
            log.warning("heads not compared", streams=len(streams), error=str(exc))
            return
        for stream in streams:
            head, offered = heads.get(stream.customer), stream.offered
            if isinstance(head, Refused):
                # No news of this one, and no matter of the others'; likewise.
                continue
            self._recent.heed(stream.customer, head)
            if offered is None or stream.behind:
                continue
            # Whoever has a stream has a numbering; one that is gone was lost with its events.
            if head is None or head.epoch != offered.epoch or head.seq > offered.seq:
                self.caught += 1
                stream.fall_behind()
