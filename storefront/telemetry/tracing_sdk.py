"""OpenTelemetry's SDK, set up as `OTEL_*` says. Imported only where tracing is on (0.1 s)."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SpanExporter,
    SpanExportResult,
)

from storefront.telemetry.span_counts import SpanCounts

log = structlog.get_logger(__name__)

SERVICE = "storefront"


def open_provider(names: Sequence[str], counts: SpanCounts) -> TracerProvider:
    """Whoever makes spans, and sends them to these exporters from threads.

    Args:
        names: `otlp`, `console`.
        counts: is kept up to date.

    Raises:
        ValueError: the SDK cannot use a variable.
    """
    # At exit the SDK would wait for half a minute; `exporting` has a bound of its own.
    provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
    provider.add_span_processor(Ended(counts))
    for name in names:
        exporter = OTLPSpanExporter() if name == "otlp" else ConsoleSpanExporter(out=sys.stdout)
        provider.add_span_processor(BatchSpanProcessor(Telling(exporter, counts)))
    return provider


class Ended(SpanProcessor):
    """Counts what there is to be sent."""

    def __init__(self, counts: SpanCounts) -> None:
        self._counts = counts

    def on_end(self, span: ReadableSpan) -> None:
        self._counts.ended += bool(span.context and span.context.trace_flags.sampled)


class Telling(SpanExporter):
    """Another exporter, with one line when it begins to fail, and one when that is over.

    Called in a thread.
    """

    def __init__(self, inner: SpanExporter, counts: SpanCounts) -> None:
        self._inner = inner
        self._counts = counts
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._inner.export(spans)
        if result is SpanExportResult.SUCCESS:
            self._counts.exported += len(spans)
            if self._failing:
                log.info("spans are taken again", lost=self._counts.failed)
        else:
            self._counts.failed += len(spans)
            if not self._failing:
                log.warning("spans are not taken", lost=len(spans))
        self._failing = result is not SpanExportResult.SUCCESS
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()


def _resource() -> Resource:
    # The variables' own name goes first; without one the SDK would say `unknown_service`.
    named = OTELResourceDetector().detect().attributes.get("service.name")
    return Resource.create({"service.name": str(named or SERVICE), "process.pid": os.getpid()})
