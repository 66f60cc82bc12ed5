"""What the view cache counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

from storefront.queries.cache_shelf import Keeping
from storefront.queries.single_flight import FlightStatistics
from storefront.telemetry.metrics import Reading


@dataclass(slots=True)
class CacheCounts:
    """Counters since the start; the cache hands out copies.

    Attributes:
        hits: answered fresh from the cache.
        misses: composed, because nothing fresh was there.
        expired: an old view, because there was no new one or it was overtaken.
        failed: nothing to show.
        stored: kept for others.
        fenced: not kept, because an event came during the reading.
        too_large: not kept, because the shelf had no room for one so large.
        lost: not kept, because the shelf could not say.
        uncompared: composed, and nobody could say whether an event had come meanwhile.
        bypassed: the shelf could not tell the generation, so nothing was looked for.
        poisoned: entries that were none of ours, or of another age of ours.
        flights: compositions that others could wait for.
        joined: who waited for another's.
        under_way: such compositions now.
    """

    hits: int = 0
    misses: int = 0
    expired: int = 0
    failed: int = 0
    stored: int = 0
    fenced: int = 0
    too_large: int = 0
    lost: int = 0
    uncompared: int = 0
    bypassed: int = 0
    poisoned: int = 0
    flights: int = 0
    joined: int = 0
    under_way: int = 0

    def note(self, keeping: Keeping) -> None:
        """Count what became of a view that was to be kept."""
        self.stored += keeping == "kept"
        self.fenced += keeping == "overtaken"
        self.too_large += keeping == "too large"
        self.lost += keeping == "unknown"

    def with_flights(self, now: FlightStatistics) -> CacheCounts:
        """A copy that has the flights in it."""
        return replace(self, flights=now.flights, joined=now.joined, under_way=now.under_way)

    def readings(self) -> Iterable[Reading]:
        """Them for /metrics."""
        for name in (each.name for each in fields(self) if each.name != "under_way"):
            words = f"Of the view cache: {name}."
            yield f"storefront_cache_{name}_total", words, {}, getattr(self, name)
        words = "Compositions that others can wait for, now."
        yield "storefront_cache_under_way", words, {}, self.under_way
