"""/admin: the dashboard, for the role `admin`; and one customer at a time, for the role `support`.

The page itself is public and empty: a browser cannot send a bearer token with a navigation. What is
in it comes from the other routes, which want one. The page hands the token it was given to
`POST /admin/session`, which checks it and keeps it in a cookie of its own, that scripts cannot read
and that is not the customers': so one browser can be a customer's and an administrator's at once.
"""

from __future__ import annotations

import msgspec
from quart import Blueprint, Response, request

from storefront.dashboard.sampler import Dashboard
from storefront.domain.ids import CustomerId, canonical
from storefront.errors import BadRequestError, ForbiddenError, StoreUnavailableError
from storefront.queries.shapes import Shape
from storefront.web.admin_customer import look_up
from storefront.web.admin_files import AdminFiles
from storefront.web.admin_stream import AdminStreamBody, refused
from storefront.web.audit import audit
from storefront.web.auth import Caller
from storefront.web.callers import caller_of
from storefront.web.parts import WebParts
from storefront.web.problems import problem
from storefront.web.sse import HEADERS as STREAM_HEADERS

STAFF = frozenset({"admin", "support"})
# Seconds after which a log that did not answer may.
LOG_PAUSE = 2


class Session(Shape, frozen=True, kw_only=True):
    """What the caller may see, and for how long."""

    roles: list[str]
    expires_in_seconds: float
    # Which process answers, where there are several: what it keeps for itself is its own.
    worker: int


def admin_cookie(cookie_name: str) -> str:
    """The administrators' cookie, beside the customers'."""
    return f"{cookie_name}-admin"


def admin_routes(parts: WebParts, dashboard: Dashboard) -> Blueprint:
    """The routes of /admin."""
    blueprint = Blueprint("admin", __name__)
    desk = _Desk(parts, dashboard)
    files = AdminFiles()
    blueprint.add_url_rule("/admin", "page", files.page)
    blueprint.add_url_rule("/admin/ui/<path:name>", "file", files.file)
    blueprint.add_url_rule("/admin/session", "session", desk.session)
    blueprint.add_url_rule("/admin/session", "enter", desk.enter, methods=["POST"])
    blueprint.add_url_rule("/admin/session", "leave", desk.leave, methods=["DELETE"])
    blueprint.add_url_rule("/admin/stream", "stream", desk.stream)
    blueprint.add_url_rule("/admin/customers/<customer_id>", "customer", desk.customer)
    return blueprint


class _Desk:
    def __init__(self, parts: WebParts, dashboard: Dashboard) -> None:
        self._parts = parts
        self._dashboard = dashboard
        self._cookie = admin_cookie(parts.auth.cookie_name)

    async def session(self) -> Response:
        """Who the browser is here."""
        return self._told(self._staff())

    async def enter(self) -> Response:
        """Keep the bearer token of this request in the cookie."""
        caller = self._staff()
        response = self._told(caller)
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            # The cookie that proved it is there already.
            return response
        response.set_cookie(
            self._cookie,
            token.strip(" \t"),
            max_age=max(0, int(caller.expires_at - self._parts.clock())),
            path="/",
            httponly=True,
            samesite="Strict",
            # Browsers take a name with this prefix with it only, and over HTTPS only.
            secure=self._cookie.startswith("__"),
        )
        return response

    async def leave(self) -> Response:
        """Forget it."""
        response = Response(b"", 204)
        response.delete_cookie(
            self._cookie, path="/", samesite="Strict", secure=self._cookie.startswith("__")
        )
        return response

    async def stream(self) -> Response:
        """A picture every second."""
        caller = self._staff()
        if "admin" not in caller.roles:
            raise ForbiddenError("the dashboard is for the role admin")
        if request.method == "HEAD":
            # Quart would run the stream for a HEAD, for as long as the connection lives.
            return Response(b"", headers=STREAM_HEADERS)
        left = caller.expires_at - self._parts.clock()
        pauses = self._parts.pauses
        try:
            body = AdminStreamBody(self._dashboard, lasts=left, pause=pauses.usual())
        except AdminStreamBody.Full:
            return Response(refused(pauses.busy()), headers=STREAM_HEADERS)
        response = Response(body, headers=STREAM_HEADERS)
        # Quart ends any response after RESPONSE_TIMEOUT (60 s); a stream has no natural end.
        response.timeout = None
        return response

    async def customer(self, customer_id: str) -> Response:
        """One customer's streams and last events."""
        caller = self._staff()
        if "support" not in caller.roles:
            raise ForbiddenError("customers are looked up by the role support")
        self._parts.admit(caller)
        try:
            customer = CustomerId(canonical(customer_id))
        except ValueError as exc:
            raise BadRequestError("that is no GUID") from exc
        audit(caller, "lookup", customer)
        try:
            found = await look_up(customer, self._parts.hub, self._parts.log)
        except StoreUnavailableError:
            words = "the log does not answer for now; try again"
            return problem(503, "not-available", words, retry_after=LOG_PAUSE)
        return _json(found)

    def _staff(self) -> Caller:
        parts = self._parts
        # Who comes with a customer's cookie only is told 403 by it, and not 401: they are known.
        name = self._cookie if self._cookie in request.cookies else None
        caller = caller_of(request, parts.tokens, parts.auth, cookie_name=name)
        if not caller.roles & STAFF:
            raise ForbiddenError("this is for the roles admin and support")
        return caller

    def _told(self, caller: Caller) -> Response:
        left = max(0.0, caller.expires_at - self._parts.clock())
        roles = sorted(caller.roles & STAFF)
        worker = self._dashboard.worker
        return _json(Session(roles=roles, expires_in_seconds=round(left, 3), worker=worker))


def _json(told: msgspec.Struct) -> Response:
    response = Response(msgspec.json.encode(told), content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response
