"""Reading the log for those who came back or fell behind.

At most READS at a time: after a restart every browser comes at once, and the store has other work
too. The others wait their turn, their channels filling meanwhile, which costs them one more slice
and nobody anything else.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from storefront.domain.ids import CustomerId
from storefront.domain.positions import Position
from storefront.store.contract import Slice, Store

READS = 8
# One slice is one write to the browser, and its send deadline is for a write: at 20 KiB/s, 64 KiB
# take 3.2 s.
SLICE_ENTRIES = 500
SLICE_BYTES = 64 * 1024


class LogReader:
    """The store's reading side, on a clock and behind a limiter.

    Args:
        store: the log.
        clock: seconds since 1970.
    """

    def __init__(self, store: Store, *, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._limiter = trio.CapacityLimiter(READS)

    async def head(self, customer: CustomerId) -> Position:
        """The last position of a customer's log.

        Raises:
            StoreUnavailableError: the log does not answer.
        """
        async with self._limiter:
            return await self._store.position(customer, now=self._clock())

    async def since(self, customer: CustomerId, cursor: Position) -> Slice:
        """What follows a cursor, one write's worth.

        Raises:
            StoreUnavailableError: the log does not answer.
        """
        async with self._limiter:
            return await self._store.since(
                customer,
                cursor,
                now=self._clock(),
                limit=SLICE_ENTRIES,
                max_bytes=SLICE_BYTES,
            )
