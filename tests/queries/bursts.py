"""Bursts of events under a browser that refetches after each (hazards H20), on whatever cache and clock.

In a burst a customer opens the cart, and two events come while it, and the refetch after the first, are being read.
Then the page looks at the view a few times more. An answer is wrong if it knows of less than the page has heard of
when it asks, and does not say that it is old (promise 3).
"""

from __future__ import annotations

from collections import Counter
from functools import partial

import trio

from storefront.domain.ids import CustomerId
from tests.queries.keeping import KEY, events_in, rendered
from tests.store.kit import event

# Seconds a reading takes; half of it passes from one event to the next.
READING = 0.02
LATER_LOOKS = 5
# Of one burst: the first, one after each of two events, those later.
LOOKS = 3 + LATER_LOOKS


class Deleting:
    """A shelf with its fence switched off: every view is fresh, every store is done, and what is kept for a customer
    is deleted when an event of theirs arrives, as a cache without generations does it.
    """

    def __init__(self, shelf):
        self._shelf = shelf
        self._deleted = set()

    def delete(self, customer):
        self._deleted.add(customer)

    async def look(self, customer, key):
        _, entry = await self._shelf.look(customer, key)
        return "always", None if customer in self._deleted else entry

    async def keep(self, customer, key, _generation, entry, seconds):
        current, _ = await self._shelf.look(customer, key)
        self._deleted.discard(customer)
        await self._shelf.keep(customer, key, current, entry, seconds)
        return "kept"

    def readings(self):
        return ()


class Bursts:
    """Any number of bursts, each of a customer of its own.

    Args:
        cache, store: under test.
        clock: seconds since 1970.
        arrived: told of each event once it is recorded, before the browser is.
    """

    def __init__(self, cache, store, clock, arrived):
        self._cache = cache
        self._store = store
        self._clock = clock
        self._arrived = arrived
        self._events = Counter()
        self.looks = 0
        self.hits = 0
        self.said_old = 0
        self.wrong_bursts = set()

    async def run(self, numbers):
        for number in numbers:
            await self._burst(CustomerId(f"{number:08}-0000-4000-8000-000000000000"))

    async def _burst(self, customer):
        async with trio.open_nursery() as page:
            page.start_soon(self._look, customer)
            for _ in range(2):
                await trio.sleep(READING / 2)
                await self._happens(customer)
                page.start_soon(self._look, customer)
        for _ in range(LATER_LOOKS):
            await self._look(customer)

    async def _happens(self, customer):
        self._events[customer] += 1
        seen = self._events[customer]
        await self._store.record([event(f"{customer} {seen}", customer)], now=self._clock())
        self._arrived(customer)

    async def _look(self, customer):
        heard = self._events[customer]
        served = await self._cache.view(customer, KEY, partial(self._compose, customer))
        self.looks += 1
        self.hits += served.freshness == "cached"
        self.said_old += served.freshness == "expired"
        if events_in(served) < heard and served.freshness != "expired":
            self.wrong_bursts.add(customer)

    async def _compose(self, customer, _deadline):
        as_of, seen = self._clock(), self._events[customer]
        await trio.sleep(READING)
        return rendered({"events": seen}, owner=customer, as_of=as_of)
