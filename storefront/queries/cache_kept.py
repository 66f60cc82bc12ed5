"""What is kept of the views and how good it still is: for the cache, which decides what to do.

A whole view lies on a shelf. An incomplete one is remembered by this process for a second and
nowhere else: long enough that a failing service is not asked by every reload, too short to be
looked at when it has recovered; and it never takes the place of a whole one, which says more when
the owner fails too. That there is no such thing, or none for the reader, is kept by nobody.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

import trio

from storefront.domain.ids import NOBODY, CustomerId
from storefront.queries.cache_counts import CacheCounts
from storefront.queries.cache_entries import Entry, Lifetimes, Place, surely_before
from storefront.queries.cache_shelf import Keeping, Shelf, Still
from storefront.queries.memory_shelf import Bounded, MemoryShelf
from storefront.queries.rendering import Rendered
from storefront.settings import ViewSettings

# Composes a view until a moment on Trio's clock; DownstreamError where there is nothing to show.
Compose = Callable[[float], Awaitable[Rendered]]

# Seconds beyond a view's deadline to keep what was composed at the last moment, to find out whether
# it stands, and to hand it over; then what there is goes out as it is.
SETTLING = 0.05
# Shares of them: a shelf that holds us must not take what was composed with it.
KEPT_WITHIN, COMPARED_WITHIN = 0.5, 0.8
# Of the bytes that are set, the share of what is everybody's.
PUBLIC_SHARE = 1 / 8
# Seconds an incomplete view is remembered, and bytes of all of them.
INCOMPLETE_KEPT = 1.0
INCOMPLETE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Found:
    """What a look brought: the generation, and the entry with its freshness if there is one."""

    generation: str | None
    entry: Entry | None = None
    ttl: float = 0.0

    @property
    def fresh(self) -> Entry | None:
        """The entry, if it can be shown as it is."""
        return self.entry if self.ttl > 0 else None

    @property
    def forwarded(self) -> Literal["uri-miss", "stale", "bypass"]:
        """Why a service was asked (RFC 9211)."""
        if self.generation is None:
            return "bypass"
        return "uri-miss" if self.entry is None else "stale"


class KeptViews:
    """The views that are kept, on the shelf and beside it.

    Args:
        shelf: where the customers' lie. What is everybody's lies in this process.
        settings: how long for.
        clock: seconds since 1970.
        uniform: chance, for jitter.
        counts: what to count in.
    """

    def __init__(
        self,
        shelf: Shelf,
        settings: ViewSettings,
        *,
        clock: Callable[[], float],
        uniform: Callable[[float, float], float],
        counts: CacheCounts,
    ) -> None:
        self.shelf = shelf
        self._public = MemoryShelf(Still(), most=int(settings.cache_bytes * PUBLIC_SHARE))
        self._lifetimes = Lifetimes(settings, uniform)
        self._clock = clock
        self._incomplete = Bounded[Place](INCOMPLETE_BYTES)
        self._counts = counts

    async def find(self, place: Place) -> Found:
        """What is kept of a view, and how good it is now."""
        generation, data = await self._look(place)
        if generation is None:
            return Found(None)
        now = self._clock()
        whole = self._restored(data, place)
        if whole is not None and (ttl := whole.ttl(generation, now)) > 0:
            return Found(generation, whole, ttl)
        brief = self._restored(self._incomplete.get(place, trio.current_time()), place)
        if brief is not None and (ttl := brief.ttl(generation, now)) > 0:
            return Found(generation, brief, ttl)
        if whole is not None and whole.age(now) < self._lifetimes.kept:
            return Found(generation, whole, whole.ttl(generation, now))
        return Found(generation)

    async def keep(
        self, place: Place, generation: str, rendered: Rendered, *, until: float
    ) -> Keeping:
        """Keep a whole view that was read under this generation; `until` is its deadline."""
        entry = Entry(generation, self._lifetimes.fresh_for(rendered, generation), rendered)
        left = self._lifetimes.kept - entry.age(self._clock())
        owner, shelf = self._whereabouts(place)
        with trio.move_on_at(until + SETTLING * KEPT_WITHIN):
            return await shelf.keep(owner, place.key, generation, entry.written(place), left)
        return "unknown"

    def keep_briefly(self, place: Place, generation: str, rendered: Rendered) -> None:
        """Remember an incomplete one."""
        # For so long from now, not from when its reading began: that may have been all of a second
        # ago, with a service that is slow.
        now = self._clock()
        entry = Entry(generation, now - rendered.as_of + INCOMPLETE_KEPT, rendered)
        expires = trio.current_time() + INCOMPLETE_KEPT
        self._incomplete.keep(place, entry.written(place), expires)

    async def stands(
        self, place: Place, generation: str | None, as_of: float, *, until: float
    ) -> bool | None:
        """Whether no event came since a reading began.

        Args:
            place: whose, and which.
            generation: the one it began under. Where that is not known, the one of now tells when
                it began itself, by a clock that may not be ours.
            as_of: when it began, in seconds since 1970.
            until: the view's deadline.

        Returns:
            None where the shelf does not know the generation of now, or does not say it in time.
        """
        with trio.move_on_at(until + SETTLING * COMPARED_WITHIN):
            current, _ = await self._look(place)
            if current is None:
                return None
            if generation is None:
                return surely_before(current, as_of)
            return current == generation
        return None

    async def _look(self, place: Place) -> tuple[str | None, bytes | None]:
        owner, shelf = self._whereabouts(place)
        return await shelf.look(owner, place.key)

    def _whereabouts(self, place: Place) -> tuple[CustomerId, Shelf]:
        if place.customer is None:
            return NOBODY, self._public
        return place.customer, self.shelf

    def _restored(self, data: bytes | None, place: Place) -> Entry | None:
        if data is None:
            return None
        entry = Entry.read(data, place)
        self._counts.poisoned += entry is None
        return entry
