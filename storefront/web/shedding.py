"""Queries go first when there is too much to do: streams, pings and health never pass through here.

A query is shed while the loop is strained (loop_lag.py), or where it would be one composition more
than there are places for. A shed query gets what the cache still has, however old, and says so; it
is refused only where nothing is kept. What lies in the cache costs no place, and who waits for a
composition that is under way takes none either.

Who asks too often (rates.py) is refused before any of this, with a word on when to come back.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Literal

import trio

from storefront.domain.ids import CustomerId
from storefront.errors import QueryShedError
from storefront.queries.rendering import Rendered, Served
from storefront.queries.views import Compose, Keeper
from storefront.telemetry.metrics import Reading
from storefront.web.auth import Caller
from storefront.web.loop_lag import LoopLag
from storefront.web.rates import Rates

Kept = Callable[[CustomerId | None, str], Awaitable[Served | None]]
Reason = Literal["lag", "limit"]

# Seconds after which a refused query may come back: apart from each other, or all who were refused
# together would be too many together again.
SOONEST, LATEST = 1.0, 5.0


class Shedding:
    """When queries are shed, and how many were.

    Args:
        lag: of the loop.
        rates: of single callers.
        most: compositions at the same time.
        uniform: chance, for jitter.
    """

    def __init__(
        self, lag: LoopLag, rates: Rates, *, most: int, uniform: Callable[[float, float], float]
    ) -> None:
        self._lag = lag
        self._rates = rates
        self._most = most
        self._uniform = uniform
        self._under_way = 0
        self._shed: dict[Reason, int] = {"lag": 0, "limit": 0}
        self._refused = 0

    async def run(self) -> None:
        """Measure the loop until cancelled."""
        await self._lag.run()

    def admit(self, caller: Caller) -> None:
        """Count one request of theirs.

        Raises:
            TooManyRequestsError: one too many.
        """
        self._rates.take(caller.customer or caller.subject, trio.current_time())

    def keeper(self, keeper: Keeper, kept: Kept | None = None) -> Keeper:
        """The same keeper, asked while there is time for it.

        Args:
            keeper: the cache, or one that keeps nothing.
            kept: what the cache has of a view, however old; None of one that keeps nothing.
        """
        return _Gate(self, keeper, kept)

    async def within(self, compose: Compose, deadline: float) -> Rendered:
        """Compose in one of the places.

        Raises:
            QueryShedError: all are taken.
        """
        if self._under_way >= self._most:
            raise self.shed("limit")
        self._under_way += 1
        try:
            return await compose(deadline)
        finally:
            self._under_way -= 1

    def strained(self) -> bool:
        """Whether nothing is to be composed at all."""
        self._lag.watch()
        return self._lag.strained

    def shed(self, reason: Reason) -> QueryShedError:
        """One query is; what to raise where nothing is kept."""
        self._shed[reason] += 1
        pause = math.ceil(self._uniform(SOONEST, LATEST))
        return QueryShedError("storefront", "too much to do", retry_in=pause)

    def refused(self) -> None:
        """One that was shed had nothing kept."""
        self._refused += 1

    def readings(self) -> Iterable[Reading]:
        """What is measured and counted, for /metrics."""
        self._lag.watch()
        words = "Seconds by which the event loop is late, smoothed."
        yield "storefront_loop_lag_seconds", words, {}, self._lag.seconds
        yield "storefront_queries_under_way", "Views being composed.", {}, self._under_way
        name, words = "storefront_queries_shed_total", "Queries not composed, by reason."
        for reason, count in self._shed.items():
            yield name, words, {"reason": reason}, count
        yield name, words, {"reason": "rate"}, self._rates.refused
        words = "Shed queries for which nothing was kept: 503."
        yield "storefront_queries_refused_total", words, {}, self._refused


class _Gate:
    def __init__(self, shedding: Shedding, keeper: Keeper, kept: Kept | None) -> None:
        self._shedding = shedding
        self._keeper = keeper
        self._kept = kept

    async def view(self, customer: CustomerId | None, key: str, compose: Compose) -> Served:
        try:
            if self._shedding.strained():
                return await self._old(customer, key)
            composed = partial(self._shedding.within, compose)
            return await self._keeper.view(customer, key, composed)
        except QueryShedError:
            self._shedding.refused()
            raise

    async def _old(self, customer: CustomerId | None, key: str) -> Served:
        trouble = self._shedding.shed("lag")
        found = None if self._kept is None else await self._kept(customer, key)
        if found is None:
            raise trouble
        return found
