"""GET /sse/storefront: the customer's own updates (design.md, "The stream, byte by byte").

A native EventSource gives up for ever on any status but 200, so only what it cannot mend by coming
back is answered with one: missing or bad credentials, and somebody else's id.
"""

from __future__ import annotations

import re
from http import HTTPStatus

import structlog
import trio
from quart import Blueprint, Request, Response, request
from werkzeug.datastructures import Headers

from storefront.domain.ids import CustomerId
from storefront.domain.positions import Position
from storefront.errors import (
    AuthenticationError,
    BadRequestError,
    KeysAwayError,
    StoreUnavailableError,
)
from storefront.realtime import turned_away
from storefront.realtime.body import EventStreamBody, Visit
from storefront.realtime.stream import Stream
from storefront.web.audit import audit
from storefront.web.auth import Caller, whose
from storefront.web.callers import caller_of
from storefront.web.exchange import Answer, ShortWay
from storefront.web.origins import cors_headers
from storefront.web.parts import WebParts
from storefront.web.tickets import read_ticket

log = structlog.get_logger(__name__)

ROUTE = "/sse/storefront"
HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    # no-transform: a proxy that compresses would wait for more to compress.
    "Cache-Control": "no-cache, no-store, no-transform",
    "X-Accel-Buffering": "no",
}


def sse_routes(parts: WebParts) -> Blueprint:
    """The stream's route."""
    blueprint = Blueprint("sse", __name__)

    @blueprint.route(ROUTE, methods=["GET", "HEAD"])
    async def storefront() -> Response:
        ticket = _ticket(request)
        if ticket is not None and request.method == "HEAD":
            # Whoever only looks must not spend it.
            read_ticket(ticket)
            return _ended(b"")
        cursor = _cursor(request)
        try:
            caller = await _caller(parts, ticket)
        except KeysAwayError:
            return _ended(turned_away.busy("keys", parts.pauses.busy(), cursor))
        except StoreUnavailableError:
            return _ended(turned_away.busy("log", parts.pauses.busy(), cursor))
        if caller is None:
            return _ended(turned_away.reauthenticate(cursor))
        customer = whose(caller, _asked_for(request))
        if customer != caller.customer:
            audit(caller, "stream", customer)
        if request.method == "HEAD":
            # Quart would run the stream for a HEAD, for as long as the connection lives.
            return _ended(b"")
        return Response(_body(parts, request, caller, customer), headers=HEADERS)

    return blueprint


async def _caller(parts: WebParts, ticket: str | None) -> Caller | None:
    """Who asks; None where the ticket is no longer good."""
    if ticket is None or parts.tickets is None:
        return caller_of(request, parts.tokens, parts.auth)
    return await parts.tickets.honour(ticket)


def _ended(body: bytes) -> Response:
    """A stream that ends with its first bytes; of a HEAD, none."""
    return Response(b"" if request.method == "HEAD" else body, headers=HEADERS)


def short_stream(parts: WebParts) -> ShortWay:
    """The short way to a customer's own stream.

    Quart's is where there is more to say: a refusal, a ticket, keys that may have to be waited for,
    somebody else's stream.
    """

    async def answer(asked: Request, _found: re.Match[str]) -> Answer | None:
        if "ticket" in asked.args or parts.tokens.ring is not None:
            return None
        try:
            caller = caller_of(asked, parts.tokens, parts.auth)
            customer = whose(caller, _asked_for(asked))
        except Exception:  # noqa: BLE001 - the route meets it again, and has words for all of them
            return None
        if customer != caller.customer:
            return None
        told = cors_headers(asked.headers.get("Origin"), parts.auth.cors_origins)
        headers = Headers([*HEADERS.items(), *told.items()])
        return HTTPStatus.OK, headers, _body(parts, asked, caller, customer)

    return ShortWay(re.compile(re.escape(ROUTE)), ROUTE, answer)


def _body(parts: WebParts, asked: Request, caller: Caller, customer: CustomerId) -> EventStreamBody:
    now = trio.current_time()
    stream = Stream(
        customer,
        now=now,
        every=parts.streams.heartbeat,
        expires_at=now + caller.expires_at - parts.clock(),
        named=asked.args.get("named") == "1",
        pings=asked.args.get("pings") == "1",
    )
    return EventStreamBody(
        stream,
        _visit(asked),
        hub=parts.hub,
        heartbeat=parts.heartbeat,
        fan_out=parts.fan_out,
        log=parts.log,
        pauses=parts.pauses,
    )


def _visit(asked: Request) -> Visit:
    connection = asked.scope.get("state", {}).get("connection")
    return Visit(
        cursor=_cursor(asked),
        returning=bool(_said_cursor(asked)),
        was_slow=lambda: bool(getattr(connection, "slow", False)),
        at_once=getattr(connection, "at_once", None),
    )


def _cursor(asked: Request) -> Position | None:
    return Position.parse(_said_cursor(asked))


def _said_cursor(asked: Request) -> str:
    # The header is the browser's own word on what it saw last; the query is the page's.
    return asked.headers.get("Last-Event-ID") or asked.args.get("lastEventId") or ""


def _ticket(asked: Request) -> str | None:
    """The ticket in the query, if any; it goes before a token, which may be an old cookie."""
    said = asked.args.getlist("ticket")
    if len(said) > 1:
        raise AuthenticationError("this is no ticket")
    return said[0] if said else None


def _asked_for(asked: Request) -> str | None:
    """The customer in the query, if any."""
    named = set(asked.args.getlist("customerId"))
    if len(named) > 1:
        raise BadRequestError("customerId names several customers")
    return named.pop() if named else None
