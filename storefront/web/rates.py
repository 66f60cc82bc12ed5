"""How much one caller may ask: a token bucket each, so that one script does not take the places of
everybody's queries. PURE but for its books: the caller says what time it is.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from math import ceil

from storefront.errors import TooManyRequestsError

# Seconds' worth of requests that may come at once: a page that opens in a dozen tabs is no flood.
BURST = 10.0
# Callers that are remembered, about 200 bytes each. Beyond it the one who was silent for longest is
# forgotten, and begins with a full bucket: the bound costs memory, never somebody's request.
MOST_CALLERS = 50_000


@dataclass(slots=True)
class _Bucket:
    level: float
    at: float


class Rates:
    """The buckets of those who asked lately.

    Args:
        per_second: how many requests one caller may make, in the long run.
        most: callers to remember.
    """

    def __init__(self, per_second: float, *, most: int = MOST_CALLERS) -> None:
        self._rate = per_second
        self._size = max(1.0, per_second * BURST)
        self._most = most
        # The one who was silent for longest stands first.
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self.refused = 0

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, caller: str, now: float) -> None:
        """Count one request of theirs.

        Raises:
            TooManyRequestsError: they have none left. It is not counted: who waits gets through.
        """
        self._forget(now)
        bucket = self._buckets.pop(caller, None) or _Bucket(self._size, now)
        bucket.level = min(self._size, bucket.level + (now - bucket.at) * self._rate)
        bucket.at = now
        self._buckets[caller] = bucket
        if bucket.level < 1:
            self.refused += 1
            raise TooManyRequestsError(ceil((1 - bucket.level) / self._rate))
        bucket.level -= 1

    def _forget(self, now: float) -> None:
        """Drop those whose bucket is full again, and who is one too many."""
        full_after = self._size / self._rate
        while self._buckets:
            caller, bucket = next(iter(self._buckets.items()))
            if now - bucket.at < full_after and len(self._buckets) < self._most:
                return
            del self._buckets[caller]
