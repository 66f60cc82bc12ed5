"""The Quart application, put together. Nothing here starts a task."""

from __future__ import annotations

import structlog
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from storefront.errors import AuthenticationError, BadRequestError, ForbiddenError
from storefront.web.health import health_routes
from storefront.web.origins import cors_headers, preflight_headers
from storefront.web.parts import WebParts
from storefront.web.problems import problem
from storefront.web.sse import sse_routes

log = structlog.get_logger(__name__)

# No request of ours has a body beyond a few fields.
LONGEST_BODY = 64 * 1024


App = QuartTrio


def create_app(parts: WebParts) -> App:
    """The application over these parts."""
    app = QuartTrio("storefront", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = LONGEST_BODY
    app.register_blueprint(sse_routes(parts))
    app.register_blueprint(health_routes(parts))
    for page in parts.pages:
        app.register_blueprint(page)
    _answer_errors(app)
    _allow_origins(app, parts)
    return app


def _answer_errors(app: QuartTrio) -> None:
    @app.errorhandler(AuthenticationError)
    async def not_signed_in(error: AuthenticationError) -> Response:
        return problem(401, "not-signed-in", str(error))

    @app.errorhandler(ForbiddenError)
    async def not_allowed(error: ForbiddenError) -> Response:
        return problem(403, "not-allowed", str(error))

    @app.errorhandler(BadRequestError)
    async def bad_request(error: BadRequestError) -> Response:
        return problem(400, "bad-request", str(error))

    @app.errorhandler(HTTPException)
    async def refused(error: HTTPException) -> Response:
        answer = problem(error.code or 500, f"http-{error.code}")
        allowed = getattr(error, "valid_methods", None)
        if allowed:
            answer.headers["Allow"] = ", ".join(sorted(allowed))
        return answer

    @app.errorhandler(Exception)
    async def failed(error: Exception) -> Response:
        log.error("request failed", path=request.path, exc_info=error)
        return problem(500, "failed")


def _allow_origins(app: QuartTrio, parts: WebParts) -> None:
    @app.before_request
    async def preflight() -> Response | None:
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            return Response(b"", 204, headers=preflight_headers())
        return None

    @app.after_request
    async def cors(response: Response) -> Response:
        told = cors_headers(request.headers.get("Origin"), parts.auth.cors_origins)
        response.vary.add(told.pop("Vary"))
        response.headers.update(told)
        return response
