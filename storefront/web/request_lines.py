"""One span and one line in the log for each request.

Both end with the answer's head: what a stream does for hours after that is told by its own line
(realtime/body.py), and no span stays open for it. Neither names a path, for there are ids in it,
and a query may hold a ticket: the route is told, and for a path that no route has, nothing.
"""

from __future__ import annotations

import structlog
import trio
from quart import request
from quart.ctx import RequestContext
from quart.wrappers import Response
from quart_trio import QuartTrio
from werkzeug import Response as WerkzeugResponse

from storefront.telemetry import tracing

log = structlog.get_logger(__name__)

# What OpenTelemetry knows; any other would be a word of the client's own choosing.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Asked every few seconds by machines, who write down themselves what they were told.
UNTOLD = ("/health/", "/metrics")
_SERVER_ERROR = 500


class RequestLines(QuartTrio):
    """Quart, which tells of each request once."""

    async def full_dispatch_request(
        self, request_context: RequestContext | None = None
    ) -> Response | WerkzeugResponse:
        route = request.url_rule.rule if request.url_rule is not None else ""
        if route.startswith(UNTOLD):
            return await super().full_dispatch_request(request_context)
        method = request.method if request.method in METHODS else "_OTHER"
        began, status = trio.current_time(), 0
        with tracing.span(
            f"{method} {route}".rstrip(),
            "server",
            # A trace of its own where the caller names none.
            parent=request.headers.get(tracing.TRACEPARENT),
            attributes={"http.request.method": method, "http.route": route},
        ) as span:
            try:
                answer = await super().full_dispatch_request(request_context)
                status = answer.status_code
                return answer
            finally:
                span.note("http.response.status_code", status)
                if status >= _SERVER_ERROR:
                    span.fail(str(status))
                # 0: the caller left before there was one.
                tell_request(method, route, status, trio.current_time() - began)


def tell_request(method: str, route: str, status: int, seconds: float) -> None:
    """The one line of a request."""
    milliseconds = round(seconds * 1000, 1)
    log.info("request", method=method, route=route, status=int(status), ms=milliseconds)
