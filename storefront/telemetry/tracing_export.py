"""Where spans go: `OTEL_*` as OpenTelemetry defines them, read when the process begins.

Tracing is on where OTEL_TRACES_EXPORTER or an OTLP endpoint is set, and OTEL_SDK_DISABLED is not
`true`. Sampler, limits, headers, certificates and batches are the SDK's own variables.

Spans wait in a bounded queue (OTEL_BSP_MAX_QUEUE_SIZE, 2,048; at the bound the oldest is dropped)
for a thread that sends them. The loop never waits for it, and leaving does for FLUSH_WITHIN at
most. A collector that does not answer costs dropped spans and one line in the log; the metrics say
how many.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import structlog

from storefront.errors import SettingsError
from storefront.telemetry import tracing
from storefront.telemetry.span_counts import SPANS

log = structlog.get_logger(__name__)

# Seconds that leaving waits for what was not sent yet. It comes after the drain, and the last
# resort five seconds after that.
FLUSH_WITHIN = 2.0

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_SPOKEN = "http/protobuf"
_KNOWN = frozenset({"otlp", "console"})


def exporters(environ: Mapping[str, str]) -> Sequence[str]:
    """Who is to be sent spans: `otlp`, `console`; nobody where tracing is off."""
    if _said(environ, "OTEL_SDK_DISABLED").lower() == "true":
        return ()
    said = _said(environ, "OTEL_TRACES_EXPORTER").lower()
    if not said:
        # OpenTelemetry's default is a collector on this machine; ours is silence until somebody
        # says that there is one.
        said = "otlp" if any(_said(environ, name) for name in _ENDPOINTS) else "none"
    named = [name.strip() for name in said.split(",")]
    for name in named:
        # What is not known is warned of and passed over, as OpenTelemetry wants it.
        if name not in {*_KNOWN, "none", ""}:
            log.warning("no such exporter of spans", exporter=name[:40])
    return [name for name in dict.fromkeys(named) if name in _KNOWN]


@contextmanager
def exporting(environ: Mapping[str, str]) -> Iterator[None]:
    """Trace what happens in the block, if `environ` asks for it, and send what is left at its end.

    Args:
        environ: the process's own, which the SDK reads as well.

    Raises:
        SettingsError: the SDK cannot use a variable; one line.
    """
    names = exporters(environ)
    if not names:
        yield
        return
    for name in _PROTOCOLS:
        if _said(environ, name) not in {"", _SPOKEN}:
            log.warning("spans are sent as http/protobuf only", variable=name)
    with _sdk_muffled():
        tracer, shut_down = _open(names)
        log.info("tracing", exporters=names)
        try:
            with tracing.using(tracer):
                yield
        finally:
            # In a thread, for the SDK offers no bound: a collector that hangs is left to it, and
            # it to the end of the process.
            leaving = threading.Thread(target=shut_down, name="last spans", daemon=True)
            leaving.start()
            leaving.join(FLUSH_WITHIN)


def _open(names: Sequence[str]) -> tuple[tracing.Tracer, Callable[[], None]]:
    from storefront.telemetry.tracing_sdk import open_provider  # noqa: PLC0415 - 0.1 s that only tracing is worth
    from storefront.telemetry.tracing_spans import SdkTracer  # noqa: PLC0415 - as above

    telling = _Telling()
    sdk = logging.getLogger("opentelemetry")
    sdk.addHandler(telling)
    try:
        provider = open_provider(names, SPANS)
    except (ValueError, TypeError) as exc:
        # Its words may hold what was set, and that may be a header with a key in it.
        raise SettingsError("OTEL_*: the OpenTelemetry SDK cannot use one of them") from exc
    finally:
        sdk.removeHandler(telling)
    return SdkTracer(provider), provider.shutdown


class _Telling(logging.Handler):
    """What the SDK says while it is set up: of a sampler that it does not know, for instance."""

    def emit(self, record: logging.LogRecord) -> None:
        # Not what a thread says that sends already. And of a header it would repeat the value,
        # which is a key.
        ours = record.thread == threading.get_ident()
        if ours and "header" not in record.getMessage().lower():
            log.warning("tracing", said=record.getMessage())


@contextmanager
def _sdk_muffled() -> Iterator[None]:
    """Keep the SDK's words to ourselves: it would tell of each batch that was not taken."""
    sdk = logging.getLogger("opentelemetry")
    before, sdk.propagate = sdk.propagate, False
    silent = logging.NullHandler()  # without any, Python would use its last resort
    sdk.addHandler(silent)
    try:
        yield
    finally:
        sdk.removeHandler(silent)
        sdk.propagate = before


def _said(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, "").strip()
