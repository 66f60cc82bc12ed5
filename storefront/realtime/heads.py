"""Has a stream heard of everything? Its customer's head in the log knows.

An announcement may be lost, and the last one is noticed by nobody: no gap follows it. So with each
slice of the heartbeat the heads of its customers are read in one round trip, and a stream that was
offered less than the head looks into the log. Nothing waits longer than one beat.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog
import trio

from storefront.errors import StoreUnavailableError
from storefront.realtime.stream import Stream
from storefront.store.contract import Store

log = structlog.get_logger(__name__)

# Slices that wait while the store is slow. At the bound a slice is passed over: its streams are
# looked at again with their next beat.
ROOM = 64


class HeadWatch:
    """Compares heads, slice by slice.

    Args:
        store: the log.
        clock: seconds since 1970.
    """

    def __init__(self, store: Store, *, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._send, self._receive = trio.open_memory_channel[Sequence[Stream]](ROOM)
        self.caught = 0  # streams that had missed something

    def look_at(self, streams: Sequence[Stream]) -> None:
        """Have these compared soon."""
        try:
            self._send.send_nowait(streams)
        except trio.WouldBlock:
            log.warning("heads not compared", streams=len(streams))

    async def run(self) -> None:
        """Compare until cancelled."""
        while True:
            await self._compare(await self._receive.receive())

    async def _compare(self, streams: Sequence[Stream]) -> None:
        try:
            heads = await self._store.heads(
                {stream.customer for stream in streams}, now=self._clock()
            )
        except StoreUnavailableError as exc:
            log.warning("heads not compared", streams=len(streams), error=str(exc))
            return
        for stream in streams:
            head, offered = heads.get(stream.customer), stream.offered
            if head is None or offered is None or stream.behind:
                continue
            if head.epoch != offered.epoch or head.seq > offered.seq:
                self.caught += 1
                stream.fall_behind()
