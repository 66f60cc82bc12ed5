"""Structured lines on standard error: key=value on a terminal, JSON elsewhere.

A line never holds a body, a token or an address; what is logged is named field by field where it
is logged.
"""

from __future__ import annotations

import logging
import sys

import structlog

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure_logs(*, level: str, style: str) -> None:
    """Set up logging for this process, that of the libraries included.

    Args:
        level: debug, info, warning or error.
        style: console, json, or auto: console where standard error is a terminal.
    """
    json = style == "json" or (style == "auto" and not sys.stderr.isatty())
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if json
        # Where `rich` is installed, structlog would print the values of local variables too.
        else structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    )
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    tail = [structlog.processors.format_exc_info, renderer] if json else [renderer]
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
