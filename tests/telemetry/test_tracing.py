"""Spans: who hangs below whom, what is told of them, and what it costs where nobody looks."""

from __future__ import annotations

import subprocess
import sys

import pytest
import trio
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import SpanKind
from trio_asyncio import aio_as_trio, open_loop

from storefront.telemetry import tracing
from tests.telemetry.collecting import PUBLISHER, TRACE, TRACE_ID, collecting

NOT_SAMPLED = TRACE[:-2] + "00"


def test_where_nobody_looks_there_is_no_span_no_library_and_no_thread():
    lines = """
import sys, threading
from storefront import service
from storefront.telemetry import tracing
from storefront.telemetry.tracing_export import exporting
with exporting({}), tracing.span("something") as span:
    span.note("a", 1)
    assert tracing.begin("more") is None and tracing.here() is None and tracing.headers() == {}
    tracing.end(None)
# redis-py looks for OpenTelemetry's metrics by itself; tracing is nobody's.
assert not {"opentelemetry.sdk.trace", "opentelemetry.exporter"} & set(sys.modules)
assert threading.active_count() == 1
"""
    subprocess.run([sys.executable, "-c", lines], check=True, timeout=60)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (TRACE, (TRACE_ID, PUBLISHER, True)),
        (NOT_SAMPLED, (TRACE_ID, PUBLISHER, False)),
        (TRACE[:-2] + "03", (TRACE_ID, PUBLISHER, True)),
        ("01" + TRACE[2:], (TRACE_ID, PUBLISHER, True)),
        ("01" + TRACE[2:] + "-what-comes", (TRACE_ID, PUBLISHER, True)),
        (TRACE + "-more", None),
        ("ff" + TRACE[2:], None),
        (f"00-{'0' * 32}-{PUBLISHER}-01", None),
        (f"00-{TRACE_ID}-{'0' * 16}-01", None),
        (TRACE.upper(), None),
        (TRACE + "\n", None),
        ("", None),
    ],
)
def test_a_context_is_read_as_w3c_has_it(said, found):
    assert tracing.parse(said) == found


def test_a_span_hangs_below_the_current_one_or_below_what_it_is_told():
    with collecting() as found:
        with tracing.span("outer", "server", parent=TRACE), tracing.span("inner"):
            pass
        with tracing.span("alone", parent=None), tracing.span("garbage", parent="no context"):
            pass
    assert found.parent_of("inner") == "outer"
    assert found.parent_of("outer") == PUBLISHER
    assert found.parent_of("alone") == found.parent_of("garbage") == ""
    assert {f"{found.one(name).context.trace_id:032x}" for name in ("outer", "inner")} == {TRACE_ID}
    assert found.one("outer").kind is SpanKind.SERVER


def test_what_many_caused_hangs_below_the_first_and_is_linked_to_the_others():
    with collecting() as found:
        causes = [tracing.begin(name, parent=None) for name in ("first", "second", "third")]
        with tracing.within(None, *causes), tracing.span("batch"):
            assert tracing.here() is not causes[0]
        assert tracing.here() is None
        for cause in causes:
            tracing.end(cause)
            tracing.end(cause)
    assert found.parent_of("batch") == "first"
    linked = {link.context.span_id for link in found.one("batch").links}
    assert linked == {found.one(name).context.span_id for name in ("second", "third")}
    assert found.names.count("first") == 1


def test_what_nobody_asked_for_is_no_trace_of_its_own():
    with collecting() as found:
        with tracing.span("canary", only_within=True):
            assert tracing.headers() == {}
        with tracing.span("asked"), tracing.span("question", only_within=True):
            pass
    assert found.names == ["question", "asked"]


def test_an_error_is_told_by_its_class_and_never_by_its_words():
    with (
        collecting() as found,
        pytest.raises(ValueError, match="tok_visa"),
        tracing.span("failing"),
    ):
        raise ValueError("tok_visa_4711")
    span = found.one("failing")
    assert span.attributes["error.type"] == "ValueError"
    assert span.status.status_code.name == "ERROR"
    assert "tok_visa" not in span.to_json()


async def test_whoever_is_cancelled_has_not_failed(autojump_clock):
    with collecting() as found, trio.move_on_after(1), tracing.span("left"):
        await trio.sleep_forever()
    span = found.one("left")
    assert span.status.status_code.name == "UNSET"
    assert dict(span.attributes) == {"storefront.left": True}


def test_that_a_trace_is_not_kept_is_said_onwards():
    with (
        collecting(ParentBased(ALWAYS_OFF)) as found,
        tracing.span("unseen", parent=NOT_SAMPLED) as span,
    ):
        assert not span.recording
        (said,) = tracing.headers().values()
        assert said[:36] == NOT_SAMPLED[:36]
        assert said[-2:] == "00"
    assert found.names == []


async def test_the_current_span_follows_a_task_and_the_way_to_the_island_and_no_channel():
    seen: dict[str, object] = {}

    async def look(name: str) -> None:
        seen[name] = tracing.here()

    async def look_aio() -> None:
        seen["island"] = tracing.here()

    async def carry(receive) -> None:
        async for _ in receive:
            seen["channel"] = tracing.here()

    with collecting():
        async with open_loop(), trio.open_nursery() as nursery:
            send, receive = trio.open_memory_channel[str](1)
            nursery.start_soon(carry, receive)
            with tracing.span("request"):
                nursery.start_soon(look, "task")
                await aio_as_trio(look_aio)()
                await send.send("")
                here = tracing.here()
            send.close()
    assert here is not None
    assert seen == {"task": here, "island": here, "channel": None}


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        (TRACE, TRACE),
        ("01" + TRACE[2:] + '-","x":"', TRACE),
        (NOT_SAMPLED, None),
        ("nonsense", None),
        (None, None),
    ],
)
def test_a_frame_carries_what_somebody_would_see(stored, shown):
    with collecting():
        assert tracing.shown(stored) == shown
    assert tracing.shown(stored) is None
