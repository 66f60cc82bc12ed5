"""The Quart application, put together. Nothing here starts a task."""

from __future__ import annotations

import structlog
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from storefront.errors import (
    AuthenticationError,
    BadRequestError,
    ForbiddenError,
    KeysAwayError,
    QueryShedError,
    StorefrontError,
    TooManyRequestsError,
)
from storefront.web.admin import admin_routes
from storefront.web.browser_client import browser_client_routes
from storefront.web.callers import await_key
from storefront.web.commands import command_routes
from storefront.web.exchange import ShortApp
from storefront.web.health import health_routes
from storefront.web.openapi.routes import openapi_routes
from storefront.web.origins import cors_headers, preflight_headers
from storefront.web.parts import WebParts
from storefront.web.problems import TYPES, problem
from storefront.web.sse import short_stream, sse_routes
from storefront.web.tickets_route import ticket_routes
from storefront.web.views import short_cart, view_routes

log = structlog.get_logger(__name__)

# No request of ours has a body beyond a few fields.
LONGEST_BODY = 64 * 1024
# Seconds after which what is not there for now may be: keys, the log, a service.
PAUSE = 5


App = QuartTrio


def create_app(parts: WebParts) -> App:
    """The application over these parts."""
    app = ShortApp("storefront")
    app.config["MAX_CONTENT_LENGTH"] = LONGEST_BODY
    app.short_ways.append(short_stream(parts))
    app.register_blueprint(sse_routes(parts))
    if parts.tickets is not None:
        app.register_blueprint(ticket_routes(parts, parts.tickets))
    app.register_blueprint(health_routes(parts))
    app.register_blueprint(openapi_routes(parts.auth.cookie_name))
    app.register_blueprint(browser_client_routes())
    if parts.views is not None:
        app.register_blueprint(view_routes(parts, parts.views))
        app.short_ways.append(short_cart(parts, parts.views))
    if parts.commands is not None:
        app.register_blueprint(command_routes(parts, parts.commands))
    if parts.dashboard is not None:
        app.register_blueprint(admin_routes(parts, parts.dashboard))
    for page in parts.pages:
        app.register_blueprint(page)
    app.before_request(parts.durations.begin)
    app.after_request(parts.durations.end)
    _answer_errors(app)
    _ask_to_come_back(app)
    _allow_origins(app, parts)
    if parts.tokens.ring is not None:
        _await_keys(app, parts)
    return app


def _answer_errors(app: QuartTrio) -> None:
    @app.errorhandler(AuthenticationError)
    async def not_signed_in(error: AuthenticationError) -> Response:
        return problem(401, "not-signed-in", str(error))

    @app.errorhandler(KeysAwayError)
    async def not_told(error: KeysAwayError) -> Response:
        return problem(503, "not-available", str(error), retry_after=PAUSE)

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

    @app.errorhandler(StorefrontError)
    async def let_down(error: StorefrontError) -> Response:
        # The words are for the log. What may be over soon is counted where it happened, and is no
        # bug.
        if error.problem == StorefrontError.problem:
            return await failed(error)
        status, _ = TYPES[error.problem]
        return problem(status, error.problem, retry_after=PAUSE if status == 503 else None)

    @app.errorhandler(Exception)
    async def failed(error: Exception) -> Response:
        log.error("request failed", route=_route(), exc_info=error)
        return problem(500, "failed")


def _route() -> str:
    # Not the path: there are ids in it, and whatever else a client wrote there.
    return request.url_rule.rule if request.url_rule is not None else ""


def _ask_to_come_back(app: QuartTrio) -> None:
    @app.errorhandler(TooManyRequestsError)
    async def too_often(error: TooManyRequestsError) -> Response:
        return problem(429, "too-many-requests", str(error), retry_after=error.retry_after)

    @app.errorhandler(QueryShedError)
    async def too_much(error: QueryShedError) -> Response:
        # Not logged: what there is too much of is counted already.
        words = "there is too much to do for now; try again"
        return problem(503, "overloaded", words, retry_after=round(error.retry_in))


def _await_keys(app: QuartTrio, parts: WebParts) -> None:
    @app.before_request
    async def new_key() -> None:
        await await_key(request, parts.tokens, parts.auth)


def _allow_origins(app: QuartTrio, parts: WebParts) -> None:
    @app.before_request
    async def preflight() -> Response | None:
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            return Response(b"", 204, headers=preflight_headers())
        return None

    @app.after_request
    async def cors(response: Response) -> Response:
        told = cors_headers(request.headers.get("Origin"), parts.auth.cors_origins)
        # By hand: Werkzeug's set of names costs as much as finding a view. Nobody else says it.
        varies = response.headers.get("Vary")
        if varies:
            told["Vary"] = f"{varies}, {told['Vary']}"
        response.headers.update(told)
        return response
