"""How long requests take, by route (OpenTelemetry: http.server.request.duration).

Until the answer is made, not until a browser has read it: that is the browser's time. A stream is
not among them, for it has no duration to speak of; `storefront_streams_…` tell of those.
"""

from __future__ import annotations

from collections.abc import Iterable

import trio
from quart import Response, g, request

from storefront.telemetry.metrics import Reading
from storefront.telemetry.metrics_histogram import Histogram

# What OpenTelemetry knows; any other would be a label of the client's own choosing.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_STREAM = "text/event-stream"


class Durations:
    """The histograms: as many as there are routes, methods and statuses that were met together."""

    def __init__(self) -> None:
        self._took: dict[tuple[str, str, int], Histogram] = {}

    async def begin(self) -> None:
        """Quart calls this before a request."""
        g.began = trio.current_time()

    async def end(self, response: Response) -> Response:
        """Quart calls this with the answer."""
        began = g.get("began")
        if began is not None and response.mimetype != _STREAM:
            self.note(_route(), request.method, response.status_code, trio.current_time() - began)
        return response

    def note(self, route: str, method: str, status: int, seconds: float) -> None:
        """One request is answered."""
        key = (route, method if method in METHODS else "_OTHER", status)
        took = self._took.get(key)
        if took is None:
            took = self._took[key] = Histogram()
        took.observe(seconds)

    def readings(self) -> Iterable[Reading]:
        """For /metrics."""
        name = "http_server_request_duration_seconds"
        words = "Seconds until a request was answered, streams left out."
        for (route, method, status), took in self._took.items():
            labels = {
                "http_request_method": method,
                "http_route": route,
                "http_response_status_code": str(status),
            }
            yield name, words, labels, took


def _route() -> str:
    # A path that no route has is not told: clients make up as many as they like.
    return request.url_rule.rule if request.url_rule is not None else ""
