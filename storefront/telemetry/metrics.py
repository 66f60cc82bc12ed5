"""Counters and gauges, for Prometheus. Never a customer id as a label.

What a room counts itself is read when Prometheus asks (`collect`), so nothing is counted twice and
the hot paths pay for plain integers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Reading = tuple[str, str, dict[str, str], float]


class Metrics:
    """The metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self._deliveries = Counter(
            "storefront_deliveries",
            "Messages from the broker, by what became of them.",
            ["outcome", "kind"],
            registry=self.registry,
        )

    def settled(self, outcome: str, kind: str) -> None:
        """A delivery is done with."""
        self._deliveries.labels(outcome, kind).inc()

    def read_from(self, readings: Callable[[], Iterable[Reading]]) -> None:
        """Ask for these whenever somebody asks us: (name, help, labels, value); `_total` counts."""
        self.registry.register(_Readings(readings))

    def exposition(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)


class _Readings(Collector):
    def __init__(self, readings: Callable[[], Iterable[Reading]]) -> None:
        self._readings = readings

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for name, words, labels, value in self._readings():
            family = families.get(name)
            if family is None:
                counts = name.endswith("_total")
                kind = CounterMetricFamily if counts else GaugeMetricFamily
                family = families[name] = kind(
                    name.removesuffix("_total"), words, labels=list(labels)
                )
            family.add_metric(list(labels.values()), value)
        yield from families.values()
