"""Spans as OpenTelemetry's SDK makes them. Imported only where tracing is on."""

from __future__ import annotations

from opentelemetry.context import Context as SdkContext
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace import Span as RawSpan
from opentelemetry.trace.propagation import set_span_in_context
from opentelemetry.trace.status import Status, StatusCode

from storefront.telemetry.tracing import Attributes, Context, Kind, Span, Value, parse

_KINDS = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}
_FAILED = Status(StatusCode.ERROR)
# A trace of its own: whatever the SDK takes for current is not ours.
_ROOT = SdkContext()


class SdkSpan:
    """See `tracing.Span`."""

    __slots__ = ("raw",)

    def __init__(self, raw: RawSpan) -> None:
        self.raw = raw

    @property
    def traceparent(self) -> str:
        known = self.raw.get_span_context()
        return f"00-{known.trace_id:032x}-{known.span_id:016x}-{known.trace_flags.sampled:02x}"

    @property
    def trace_id(self) -> str:
        return f"{self.raw.get_span_context().trace_id:032x}"

    @property
    def sampled(self) -> bool:
        return self.raw.get_span_context().trace_flags.sampled

    def note(self, name: str, value: Value) -> None:
        self.raw.set_attribute(name, value)

    def fail(self, error: str) -> None:
        self.raw.set_attribute("error.type", error)
        self.raw.set_status(_FAILED)

    def end(self) -> None:
        # The SDK warns of a second time, which is none of its business: a delivery is settled once,
        # or left to come again.
        if self.raw.is_recording():
            self.raw.end()


class SdkTracer:
    """See `tracing.Tracer`."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("storefront")

    def begin(
        self,
        name: str,
        kind: Kind,
        *,
        parent: Context | str | None,
        links: tuple[Context | str, ...],
        attributes: Attributes,
    ) -> Span:
        above = _raw(parent)
        linked = [Link(raw.get_span_context()) for each in links if (raw := _raw(each)) is not None]
        return SdkSpan(
            self._tracer.start_span(
                name,
                context=_ROOT if above is None else set_span_in_context(above, _ROOT),
                kind=_KINDS[kind],
                attributes=attributes,
                links=linked,
                record_exception=False,
                set_status_on_exception=False,
            )
        )


def _raw(context: Context | str | None) -> RawSpan | None:
    if isinstance(context, SdkSpan):
        return context.raw
    found = None if context is None else parse(str(context))
    if found is None:
        return None
    trace_id, span_id, sampled = found
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    return NonRecordingSpan(
        SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=flags)
    )
