"""How often something took how long: plain integers, for paths that are walked a thousand times a
second. Prometheus's own histogram looks its labels up and takes a lock with every observation.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

# Seconds. The boundaries that OpenTelemetry advises for the duration of a request.
DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
# An event's way to a browser takes milliseconds, or as long as whoever was away was away.
WAYS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 300.0)


class Histogram:
    """Observations by size. The last count is of those above every bound.

    Attributes:
        bounds: the upper ends, rising; a value that equals one is below it (Prometheus's `le`).
        counts: one for each bound, and one more; not cumulative.
        sum: of all values.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float] = DURATIONS) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one. What is below zero, by two clocks that differ, counts as nothing at all."""
        value = max(value, 0.0)
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def observe_all(self, values: Iterable[float]) -> None:
        """Count several."""
        for value in values:
            self.observe(value)

    def buckets(self) -> list[tuple[str, float]]:
        """As Prometheus has them: cumulative, by their bound, up to +Inf."""
        found, below = [], 0
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            below += count
            found.append((bound, float(below)))
        return found


def quantile(share: float, bounds: Sequence[float], counts: Sequence[int]) -> float | None:
    """The value below which this share of the observations is, as far as their bounds tell; None of
    none. Within a bucket they are taken to lie evenly, as Prometheus does; of those above every
    bound no more is known than the last bound.
    """
    wanted = share * sum(counts)
    if not wanted:
        return None
    below, lower = 0.0, 0.0
    for bound, count in zip(bounds, counts, strict=False):
        if count and below + count >= wanted:
            return lower + (bound - lower) * (wanted - below) / count
        below, lower = below + count, bound
    return lower
