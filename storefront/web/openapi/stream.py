"""The stream's routes (web/sse.py and web/tickets_route.py), described."""

from __future__ import annotations

from storefront.queries.shapes import Shape
from storefront.web.openapi.describing import SIGNED_IN, Answer, Operation, Parameter
from storefront.web.openapi.events import BUSINESS_EVENT, CONTROL_FRAMES, EXAMPLE
from storefront.web.openapi.schemas import GUID


class Ticket(Shape, frozen=True, kw_only=True):
    """What opens one stream, and for how long it is good."""

    ticket: str
    expires_in_seconds: float


_STREAM = Answer(
    status=200,
    words=(
        "The stream. It begins with `retry:` and `event: stream`. Business events have no `event:` "
        "line, an `id:` and one JSON object. Control frames are named and have no id. Every 30 s "
        "`:ping`. Overload and shutdown are told in a stream of 200 that ends, for a native "
        "EventSource gives up on any other status."
    ),
    media="text/event-stream",
    schema={"type": "string"},
    example=EXAMPLE,
    headers=("Cache-Control",),
    extensions={"x-events": {"message": BUSINESS_EVENT, **CONTROL_FRAMES}},
)
_STREAM_PARAMETERS = (
    Parameter(
        name="customerId",
        words="Whose; left out, the caller's own. Anybody's with the role `support`.",
        schema=GUID,
    ),
    Parameter(
        name="Last-Event-ID",
        place="header",
        words="The last id the browser has seen; what came after it follows.",
        schema={"type": "string"},
    ),
    Parameter(
        name="lastEventId",
        words="The same, for scripts that cannot set a header; the header wins.",
        schema={"type": "string"},
    ),
    Parameter(
        name="ticket",
        words="Instead of credentials; one that is spent or late opens a stream that says so.",
        schema={"type": "string"},
    ),
    Parameter(
        name="named",
        words="`1`: business events get an `event:` line with their `eventType` as well.",
        schema={"type": "string", "enum": ["0", "1"]},
    ),
    Parameter(
        name="pings",
        words="`1`: each beat is a frame named `ping`, which a script can see, instead of `:ping`.",
        schema={"type": "string", "enum": ["0", "1"]},
    ),
)

STREAM = (
    Operation(
        method="get",
        paths=("/sse/storefront",),
        name="stream",
        summary="The customer's own updates, as Server-Sent Events",
        tag="stream",
        parameters=_STREAM_PARAMETERS,
        answers=(_STREAM,),
        problems=("bad-request", "not-signed-in", "not-allowed"),
    ),
    Operation(
        method="post",
        paths=("/sse/tickets",),
        name="ticket",
        summary="A ticket for an EventSource that can send neither a header nor our cookie",
        words="Good once, for opening a stream with `?ticket=`, and for nothing else.",
        tag="stream",
        answers=(Answer(status=201, words="The ticket.", shape=Ticket),),
        problems=SIGNED_IN,
    ),
)
