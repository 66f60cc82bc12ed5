"""Views that were composed before: answered while they are fresh, shown as old ones when a source
fails, and never a step back.

    async def compose(deadline: float) -> Rendered    asks the services, until then on Trio's clock;
                                                      DownstreamError where there is nothing to show
    await cache.view(customer, key, compose)          Served, within the view deadline + SETTLING
    await cache.kept(customer, key)                   Served or None; asks no service

`customer` is whose view it is, not who looks, so that support shares it; None for what is
everybody's. Where it is not known before the owner was asked (an order by its id), it is the
reader. `key` names the view and all that changes it ("checkout:<id>:stock"), in our words and
canonical ids. What is everybody's lies in this process, wherever the others lie: nobody has to
prove who they are to have it kept, and the memory of a Redis that never forgets is also the log's.

**No step back.** A customer's view generation changes with each of their events, before the event
is pushed. An entry carries the generation its reading began under, and a look brings the entry and
the generation of now in one round trip. Readings are shared under one generation only. When a
reading ends, keeping it tells whether the generation is still the same; where the shelf cannot say
(it was slow, or went), it is looked at once more. If an event came meanwhile, the view is read once
more. So much do the words promise that an answer says of itself:

    live      composed now, alone or for several: when it was ready, no event of the customer's had
              come since its reading began
    cached    read before, and no event has come since; at most so old as a view may be
    expired   all else that can be shown: it is too old, or an event came since, or nobody can say.
              It may be composed this very moment; `streamPosition` says what it knows of, or null

Nobody can say where the generation of now is not known: Redis is gone, or too slow to be waited
for. Nothing is kept and nothing shared then, the services answer, and what they say is `expired`.
Where it is known only at the end, it tells itself whether it is older than the reading. A view that
is too large for the shelf is compared like any, and not kept.

**What is kept, and for how long.** A whole view is fresh for 30 s give or take a tenth, so that
what was read together does not lapse together, and kept for 10 minutes for the time when its owner
fails. A service may lag its own event: what was read less than LAG after one is fresh for a second
only. An incomplete view is remembered for a second (cache_kept.py). That there is no such thing is
not kept at all: somebody else's thing must look like one that is not there, and may not be kept,
so that who asks twice would know them apart by how long the second answer takes, or by whom it
costs a question. Both cost one, each time; what asking without end costs is bounded elsewhere
(web/rates.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import trio

from storefront.domain.ids import CustomerId
from storefront.errors import DownstreamError, DownstreamTimeoutError
from storefront.queries.cache_counts import CacheCounts
from storefront.queries.cache_entries import Entry, Place
from storefront.queries.cache_kept import SETTLING, Compose, Found, KeptViews
from storefront.queries.cache_shelf import Keeping, Shelf, stands_after
from storefront.queries.cache_unkept import Unkept
from storefront.queries.rendering import Rendered, Served
from storefront.queries.single_flight import Flights
from storefront.settings import ViewSettings
from storefront.telemetry.metrics import Reading

__all__ = ["Cache", "Shelf"]

# How often one request reads: a second time where an event came during the first. A third would be
# overtaken as likely, by a customer to whom something happens all the time.
READINGS = 2

_TOO_LATE = "no view before its deadline"


@dataclass(frozen=True, slots=True)
class _Reading:
    """What a composition came to. `stands` is None where nobody can say whether it does."""

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
        self._deadline = settings.view_deadline
        self._flights: Flights[tuple[Place, str], _Reading] = Flights()
        self._counts = CacheCounts()
        self._kept = KeptViews(shelf, settings, clock=clock, uniform=uniform, counts=self._counts)
        self.unkept = Unkept(self._kept, settings.view_deadline)

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
        found = await self._kept.find(place)
        if (entry := found.fresh) is not None:
            return self._fresh(entry, found.ttl)
        return await self._anew(place, found, compose, until)

    async def fresh(self, customer: CustomerId, key: str) -> Served | None:
        """The view if it is fresh in the cache. To be asked where that costs next to nothing."""
        found = await self._kept.find(Place(customer, key))
        return None if found.fresh is None else self._fresh(found.fresh, found.ttl)

    async def kept(self, customer: CustomerId | None, key: str) -> Served | None:
        """What there is of a view, however old, without asking any service."""
        found = await self._kept.find(Place(customer, key))
        if (entry := found.fresh) is not None:
            return self._fresh(entry, found.ttl)
        return None if found.entry is None else self._old(None, found, None)

    def statistics(self) -> CacheCounts:
        """What was counted since the start."""
        return self._counts.with_flights(self._flights.statistics())

    def readings(self) -> Iterable[Reading]:
        """The same for /metrics, with what the shelf counts."""
        yield from self.statistics().readings()
        yield from self._kept.shelf.readings()

    async def _anew(self, place: Place, found: Found, compose: Compose, until: float) -> Served:
        """Composed now, where nothing fresh was found."""
        newest: Rendered | None = None
        trouble: DownstreamError = DownstreamTimeoutError(place.key, _TOO_LATE)
        try:
            with trio.move_on_at(until + SETTLING):
                for _ in range(READINGS):
                    reading = await self._read(place, found.generation, compose, until)
                    if reading.stands:
                        return self._live(reading, found)
                    newest = reading.rendered
                    if reading.stands is None:
                        self._counts.uncompared += 1
                        break
                    found = await self._kept.find(place)
                    if (entry := found.fresh) is not None:
                        return self._fresh(entry, found.ttl)
        except DownstreamError as exc:
            trouble = exc
        return self._old(newest, found, trouble)

    async def _read(
        self, place: Place, generation: str | None, compose: Compose, until: float
    ) -> _Reading:
        """Compose it, or wait for whoever does so under the same generation."""
        if generation is None:
            # A reading that is under way may have begun before an event we cannot know of.
            self._counts.bypassed += 1
            rendered = await compose(until)
            return _Reading(rendered, stands=await self._compared(place, None, rendered, until))

        async def fly() -> _Reading:
            return await self._settle(place, generation, await compose(until), until)

        flight = self._flights.find((place, generation))
        collapsed = flight is not None
        if flight is None:
            flight = self._flights.launch([(place, generation)], fly, until=until + SETTLING)
        try:
            return replace(await flight.wait(), collapsed=collapsed)
        except trio.TooSlowError:
            raise DownstreamTimeoutError(place.key, _TOO_LATE) from None

    async def _settle(
        self, place: Place, generation: str, rendered: Rendered, until: float
    ) -> _Reading:
        """Keep what was composed if it is to be kept, and find out whether it still stands."""
        keeping: Keeping = "unknown"
        if rendered.found and rendered.complete:
            keeping = await self._kept.keep(place, generation, rendered, until=until)
            self._counts.note(keeping)
        elif rendered.found:
            self._kept.keep_briefly(place, generation, rendered)
        stands = stands_after(keeping)
        if stands is None:
            stands = await self._compared(place, generation, rendered, until)
        return _Reading(rendered, stands=stands, stored=keeping == "kept")

    async def _compared(
        self, place: Place, generation: str | None, rendered: Rendered, until: float
    ) -> bool | None:
        stands = await self._kept.stands(place, generation, rendered.as_of, until=until)
        self._counts.fenced += stands is False
        return stands

    def _fresh(self, entry: Entry, ttl: float) -> Served:
        self._counts.hits += 1
        return Served(rendered=entry.rendered, freshness="cached", ttl=ttl)

    def _live(self, reading: _Reading, found: Found) -> Served:
        self._counts.misses += 1
        return Served(
            rendered=reading.rendered,
            forwarded=found.forwarded,
            stored=reading.stored,
            collapsed=reading.collapsed,
        )

    def _old(
        self, newest: Rendered | None, found: Found, trouble: DownstreamError | None
    ) -> Served:
        """The newest there is of what cannot be called fresh."""
        if newest is not None:
            rendered, ttl = newest, 0.0
        elif found.entry is not None:
            rendered, ttl = found.entry.rendered, found.ttl
        else:
            self._counts.failed += 1
            raise trouble or DownstreamTimeoutError("the cache", "has nothing")
        self._counts.expired += 1
        forwarded = None if trouble is None else found.forwarded
        return Served(rendered=rendered, freshness="expired", ttl=ttl, forwarded=forwarded)
