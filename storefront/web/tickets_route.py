"""POST /sse/tickets: where a page with a token asks for a ticket. See `tickets`."""

from __future__ import annotations

import msgspec
import structlog
from quart import Blueprint, Response, request

from storefront.errors import StoreUnavailableError, TooManyRequestsError
from storefront.web.callers import caller_of
from storefront.web.parts import WebParts
from storefront.web.problems import problem
from storefront.web.tickets import TicketOffice

log = structlog.get_logger(__name__)

# Seconds after which a store that did not answer may be asked again.
STORE_PAUSE = 5


def ticket_routes(parts: WebParts, office: TicketOffice) -> Blueprint:
    """The route where a ticket is asked for."""
    blueprint = Blueprint("tickets", __name__)

    @blueprint.post("/sse/tickets")
    async def tickets() -> Response:
        caller = caller_of(request, parts.tokens, parts.auth)
        try:
            ticket, seconds = await office.issue(caller)
        except TooManyRequestsError as exc:
            return _later(problem(429, "too-many-requests", str(exc)), exc.retry_after)
        except StoreUnavailableError:
            log.warning("no ticket", reason="the store does not answer")
            told = problem(503, "not-available", "no ticket can be kept for now; try again")
            return _later(told, STORE_PAUSE)
        answer = msgspec.json.encode({"ticket": ticket, "expiresInSeconds": round(seconds, 3)})
        response = Response(answer, 201, content_type="application/json")
        response.headers["Cache-Control"] = "no-store"
        return response

    return blueprint


def _later(response: Response, seconds: int) -> Response:
    response.headers["Retry-After"] = str(seconds)
    response.headers["Access-Control-Expose-Headers"] = "Retry-After"
    return response
