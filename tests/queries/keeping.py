"""What the tests of the caches share: a customer's events on virtual time, and a service whose answer tells of them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from itertools import count

import trio

from storefront.errors import DownstreamUnavailableError
from storefront.queries.cache import Cache
from storefront.queries.memory_shelf import MemoryShelf
from storefront.queries.parts import Composed, Source
from storefront.queries.rendering import render
from storefront.settings import ViewSettings
from storefront.store.memory import MemoryStore
from tests.store.kit import ALICE, NOW, event

KEY = "cart"
MEBIBYTE = 1024 * 1024


def clock():
    """Seconds since 1970, on Trio's time."""
    return NOW + trio.current_time()


def steady(low, high):
    """Chance that jitters nothing."""
    return (low + high) / 2


def memory_store():
    numbers = count()
    return MemoryStore(window=300.0, kept_ids=10, token=lambda: f"t{next(numbers)}")


def rendered(view, *, owner=ALICE, state="ok", as_of=None):
    """A view as a composer renders it, begun now or then."""
    began = trio.current_time()
    return render(
        Composed(view=view, owner=owner, sources={"shopping": Source(state, began)}),
        began=began,
        as_of=clock() if as_of is None else as_of,
        position=None,
    )


class Service:
    """Knows how many events there were when it was asked, and says so after a while."""

    def __init__(self, *, takes=0.0):
        self.takes = takes
        self.events = 0
        self.calls = 0
        self.under_way = 0
        self.down = False
        self.state = "ok"
        self.known = True
        self.deadlines = []

    async def compose(self, deadline):
        self.calls += 1
        self.deadlines.append(deadline)
        self.under_way += 1
        try:
            as_of, seen = clock(), self.events
            await trio.sleep(self.takes)
            if self.down:
                raise DownstreamUnavailableError("shopping", "is down")
            view = {"events": seen} if self.known else None
            owner = ALICE if self.known else None
            return rendered(view, owner=owner, state=self.state, as_of=as_of)
        finally:
            self.under_way -= 1


class Shop:
    """A cache in memory over a store, and one service behind it."""

    def __init__(self, service=None, *, shelf=None, uniform=steady, **settings):
        self.store = memory_store()
        self.service = service or Service()
        self.shelf = shelf or MemoryShelf(self.store, most=MEBIBYTE)
        self.cache = Cache(self.shelf, ViewSettings(**settings), clock=clock, uniform=uniform)

    async def view(self, customer=ALICE, key=KEY):
        return await self.cache.view(customer, key, self.service.compose)

    async def happens(self, customer=ALICE):
        """An event of the customer's; the service knows of it first, as in the real shop."""
        self.service.events += 1
        name = f"{customer} {self.service.events}"
        await self.store.record([event(name, customer)], now=clock())

    async def prime(self):
        served = await self.view()
        assert served.freshness == "live"
        return served


@asynccontextmanager
async def open_shop(*args, **settings):
    shop = Shop(*args, **settings)
    async with trio.open_nursery() as nursery:
        await nursery.start(shop.cache.run)
        yield shop
        nursery.cancel_scope.cancel()


def events_in(served):
    """How many events the view knows of."""
    prefix, number = b'{"events":', served.rendered.body
    assert number.startswith(prefix)
    return int(number.removeprefix(prefix).removesuffix(b"}"))
