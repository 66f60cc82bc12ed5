"""How many spans there were, and what became of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from storefront.telemetry.metrics import Reading


@dataclass(slots=True)
class SpanCounts:
    """Counters; what ended and is in neither of the others waits, or was dropped at the bound.

    Attributes:
        ended: of traces that are sampled.
        exported: that an exporter took.
        failed: that it did not take, however often it tried.
    """

    ended: int = 0
    exported: int = 0
    failed: int = 0

    def readings(self) -> Iterable[Reading]:
        """For /metrics."""
        words = "Spans of sampled traces that ended."
        yield "storefront_spans_ended_total", words, {}, self.ended
        words = "Spans that an exporter took."
        yield "storefront_spans_exported_total", words, {}, self.exported
        words = "Spans that an exporter did not take."
        yield "storefront_spans_failed_total", words, {}, self.failed


# Of the process, as the tracer is.
SPANS = SpanCounts()
