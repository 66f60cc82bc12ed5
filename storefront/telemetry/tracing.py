"""One trace from the publisher to the browser's refetch: what a room needs to say of its part.

    publisher (its own span)
    └─ process <queue>            consumer: a delivery, from its arrival until it is settled
       ├─ GET orders ...          questions it needs
       ├─ publish <queue>         a delayed copy, a dead letter
       └─ record                  until it is in the log; its context is stored with the event
          ├─ EVALSHA              Redis, a batch: child of the first record, linked to the others
          ├─ fan out              each process that has streams of this customer
          └─ GET /api/carts/...   the browser's refetch: it brings back what the frame carried
             └─ view cart
                ├─ GET shopping   each attempt, with `traceparent` for the service
                └─ GET catalog

Silent by default, and then nearly free: the SDK is not even imported, there is no thread, and a
call here is one look at a name. `tracing_export` switches it on, where `OTEL_*` asks for it.

Spans are made by hand, in the few modules that are doors (downstream/http, store/redis_server,
messaging/amqp, web/). The packages that instrument httpx, redis and aio-pika by themselves are
betas that patch those libraries' classes for all who use them: they would write a URL with a
customer's id down, make a trace of every canary, know nothing of an answer that is read after its
head, and break with the library's next version. Those of redis and aio-pika would not even be
passed: we speak through the layers beneath.

The current span is a context variable. It follows a call, a task started by it, and the way to the
asyncio island and back. It does not follow what is put into a memory channel: there the item
carries its span (`Delivery`, `Ready`) or its context as text (`Entry`), and whoever takes it out
says so (`within`).

W3C Trace Context `traceparent` only: `tracestate` is not carried, which the standard allows, and
baggage neither, so that nobody's data travels in it. No attribute holds a customer's id, a token,
an address, a path with ids in it, or a body; an error is told by the name of its class.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Literal, Protocol, Self

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Value = str | int | float | bool
Attributes = Mapping[str, Value]

TRACEPARENT = "traceparent"
_TRACEPARENT = re.compile(
    r"([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII
)
_SAMPLED = 1


class Context(Protocol):
    """Where a span may hang: another one, here or anywhere."""

    @property
    def traceparent(self) -> str:
        """As W3C Trace Context writes it, version 00."""
        ...

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        ...

    @property
    def sampled(self) -> bool:
        """Whether anybody will see it."""
        ...


class Span(Context, Protocol):
    """One thing that took its time."""

    def note(self, name: str, value: Value) -> None:
        """Say more about it."""
        ...

    def fail(self, error: str) -> None:
        """It did not come about; `error` is the name of a class, or a status."""
        ...

    def end(self) -> None:
        """It is over; a second time does nothing."""
        ...


class Tracer(Protocol):
    """Whoever makes spans."""

    def begin(
        self,
        name: str,
        kind: Kind,
        *,
        parent: Context | str | None,
        links: tuple[Context | str, ...],
        attributes: Attributes,
    ) -> Span: ...


class _Here:
    """Stands for the current span as a parent."""


HERE = _Here()
NOTHING: Attributes = {}

# Of the process, as the configuration of its logs is: whoever says something about what happens is
# everybody, and a tracer handed to each of them would be in every signature.
_tracer: Tracer | None = None
# The first is the parent of what comes next, the others are linked to it: a batch has many causes.
_current: ContextVar[tuple[Span, ...]] = ContextVar("span", default=())


def on() -> bool:
    """Whether anybody wants to know."""
    return _tracer is not None


@contextmanager
def using(tracer: Tracer | None) -> Iterator[None]:
    """Make spans with this one, for as long as the block runs; None for none."""
    global _tracer  # noqa: PLW0603 - see where it is defined
    before, _tracer = _tracer, tracer
    try:
        yield
    finally:
        _tracer = before


def begin(
    name: str,
    kind: Kind = "internal",
    *,
    parent: Context | str | _Here | None = HERE,
    links: tuple[Context | str, ...] = (),
    attributes: Attributes = NOTHING,
) -> Span | None:
    """A span that somebody else ends (`end`); None where tracing is off.

    Args:
        name: what it is, the same for all of its kind: never with an id in it.
        kind: as OpenTelemetry has them.
        parent: a span, a `traceparent`, or None for a trace of its own; the current span if left
            out.
        links: further causes.
        attributes: by OpenTelemetry's names, where there are any.
    """
    if _tracer is None:
        return None
    if isinstance(parent, _Here):
        current = _current.get()
        parent, links = (current[0], current[1:] + links) if current else (None, links)
    return _tracer.begin(name, kind, parent=parent, links=links, attributes=attributes)


def end(span: Span | None) -> None:
    """It is over, if it ever was."""
    if span is not None:
        span.end()


class within:  # noqa: N801 - a block, as contextlib's own are named
    """These are the current spans inside of the block, which does not end them. None is nobody."""

    __slots__ = ("_before", "_spans")

    def __init__(self, *spans: Span | None) -> None:
        given = [each for each in spans if each is not None]
        # A link to what nobody kept leads nowhere. But that a trace is not kept is said onwards.
        self._spans = tuple([each for each in given if each.sampled] or given[:1])

    def __enter__(self) -> None:
        self._before = _current.set(self._spans) if self._spans else None

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            _current.reset(self._before)


class span:  # noqa: N801 - as above
    """A span around a block, and the current one inside of it; see `begin`.

    With `only_within`, none where there is no current one: what nobody asked for (canaries, heads,
    sweeps) is no trace of its own.

    An exception that leaves the block has failed it, by the name of its class; its words may hold
    anybody's data. A cancellation has not: somebody left.
    """

    __slots__ = ("_arguments", "_before", "_only_within", "_span")

    def __init__(
        self,
        name: str,
        kind: Kind = "internal",
        *,
        parent: Context | str | _Here | None = HERE,
        attributes: Attributes = NOTHING,
        only_within: bool = False,
    ) -> None:
        self._arguments = (name, kind, parent, attributes)
        self._only_within = only_within
        self._span: Span | None = None

    def __enter__(self) -> Self:
        if _tracer is not None and (_current.get() or not self._only_within):
            name, kind, parent, attributes = self._arguments
            self._span = begin(name, kind, parent=parent, attributes=attributes)
        if self._span is not None:
            self._before = _current.set((self._span,))
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._span is None:
            return
        _current.reset(self._before)
        if exc_type is not None:
            if issubclass(exc_type, Exception):
                self._span.fail(exc_type.__name__)
            else:
                self._span.note("storefront.left", True)
        self._span.end()

    @property
    def recording(self) -> bool:
        """Whether what is noted is kept: what costs something to say need not be said if not."""
        return self._span is not None and self._span.sampled

    def note(self, name: str, value: Value) -> None:
        """Say more about it."""
        if self._span is not None:
            self._span.note(name, value)

    def fail(self, error: str) -> None:
        """It did not come about."""
        if self._span is not None:
            self._span.fail(error)


def here() -> Span | None:
    """The current span, for whoever carries on elsewhere."""
    current = _current.get()
    return current[0] if current else None


def headers() -> dict[str, str]:
    """What a message or a question carries along: the current span's `traceparent`, if any."""
    current = _current.get()
    return {TRACEPARENT: current[0].traceparent} if current else {}


def shown(traceparent: str | None) -> str | None:
    """The context a browser is to bring back with its refetch; None where nobody would see it.

    Args:
        traceparent: as it is stored with the event, wherever that came from.
    """
    if _tracer is None or traceparent is None:
        return None
    found = parse(traceparent)
    if found is None or not found[2]:
        return None
    # Written anew: it becomes a piece of a JSON object, and a store may hold anything.
    return f"00-{found[0]}-{found[1]}-01"


def parse(traceparent: str) -> tuple[str, str, bool] | None:
    """Trace id, span id and whether it is sampled; None for what is no `traceparent`."""
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    # A version of tomorrow may say more behind its flags, and is read as today's (W3C 3.2.2).
    if version == "ff" or (version == "00" and rest is not None):
        return None
    return trace_id, span_id, bool(int(flags, 16) & _SAMPLED)
