"""How a simulated service is put together: routes, knobs and refusals behind the desk's door."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import cast

import msgspec
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from storefront.demo.answers import Route, refused
from storefront.demo.asgi import App
from storefront.demo.cors import Cors
from storefront.demo.front import Desk, Door
from storefront.demo.knobs import Knobs
from storefront.demo.refusals import InvalidError, NotFoundError, RefusedError

# Bytes. The largest command of the shop is an address.
_LARGEST_BODY = 64 * 1024


def open_counter(name: str, desk: Desk, routes: Iterable[Route]) -> QuartTrio:
    """An app that answers these routes, behind the desk's door; `app.extensions["desk"]` is it."""
    otherwise = _Otherwise()
    app = QuartTrio(name, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _LARGEST_BODY
    app.extensions["desk"] = desk
    for route in (
        *routes,
        *Knobs(desk.faults).routes(),
        Route("GET", "/health", otherwise.healthy),
    ):
        app.add_url_rule(route.path, route.view.__name__, route.view, methods=[route.method])
    app.register_error_handler(RefusedError, otherwise.refused)
    app.register_error_handler(msgspec.ValidationError, otherwise.invalid)
    app.register_error_handler(msgspec.DecodeError, otherwise.unreadable)
    app.register_error_handler(HTTPException, otherwise.bare)
    # Quart's place for middleware; its types are Hypercorn's, which do not leave their room.
    inner = cast("App", app.asgi_app)
    app.asgi_app = Cors(Door(inner, desk), desk.allowed_origins)  # type: ignore[method-assign,assignment]  # as above
    return app


class _Otherwise:
    """What is answered when a view raises, and to nobody in particular.

    Quart runs what is not a coroutine in a thread, so these are coroutines that need not wait.
    """

    async def refused(self, error: RefusedError) -> Response:
        if isinstance(error, NotFoundError) and request.method == "GET":
            return Response(b"", error.status)
        return refused(error)

    async def invalid(self, error: msgspec.ValidationError) -> Response:
        # msgspec ends with the place: "Expected `int` >= 1 - at `$.newQuantity`".
        what, _, where = str(error).partition(" - at ")
        found = re.match(r"`\$\.(\w+)", where)
        field = found[1] if found else ""
        return refused(InvalidError({field[:1].upper() + field[1:]: [what]}))

    async def unreadable(self, _error: msgspec.DecodeError) -> Response:
        return refused(RefusedError("The request body is not JSON"))

    async def bare(self, error: HTTPException) -> Response:
        return Response(b"", error.code)

    async def healthy(self) -> Response:
        return Response(b"Healthy", content_type="text/plain; charset=utf-8")
