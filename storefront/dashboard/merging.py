"""Several processes as one, and what happened between two looks at them. PURE.

What happened is found process by process, before it is put together: one that came between two
looks brings all it ever counted, one that left takes it along, and neither is an event of now.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from storefront.dashboard.reports import SHOWN, Counts, Report, Values, metric_of

_MERGE: dict[str, Callable[[float, float], float]] = {
    "sum": lambda one, other: one + other,
    "max": max,
    "min": min,
}


@dataclass(frozen=True, slots=True)
class Sum:
    """What several processes come to together."""

    values: Values
    counts: Counts


def together(reports: Iterable[Report]) -> Sum:
    """All of them, as they are."""
    values: Values = {}
    counts: Counts = {}
    for each in reports:
        for key, value in each.values.items():
            merge = _MERGE[SHOWN.get(metric_of(key), "sum")]
            values[key] = merge(values[key], value) if key in values else value
        for key, found in each.counts.items():
            counts[key] = _added(counts.get(key), found)
    return Sum(values, counts)


def since(before: Mapping[str, Report], now: Collection[Report]) -> Sum:
    """What they counted since; per second where it is a counter. `before` is by process."""
    values: Values = {}
    counts: Counts = {}
    for each in now:
        old = before.get(each.process.name)
        if old is None or each.at <= old.at:
            # Not heard of before, or nothing new.
            continue
        passed = each.at - old.at
        for key, value in each.values.items():
            if metric_of(key).endswith("_total"):
                rate = max(0.0, value - old.values.get(key, 0.0)) / passed
                values[key] = values.get(key, 0.0) + rate
        for key, found in each.counts.items():
            grown = _grown(old.counts.get(key), found)
            counts[key] = _added(counts.get(key), grown)
    return Sum(values, counts)


def _added(some: list[int] | None, more: list[int]) -> list[int]:
    if some is None or len(some) != len(more):
        return list(more)
    return [one + other for one, other in zip(some, more, strict=True)]


def _grown(old: list[int] | None, new: list[int]) -> list[int]:
    if old is None or len(old) != len(new):
        return list(new)
    return [max(0, later - earlier) for earlier, later in zip(old, new, strict=True)]
