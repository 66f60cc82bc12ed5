"""Where spans go, and that nobody ever waits for them."""

from __future__ import annotations

import os
import socket
import time

import pytest
from structlog.testing import capture_logs

from storefront.telemetry import tracing, tracing_export
from storefront.telemetry.span_counts import SPANS
from storefront.telemetry.tracing_export import exporters, exporting
from tests.telemetry.collector import collecting_otlp

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
SOMEWHERE = "http://127.0.0.1:4318"


@pytest.fixture
def otel(monkeypatch):
    """Sets OTEL_* for this process, where nothing of a developer's shell is left."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)

    def set_all(**variables: str):
        for name, value in variables.items():
            monkeypatch.setenv(f"OTEL_{name}", value)
        return os.environ

    return set_all


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({}, []),
        ({"OTEL_SERVICE_NAME": "shop"}, []),
        ({ENDPOINT: SOMEWHERE}, ["otlp"]),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": SOMEWHERE}, ["otlp"]),
        ({ENDPOINT: " "}, []),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, ["otlp"]),
        ({"OTEL_TRACES_EXPORTER": "console, otlp,console"}, ["console", "otlp"]),
        ({"OTEL_TRACES_EXPORTER": "none", ENDPOINT: SOMEWHERE}, []),
        ({"OTEL_TRACES_EXPORTER": "OTLP"}, ["otlp"]),
        ({"OTEL_SDK_DISABLED": "True", ENDPOINT: SOMEWHERE}, []),
        ({"OTEL_SDK_DISABLED": "yes", ENDPOINT: SOMEWHERE}, ["otlp"]),
    ],
)
def test_tracing_is_on_where_the_environment_asks_for_it(environ, names):
    assert list(exporters(environ)) == names


def test_an_exporter_that_nobody_knows_is_warned_of_and_passed_over():
    with capture_logs() as lines:
        assert list(exporters({"OTEL_TRACES_EXPORTER": "zipkin,otlp"})) == ["otlp"]
    assert [(line["event"], line["exporter"]) for line in lines] == [
        ("no such exporter of spans", "zipkin")
    ]


def test_a_collector_gets_each_span_once_with_the_name_of_the_service(otel):
    before = SPANS.exported
    with collecting_otlp() as collector:
        environ = otel(EXPORTER_OTLP_ENDPOINT=collector.url, EXPORTER_OTLP_HEADERS="api-key=s3cr3t")
        with exporting(environ), tracing.span("outer", "server"):
            for number in range(600):
                with tracing.span("inner", attributes={"number": number}):
                    pass
        assert not tracing.on()
        spans = collector.spans
    assert {s.attributes["number"] for s in spans if s.name == "inner"} == set(range(600))
    assert len(spans) == 601
    (outer,) = [span for span in spans if span.name == "outer"]
    assert {span.parent_id for span in spans} == {"", outer.span_id}
    assert {span.service for span in spans} == {"storefront"}
    assert collector.headers["api-key"] == "s3cr3t"
    assert SPANS.exported - before == 601


def test_the_service_is_called_as_the_environment_has_it(otel):
    with collecting_otlp() as collector:
        environ = otel(EXPORTER_OTLP_ENDPOINT=collector.url, SERVICE_NAME="bff-blue")
        with exporting(environ), tracing.span("one"):
            pass
    assert [span.service for span in collector.spans] == ["bff-blue"]


def test_the_sampler_is_the_environments(otel):
    with collecting_otlp() as collector:
        environ = otel(
            EXPORTER_OTLP_ENDPOINT=collector.url,
            TRACES_SAMPLER="parentbased_always_off",
        )
        sampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        with exporting(environ):
            with tracing.span("ours", parent=None):
                pass
            with tracing.span("theirs", parent=sampled):
                pass
    assert [span.name for span in collector.spans] == ["theirs"]


def test_a_collector_that_is_not_there_costs_spans_and_one_line(otel, monkeypatch):
    monkeypatch.setattr(tracing_export, "FLUSH_WITHIN", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    environ = otel(
        EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}",
        EXPORTER_OTLP_HEADERS="api-key=s3cr3t",
        EXPORTER_OTLP_TIMEOUT="0.2",
        BSP_SCHEDULE_DELAY="20",
    )
    before, failed = time.monotonic(), SPANS.failed
    with capture_logs() as lines, exporting(environ):
        for _ in range(3):
            with tracing.span("one", parent=None):
                pass
            until = time.monotonic() + 5
            while SPANS.failed == failed and time.monotonic() < until:
                os.sched_yield()
            assert SPANS.failed > failed
            failed = SPANS.failed
    assert [line["event"] for line in lines] == ["tracing", "spans are not taken"]
    assert "s3cr3t" not in str(lines)
    assert time.monotonic() - before < 20


def test_a_collector_that_takes_and_never_answers_holds_nobody_at_the_end(otel, monkeypatch):
    monkeypatch.setattr(tracing_export, "FLUSH_WITHIN", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environ = otel(EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{silent.getsockname()[1]}")
        with exporting(environ), tracing.span("one", parent=None):
            pass
        began = time.monotonic()
        with exporting(environ):
            with tracing.span("one", parent=None):
                pass
            began = time.monotonic()
        # The exporter's own patience is ten seconds, the SDK's thirty.
        assert time.monotonic() - began < 5


def test_a_queue_that_is_full_drops_and_never_waits(otel, monkeypatch):
    monkeypatch.setattr(tracing_export, "FLUSH_WITHIN", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environ = otel(
            EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{silent.getsockname()[1]}",
            BSP_MAX_QUEUE_SIZE="50",
            BSP_MAX_EXPORT_BATCH_SIZE="10",
        )
        ended = SPANS.ended
        with exporting(environ):
            for _ in range(1000):
                with tracing.span("one", parent=None):
                    pass
        assert SPANS.ended - ended == 1000


def test_what_the_sdk_cannot_use_is_said_once_and_without_a_header(otel):
    with collecting_otlp() as collector:
        environ = otel(
            EXPORTER_OTLP_ENDPOINT=collector.url,
            EXPORTER_OTLP_HEADERS="s3cr3t s3cr3t",
            TRACES_SAMPLER="sometimes",
        )
        with capture_logs() as lines, exporting(environ):
            pass
    said = [line["said"] for line in lines if "said" in line]
    assert said == ["Couldn't recognize sampler sometimes."]
    assert "s3cr3t" not in str(lines)
