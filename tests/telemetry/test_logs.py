"""What a line of the log holds, and what it never does."""

from __future__ import annotations

import json
import logging

import pytest
import structlog

from storefront.errors import BadRequestError
from storefront.telemetry import tracebacks, tracing
from storefront.telemetry.logs import configure_logs
from tests.telemetry.collecting import TRACE, TRACE_ID, collecting

SECRET = "tok_visa_4711"


@pytest.fixture
def configured():
    """Logging as a process has it; afterwards as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield configure_logs
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def fail() -> None:
    street = f"{SECRET} Main St"
    try:
        {}[street]
    except KeyError as exc:
        raise ExceptionGroup("several", [ValueError(street), OSError(2, "no", street)]) from exc


def caught() -> Exception:
    try:
        fail()
    except ExceptionGroup as exc:
        exc.add_note(SECRET)
        return exc
    raise AssertionError


@pytest.mark.parametrize("style", ["json", "console"])
def test_an_exception_is_told_with_its_stack_and_without_its_words(configured, capsys, style):
    configured(level="info", style=style)
    structlog.get_logger().error("request failed", exc_info=caught())
    logging.getLogger("library").error("went wrong", exc_info=caught())
    said = capsys.readouterr().err
    assert SECRET not in said
    assert said.count("KeyError: (") == said.count("ValueError: (") == 2
    assert said.count("FileNotFoundError: errno 2") == 2
    assert "test_logs.py" in said
    assert "in fail" in said


def test_a_developer_who_asks_for_it_is_told_the_words(configured, capsys):
    configured(level="debug", style="json")
    structlog.get_logger().error("request failed", exc_info=caught())
    assert SECRET in capsys.readouterr().err


def test_our_own_words_are_told():
    assert tracebacks.words(BadRequestError("page is not a whole number")).endswith(
        "BadRequestError: page is not a whole number"
    )
    assert tracebacks.words(AssertionError("a stream knows")) == "AssertionError: a stream knows"
    assert tracebacks.words(ValueError()) == "ValueError"


def test_a_chain_without_end_ends():
    first, last = ValueError("x"), ValueError("x")
    first.__cause__, last.__cause__ = last, first
    assert tracebacks.told(first).count("ValueError") < 50


def test_a_line_within_a_trace_names_it(configured, capsys):
    configured(level="info", style="json")
    log = structlog.get_logger()
    with collecting(), tracing.span("request", parent=TRACE):
        log.info("inside")
        logging.getLogger("library").warning("inside too")
    log.info("outside")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line.get("trace_id")) for line in lines] == [
        ("inside", TRACE_ID),
        ("inside too", TRACE_ID),
        ("outside", None),
    ]
