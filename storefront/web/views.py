"""The views over HTTP: design.md's paths, and under them those of the existing front end.

Whose view it is, is settled before anybody is asked where the path names a customer, and by the
owning service where it names a thing. Somebody else's thing is answered as an unknown one is, to
the byte. Who reads or tries to read another customer's data leaves one line in the audit.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TypeVar, TypeVarTuple

import structlog
import trio
from quart import Blueprint, Request, Response
from quart.globals import request_ctx
from werkzeug.datastructures import Headers

from storefront.domain.ids import CartId, CheckoutId, CustomerId, OrderId, canonical
from storefront.errors import (
    BadRequestError,
    DownstreamError,
    ForbiddenError,
    QueryShedError,
)
from storefront.queries.including import NOTHING, OF_LINES, OF_ORDERS, Included, included
from storefront.queries.products import FIRST_PAGE, USUAL_SIZE, Page
from storefront.queries.rendering import Served
from storefront.queries.views import Views
from storefront.telemetry import tracing
from storefront.web.audit import audit
from storefront.web.auth import Caller, whose
from storefront.web.callers import caller_of
from storefront.web.conditional import pause_after, respond, takes_json, written
from storefront.web.exchange import Answer, ShortWay
from storefront.web.origins import cors_headers
from storefront.web.parts import WebParts
from storefront.web.problems import problem

log = structlog.get_logger(__name__)

Id = TypeVar("Id", bound=str)
Args = TypeVarTuple("Args")
ById = Callable[[Id, CustomerId | None, Included], Awaitable[Served]]

# Catalog's categories are a word or two; each one that is asked for has a place in the cache.
_LONGEST_CATEGORY = 100
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)


def view_routes(parts: WebParts, views: Views) -> Blueprint:
    """The views' routes; each answers GET and HEAD."""
    blueprint = Blueprint("views", __name__)
    desk = _Desk(parts)

    @blueprint.get(CART)
    async def cart(customer_id: str) -> Response:
        customer = desk.customer(customer_id, "cart")
        return await desk.show(views.cart, customer, desk.depth(OF_LINES))

    # A GUID's length: `initialize` below the same path is a command and no cart.
    @blueprint.get("/api/storefront/carts/<string(length=36):cart_id>")
    async def cart_by_id(cart_id: str) -> Response:
        return await desk.show_by_id("cart", views.cart_by_id, CartId, cart_id, OF_LINES)

    @blueprint.get("/api/checkouts/<checkout_id>/view")
    @blueprint.get("/api/storefront/checkouts/<checkout_id>")
    async def checkout(checkout_id: str) -> Response:
        return await desk.show_by_id("checkout", views.checkout, CheckoutId, checkout_id, OF_LINES)

    @blueprint.get("/api/orders/<order_id>/view")
    @blueprint.get("/api/storefront/orders/<order_id>")
    async def order(order_id: str) -> Response:
        return await desk.show_by_id("order", views.order, OrderId, order_id, OF_ORDERS)

    @blueprint.get("/api/orders")
    @blueprint.get("/api/storefront/orders")
    async def history() -> Response:
        customer = desk.customer(_one(_asked(), "customerId"), "history")
        desk.depth(NOTHING)
        return await desk.show(views.history, customer)

    @blueprint.get("/api/products")
    @blueprint.get("/api/storefront/products")
    async def products() -> Response:
        desk.depth(NOTHING)
        return await desk.show(views.listing, _page(_asked()), public=True)

    return blueprint


CART = "/api/carts/<customer_id>/view"
_CART = re.compile("/api/carts/([0-9A-Fa-f-]{36})/view", re.ASCII)


def short_cart(parts: WebParts, views: Views) -> ShortWay:
    """The short way to a customer's own cart that is fresh in the cache: what a page asks for most.

    Whatever is not as simple is Quart's: a refusal, somebody else's cart, one to be composed.
    """

    async def answer(asked: Request, found: re.Match[str]) -> Answer | None:
        if asked.query_string or parts.tokens.ring is not None or not takes_json(asked):
            return None
        began = trio.current_time()
        try:
            caller = caller_of(asked, parts.tokens, parts.auth)
            customer = whose(caller, found[1])
            served = await views.fresh_cart(customer) if customer == caller.customer else None
            if served is None:
                return None
            parts.admit(caller)
        except Exception:  # noqa: BLE001 - the route meets it again, and has words for all of them
            return None
        status, headers, body = written(asked, served, now=parts.clock())
        told = cors_headers(asked.headers.get("Origin"), parts.auth.cors_origins)
        headers["Vary"] += f", {told.pop('Vary')}"
        if status == HTTPStatus.OK:
            headers["Content-Length"] = str(len(body))
        parts.durations.note(CART, "GET", status, trio.current_time() - began)
        return status, Headers([*headers.items(), *told.items()]), body

    return ShortWay(_CART, CART, answer)


class _Desk:
    """What every view's route does with the request at hand."""

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts

    def customer(self, asked_for: str | None, view: str) -> CustomerId:
        """Whose view the path or the query names.

        Raises:
            AuthenticationError: nobody proved who they are.
            ForbiddenError: it is not the caller's, who is not `support`.
            BadRequestError: what was named is no GUID.
        """
        caller = self._caller()
        try:
            customer = whose(caller, asked_for)
        except ForbiddenError:
            _audit(caller, view, asked_for, "refused")
            raise
        if customer != caller.customer:
            _audit(caller, view, customer, "allowed")
        return customer

    def depth(self, offered: Included) -> Included:
        """What `?include=` asks for."""
        asked = _asked()
        return included(asked.args.getlist("include"), offered) if asked.query_string else NOTHING

    async def show_by_id(
        self,
        view: str,
        ask: ById[Id],
        kind: Callable[[str], Id],
        named: str,
        offered: Included,
    ) -> Response:
        """The thing of this id, if it is the caller's; any, for `support`."""
        caller = self._caller()
        any_reader = "support" in caller.roles
        if caller.customer is None and not any_reader:
            _audit(caller, view, None, "refused")
            raise ForbiddenError("this is not your data")
        include = self.depth(offered)
        try:
            asked_for = kind(canonical(named))
        except ValueError:
            return _not_found()
        reader = None if any_reader else caller.customer

        def settled(owner: CustomerId | None, found: bool) -> None:
            if owner not in {None, caller.customer}:
                _audit(caller, view, owner, "allowed" if found else "refused")

        return await self.show(ask, asked_for, reader, include, settled=settled)

    async def show(
        self,
        ask: Callable[[*Args], Awaitable[Served]],
        *args: *Args,
        public: bool = False,
        settled: Callable[[CustomerId | None, bool], None] | None = None,
    ) -> Response:
        """What a question comes to; `settled` is told whose it is, and whether it is shown."""
        asked = _asked()
        if not takes_json(asked):
            return problem(406, "not-acceptable", "views are application/json")
        try:
            with tracing.span(f"view {getattr(ask, '__name__', '')}"):
                served = await ask(*args)
        except QueryShedError:
            raise
        except DownstreamError as error:
            return _not_available(error)
        found = served.rendered
        if settled is not None:
            settled(found.owner, found.found)
        if not found.found:
            return _not_found()
        return respond(asked, served, now=self._parts.clock(), public=public)

    def _caller(self) -> Caller:
        caller = caller_of(_asked(), self._parts.tokens, self._parts.auth)
        self._parts.admit(caller)
        return caller


def _asked() -> Request:
    """The request itself: each look through Quart's `request` is a search for it."""
    return request_ctx.request


def _audit(caller: Caller, view: str, customer: str | None, outcome: str) -> None:
    audit(caller, "view", customer, view=view, outcome=outcome)


def _not_found() -> Response:
    return problem(404, "not-found")


def _not_available(error: DownstreamError) -> Response:
    # Counted where it happened; a line for each would be the outage's second flood.
    log.debug("view not available", service=error.service, reason=type(error).__name__)
    words = "this cannot be shown for now; try again"
    return problem(503, "not-available", words, retry_after=pause_after(error))


def _one(asked: Request, name: str) -> str | None:
    """A parameter that may be said once, or twice the same."""
    said = set(asked.args.getlist(name))
    if len(said) > 1:
        raise BadRequestError(f"{name} is said in two ways")
    return said.pop() if said else None


def _page(asked: Request) -> Page:
    category = _one(asked, "category")
    if category is not None and len(category) > _LONGEST_CATEGORY:
        raise BadRequestError("category is too long")
    return Page.clamped(
        category,
        _number(asked, "page", FIRST_PAGE),
        _number(asked, "pageSize", USUAL_SIZE),
    )


def _number(asked: Request, name: str, usual: int) -> int:
    said = _one(asked, name)
    if not said:
        return usual
    if not _WHOLE_NUMBER.fullmatch(said):
        raise BadRequestError(f"{name} is not a whole number")
    return int(said)
