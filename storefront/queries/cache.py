"""Views that were composed before: answered while they are fresh, shown as old ones when a source
fails, and never a step back.

    async def compose(deadline: float) -> Rendered    asks the services, until then on Trio's clock;
                                                      DownstreamError where there is nothing to show
    await cache.view(customer, key, compose)          Served, within the view deadline + SETTLING
    await cache.kept(customer, key)                   Served or None; asks no service

`customer` is whose view it is, not who looks, so that support shares it; None for what is
everybody's. Where it is not known before the owner was asked (an order by its id), it is the
reader, and what turns out to be somebody else's (`Rendered.foreign`) is not kept in any form. `key`
names the view and all that changes it ("checkout:<id>:stock"), in our words and canonical ids.
What is everybody's lies in this process, wherever the others lie: nobody has to prove who they are
to have it kept, and the memory of a Redis that never forgets is also the log's.

**No step back.** A customer's view generation changes with each of their events, before the event
is pushed. An entry carries the generation its reading began under, and a look brings the entry and
the generation of now in one round trip: fresh is only what was read under that one. Readings are
shared under one generation only. When a reading ends, keeping it tells whether the generation is
still the same; if an event came meanwhile, it is read once more, and what was overtaken twice is
shown for what it is, `expired`. Where the shelf cannot tell the generation, nothing is kept,
nothing is shared, and the services answer.

**What is kept, and for how long.** A whole view is fresh for 30 s give or take a tenth, so that
what was read together does not lapse together, and kept for 10 minutes for the time when its owner
fails. A service may lag its own event: what was read less than LAG after one is fresh for a second
only. That there is no such thing is kept for 10 s. An incomplete view is remembered by this process
for a second and nowhere else: long enough that a failing service is not asked by every reload, too
short to be looked at when it has recovered; and it never takes the place of a whole one, which says
more when the owner fails too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import trio

from storefront.domain.ids import NOBODY, CustomerId
from storefront.errors import DownstreamError, DownstreamTimeoutError
from storefront.queries.cache_counts import CacheCounts
from storefront.queries.cache_entries import Entry, Lifetimes, Place
from storefront.queries.memory_shelf import Bounded, MemoryShelf
from storefront.queries.rendering import Rendered, Served
from storefront.queries.single_flight import Flights
from storefront.settings import ViewSettings
from storefront.telemetry.metrics import Reading

Compose = Callable[[float], Awaitable[Rendered]]

# Seconds beyond the view's deadline to keep what was composed at the last moment, and to hand it
# over; then what there is goes out unkept.
SETTLING = 0.05
# How often one request reads: a second time where an event came during the first. A third would be
# overtaken as likely, by a customer to whom something happens all the time.
READINGS = 2
# Of the bytes that are set, the share of what is everybody's.
PUBLIC_SHARE = 1 / 8
# Seconds an incomplete view is remembered, and bytes of all of them.
INCOMPLETE_KEPT = 1.0
INCOMPLETE_BYTES = 4 * 1024 * 1024

_TOO_LATE = "no view before its deadline"


class Shelf(Protocol):
    """Where entries lie: in this process (memory_shelf.py) or in Redis (store/redis_shelf.py).

    It never raises for trouble of its own: a shelf that is away is one on which nothing lies.
    """

    async def look(self, customer: CustomerId, key: str) -> tuple[str | None, bytes | None]:
        """The customer's generation, and what is kept under the key; a generation of None is not
        known, and then there is no entry either.
        """
        ...

    async def keep(
        self, customer: CustomerId, key: str, generation: str, entry: bytes, seconds: float
    ) -> bool | None:
        """Keep an entry so long, if the customer's generation is the one its reading began under.

        Returns:
            whether that was so; None where nobody can say, and nothing is known to be kept.
        """
        ...

    def readings(self) -> Iterable[Reading]:
        """What it counts, for /metrics."""
        ...


class _Still:
    """The generation of what no event is about."""

    async def generation(self, _customer: CustomerId) -> str:
        await trio.lowlevel.checkpoint()
        return ""


@dataclass(frozen=True, slots=True)
class _Found:
    """What a look brought: the generation, and the entry with its freshness if there is one."""

    generation: str | None
    entry: Entry | None = None
    ttl: float = 0.0

    @property
    def forwarded(self) -> Literal["uri-miss", "stale", "bypass"]:
        """Why a service was asked (RFC 9211)."""
        if self.generation is None:
            return "bypass"
        return "uri-miss" if self.entry is None else "stale"


@dataclass(frozen=True, slots=True)
class _Reading:
    """What a composition came to. `stands` is None where nobody knows of the generation."""

    rendered: Rendered
    stands: bool | None = field(kw_only=True)
    stored: bool = False
    collapsed: bool = False


class Cache:
    """Answers views. `run` must run beside it.

    Args:
        shelf: where the views lie.
        settings: how long for.
        clock: seconds since 1970.
        uniform: chance, for jitter.
    """

    def __init__(
        self,
        shelf: Shelf,
        settings: ViewSettings,
        *,
        clock: Callable[[], float],
        uniform: Callable[[float, float], float],
    ) -> None:
        self._shelf = shelf
        self._public = MemoryShelf(_Still(), most=int(settings.cache_bytes * PUBLIC_SHARE))
        self._deadline = settings.view_deadline
        self._lifetimes = Lifetimes(settings, uniform)
        self._clock = clock
        self._flights: Flights[tuple[Place, str], _Reading] = Flights()
        self._incomplete = Bounded[Place](INCOMPLETE_BYTES)
        self._counts = CacheCounts()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry the compositions that several may wait for, until cancelled."""
        await self._flights.run(task_status=task_status)

    async def view(self, customer: CustomerId | None, key: str, compose: Compose) -> Served:
        """The view: fresh from the cache, composed now, or an old one where that fails.

        Raises:
            DownstreamError: there is nothing to show; DownstreamTimeoutError also where `compose`
                did not end in time.
        """
        place = Place(customer, key)
        until = trio.current_time() + self._deadline
        found = await self._look(place)
        overtaken: Rendered | None = None
        trouble: DownstreamError = DownstreamTimeoutError(key, _TOO_LATE)
        try:
            with trio.move_on_at(until + SETTLING):
                for _ in range(READINGS):
                    if found.entry is not None and found.ttl > 0:
                        return self._fresh(found.entry, found.ttl)
                    reading = await self._read(place, found.generation, compose, until)
                    if reading.stands is not False:
                        return self._live(reading, found)
                    overtaken = reading.rendered
                    found = await self._look(place)
        except DownstreamError as exc:
            trouble = exc
        return self._old(overtaken, found, trouble)

    async def kept(self, customer: CustomerId | None, key: str) -> Served | None:
        """What there is of a view, however old, without asking any service."""
        found = await self._look(Place(customer, key))
        if found.entry is None:
            return None
        if found.ttl > 0:
            return self._fresh(found.entry, found.ttl)
        return self._old(None, found, None)

    def statistics(self) -> CacheCounts:
        """What was counted since the start."""
        return self._counts.with_flights(self._flights.statistics())

    def readings(self) -> Iterable[Reading]:
        """The same for /metrics, with what the shelf counts."""
        yield from self.statistics().readings()
        yield from self._shelf.readings()

    async def _look(self, place: Place) -> _Found:
        generation, data = await self._look_up(place)
        if generation is None:
            return _Found(None)
        now = self._clock()
        whole = self._restored(data, place)
        if whole is not None and (ttl := whole.ttl(generation, now)) > 0:
            return _Found(generation, whole, ttl)
        brief = self._restored(self._incomplete.get(place, trio.current_time()), place)
        if brief is not None and (ttl := brief.ttl(generation, now)) > 0:
            return _Found(generation, brief, ttl)
        if whole is not None and whole.age(now) < self._lifetimes.kept_for(whole.rendered):
            return _Found(generation, whole, whole.ttl(generation, now))
        return _Found(generation)

    async def _look_up(self, place: Place) -> tuple[str | None, bytes | None]:
        owner, shelf = self._whereabouts(place)
        return await shelf.look(owner, place.key)

    def _whereabouts(self, place: Place) -> tuple[CustomerId, Shelf]:
        if place.customer is None:
            return NOBODY, self._public
        return place.customer, self._shelf

    def _restored(self, data: bytes | None, place: Place) -> Entry | None:
        if data is None:
            return None
        entry = Entry.read(data, place)
        self._counts.poisoned += entry is None
        return entry

    async def _read(
        self, place: Place, generation: str | None, compose: Compose, until: float
    ) -> _Reading:
        """Compose it, or wait for whoever does so under the same generation."""
        if generation is None:
            # A reading that is under way may have begun before an event we cannot know of.
            self._counts.bypassed += 1
            return _Reading(await compose(until), stands=None)

        async def fly() -> _Reading:
            return await self._keep(place, generation, await compose(until), until)

        flight = self._flights.find((place, generation))
        collapsed = flight is not None
        if flight is None:
            flight = self._flights.launch([(place, generation)], fly, until=until + SETTLING)
        try:
            return replace(await flight.wait(), collapsed=collapsed)
        except trio.TooSlowError:
            raise DownstreamTimeoutError(place.key, _TOO_LATE) from None

    async def _keep(
        self, place: Place, generation: str, rendered: Rendered, until: float
    ) -> _Reading:
        """Keep what was composed, and find out whether it still stands."""
        if rendered.foreign:
            return _Reading(rendered, stands=None)
        stands: bool | None = None
        # Half of the time, for a shelf that holds us must not take what was composed with it.
        with trio.move_on_at(until + SETTLING / 2):
            if rendered.complete or not rendered.found:
                stands = await self._keep_whole(place, generation, rendered)
            else:
                stands = await self._keep_incomplete(place, generation, rendered)
        self._counts.fenced += stands is False
        self._counts.lost += stands is None
        stored = stands is True and rendered.complete
        self._counts.stored += stored
        return _Reading(rendered, stands=stands, stored=stored)

    async def _keep_whole(self, place: Place, generation: str, rendered: Rendered) -> bool | None:
        entry = Entry(generation, self._lifetimes.fresh_for(rendered, generation), rendered)
        left = self._lifetimes.kept_for(rendered) - entry.age(self._clock())
        owner, shelf = self._whereabouts(place)
        return await shelf.keep(owner, place.key, generation, entry.written(place), left)

    async def _keep_incomplete(
        self, place: Place, generation: str, rendered: Rendered
    ) -> bool | None:
        # For so long from now, not from when its reading began: that may have been all of a second
        # ago, with a service that is slow.
        now = self._clock()
        entry = Entry(generation, now - rendered.as_of + INCOMPLETE_KEPT, rendered)
        expires = trio.current_time() + INCOMPLETE_KEPT
        self._incomplete.keep(place, entry.written(place), expires)
        current, _ = await self._look_up(place)
        return None if current is None else current == generation

    def _fresh(self, entry: Entry, ttl: float) -> Served:
        self._counts.hits += 1
        return Served(rendered=entry.rendered, freshness="cached", ttl=ttl)

    def _live(self, reading: _Reading, found: _Found) -> Served:
        self._counts.misses += 1
        return Served(
            rendered=reading.rendered,
            forwarded=found.forwarded,
            stored=reading.stored,
            collapsed=reading.collapsed,
        )

    def _old(
        self, overtaken: Rendered | None, found: _Found, trouble: DownstreamError | None
    ) -> Served:
        """The newest there is of what is not fresh."""
        if overtaken is not None:
            rendered, ttl = overtaken, 0.0
        elif found.entry is not None:
            rendered, ttl = found.entry.rendered, found.ttl
        else:
            self._counts.failed += 1
            raise trouble or DownstreamTimeoutError("the cache", "has nothing")
        self._counts.expired += 1
        forwarded = None if trouble is None else found.forwarded
        return Served(rendered=rendered, freshness="expired", ttl=ttl, forwarded=forwarded)
