"""/health/live, /health/ready, /metrics.

Live: the loop answers. Ready: started and not draining. A dead broker or store is reported and does
not take a replica out of service: all replicas would go at once, and with them what still works.
"""

from __future__ import annotations

import msgspec
from quart import Blueprint, Response, request

from storefront.telemetry.metrics import CONTENT_TYPE
from storefront.web.parts import WebParts
from storefront.web.problems import problem


def health_routes(parts: WebParts) -> Blueprint:
    """The routes an orchestrator and Prometheus ask."""
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/health/live")
    async def live() -> Response:
        return _json({"status": "live"}, 200)

    @blueprint.get("/health/ready")
    async def ready() -> Response:
        phase = parts.readiness.phase.value
        told: dict[str, object] = {"status": phase}
        if "verbose" in request.args:
            told["parts"] = {name: ask() for name, ask in parts.readiness.parts.items()}
        return _json(told, 200 if phase == "ready" else 503)

    @blueprint.get("/metrics")
    async def metrics() -> Response:
        if parts.metrics_apart:
            return problem(404, "http-404")
        answer = Response(parts.metrics.exposition(), content_type=CONTENT_TYPE)
        if parts.worker:
            # Another one may answer next time: these are the numbers of this one.
            answer.headers["Storefront-Worker"] = str(parts.worker)
        return answer

    return blueprint


def _json(told: dict[str, object], status: int) -> Response:
    response = Response(msgspec.json.encode(told), status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response
