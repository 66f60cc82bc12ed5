"""Counters, gauges and histograms, for Prometheus. Never a customer id as a label.

What a room counts itself is read when somebody asks (`readings`), so nothing is counted twice and
the hot paths pay for plain integers. Names and labels are OpenTelemetry's where it has some
(http.server.*, messaging.*, db.client.*, as Prometheus spells them), and `storefront_…` elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from storefront.telemetry.metrics_histogram import Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Name, help, labels, value. A name that ends in `_total` counts.
Reading = tuple[str, str, dict[str, str], float | Histogram]
Source = Callable[[], Iterable[Reading]]

_Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


class Metrics:
    """The metrics of one process, in a registry of their own.

    Args:
        about: which process this is, as labels of `target_info`.
    """

    def __init__(self, about: Mapping[str, str] | None = None) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self._about = dict(about or {})
        self._sources: list[Source] = []
        self._deliveries: Counter[tuple[str, str]] = Counter()
        self.read_from(self._own)

    def settled(self, outcome: str, kind: str) -> None:
        """A delivery is done with."""
        self._deliveries[outcome, kind] += 1

    def read_from(self, readings: Source) -> None:
        """Ask for these whenever somebody asks us."""
        self._sources.append(readings)
        self.registry.register(_Readings(readings))

    def readings(self) -> Iterator[Reading]:
        """All there is now."""
        for source in self._sources:
            yield from source()

    def exposition(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)

    def _own(self) -> Iterator[Reading]:
        if self._about:
            yield "target_info", "Which process this is.", self._about, 1
        name = "storefront_deliveries_total"
        words = "Messages from the broker, by what became of them."
        for (outcome, kind), count in self._deliveries.items():
            yield name, words, {"outcome": outcome, "kind": kind}, count


class _Readings(Collector):
    def __init__(self, readings: Source) -> None:
        self._readings = readings

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        families: dict[str, _Family] = {}
        for name, words, labels, value in self._readings():
            family = families.get(name)
            if family is None:
                family = families[name] = _family(name, words, labels, value)
            if isinstance(family, HistogramMetricFamily) and isinstance(value, Histogram):
                family.add_metric(list(labels.values()), value.buckets(), value.sum)
            elif isinstance(value, Histogram) or isinstance(family, HistogramMetricFamily):
                raise TypeError(f"{name} is a histogram here and none there")
            else:
                family.add_metric(list(labels.values()), value)
        yield from families.values()


def _family(name: str, words: str, labels: Mapping[str, str], value: float | Histogram) -> _Family:
    if isinstance(value, Histogram):
        return HistogramMetricFamily(name, words, labels=list(labels))
    kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
    return kind(name.removesuffix("_total"), words, labels=list(labels))
