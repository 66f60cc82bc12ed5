"""Structured lines on standard error: key=value on a terminal, JSON elsewhere.

A line never holds a body, a token or an address; what is logged is named field by field where it
is logged, and of an exception only what `tracebacks` lets through. A line that is written within a
trace names it.
"""

from __future__ import annotations

import logging
import sys
from functools import partial
from types import TracebackType
from typing import TextIO

import structlog

from storefront.telemetry import tracebacks, tracing

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def configure_logs(*, level: str, style: str) -> None:
    """Set up logging for this process, that of the libraries included.

    Args:
        level: debug, info, warning or error.
        style: console, json, or auto: console where standard error is a terminal.
    """
    json = style == "json" or (style == "auto" and not sys.stderr.isatty())
    in_full = level == "debug"
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if json
        else structlog.dev.ConsoleRenderer(exception_formatter=partial(_write, in_full))
    )
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        _name_trace,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    told = structlog.processors.ExceptionRenderer(partial(_told, in_full))
    tail = [told, renderer] if json else [renderer]
    structlog.configure(
        processors=[*shared, *tail],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        # A line and its end in one write: `print` makes two, and another worker's may fall between.
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tail],
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries speak up when something is wrong; their everyday words are not ours to pass on.
    root.setLevel(max(_LEVELS[level], logging.WARNING))


def _name_trace(
    _logger: object, _method: str, line: structlog.types.EventDict
) -> structlog.types.EventDict:
    span = tracing.here()
    if span is not None:
        line["trace_id"] = span.trace_id
    return line


def _told(in_full: bool, exc_info: ExcInfo) -> str:
    return tracebacks.told(exc_info[1], in_full=in_full)


def _write(in_full: bool, out: TextIO, exc_info: ExcInfo) -> None:
    out.write("\n" + _told(in_full, exc_info))
