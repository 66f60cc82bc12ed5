"""Spans kept in memory, and how they hang together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import DEFAULT_ON, Sampler

from storefront.telemetry import tracing
from storefront.telemetry.tracing_spans import SdkTracer

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PUBLISHER = "00f067aa0ba902b7"
TRACE = f"00-{TRACE_ID}-{PUBLISHER}-01"


class Collected:
    """The spans that have ended, the first one first."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.spans]

    def one(self, name: str) -> ReadableSpan:
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def parent_of(self, name: str) -> str:
        """The name of the parent; its id where it is a span of somebody else's; "" of a root."""
        return self.parent(self.one(name))

    def parent(self, span: ReadableSpan) -> str:
        if span.parent is None:
            return ""
        known = {each.context.span_id: each.name for each in self.spans}
        return known.get(span.parent.span_id, f"{span.parent.span_id:016x}")


@contextmanager
def collecting(sampler: Sampler = DEFAULT_ON) -> Iterator[Collected]:
    """Tracing is on, and what ends in the block is kept."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with tracing.using(SdkTracer(provider)):
        yield Collected(exporter)
