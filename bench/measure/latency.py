"""Latencies as their percentiles, from an HDR histogram: three digits at every size, nothing
averaged away.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped] # no type marker

LOWEST = 1  # microseconds
HIGHEST = 600_000_000  # ten minutes; longer counts as that
DIGITS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Milliseconds; `count` says of how many."""

    count: int
    p50: float
    p90: float
    p99: float
    p999: float
    max: float

    @classmethod
    def of(cls, nanoseconds: Iterable[int]) -> Latency:
        """The percentiles of these durations. None at all is all zero, and says so by its count."""
        histogram = HdrHistogram(LOWEST, HIGHEST, DIGITS)
        for each in nanoseconds:
            histogram.record_value(min(max(int(each) // 1000, LOWEST), HIGHEST))
        return cls.read(histogram)

    @classmethod
    def read(cls, histogram: HdrHistogram) -> Latency:
        if not histogram.total_count:
            return cls(count=0, p50=0.0, p90=0.0, p99=0.0, p999=0.0, max=0.0)

        def at(percentile: float) -> float:
            return float(histogram.get_value_at_percentile(percentile)) / 1000

        return cls(
            count=int(histogram.total_count),
            p50=at(50),
            p90=at(90),
            p99=at(99),
            p999=at(99.9),
            max=float(histogram.get_max_value()) / 1000,
        )


def median_of(figures: Sequence[float]) -> float:
    """The median; 0 of none."""
    return statistics.median(figures) if figures else 0.0


def spread_of(figures: Sequence[float]) -> float:
    """How far rounds lie apart: (highest - lowest) / median."""
    middle = median_of(figures)
    return (max(figures) - min(figures)) / middle if middle else 0.0
