"""One request for a command: who asks, whether they may, and what of the request goes along.

Who names another customer is refused before anybody is asked. Whose thing it is, is asked of the
service that owns it. Support looks and does not act. Each attempt at what is not the caller's
leaves one line in the audit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog
from quart import Request, request
from werkzeug.exceptions import UnsupportedMediaType

from storefront.domain.ids import CartId, CheckoutId, CustomerId, OrderId, canonical, customer_id
from storefront.downstream.commands import PassedOn
from storefront.errors import BadRequestError, ForbiddenError, NoSuchThingError
from storefront.web.audit import audit
from storefront.web.auth import Caller
from storefront.web.callers import caller_of
from storefront.web.command_bodies import B, understand
from storefront.web.commanding import Commands
from storefront.web.parts import WebParts

log = structlog.get_logger(__name__)

T = TypeVar("T")

# Seconds a body may take to arrive; it is a few fields.
BODY_PATIENCE = 10
# A UUID has 36 characters, a hash 64; a service keeps them for a while.
LONGEST_KEY = 255


@dataclass(slots=True, kw_only=True)
class Errand:
    """One request for a command.

    Attributes:
        name: of the command, in the audit and the metrics.
        caller: who asks.
        customer: the caller's customer.
        passed_on: what of the request goes along.
        sent: whether a service may have been told.
    """

    name: str
    caller: Caller
    customer: CustomerId
    passed_on: PassedOn
    commands: Commands
    sent: bool = False

    async def body(self, kind: type[B]) -> B:
        """What the request's body says.

        Raises:
            UnsupportedMediaType: it is no JSON by its own word.
            InvalidBodyError: it cannot be read.
        """
        if not request.is_json:
            raise UnsupportedMediaType
        request.body_timeout = BODY_PATIENCE
        return understand(kind, await request.get_data(as_text=False))

    def own(self, named: str | None) -> CustomerId:
        """The caller's customer, if that is who was named; nobody named is the caller.

        Raises:
            ForbiddenError: it is somebody else.
            BadRequestError: it is no GUID.
        """
        if named is None:
            return self.customer
        try:
            found = customer_id(named)
        except ValueError as exc:
            raise BadRequestError("customerId is not a GUID") from exc
        if found != self.customer:
            _audit(self.caller, self.name, found)
            raise ForbiddenError("this is not your data")
        return found

    async def own_cart(self, named: str) -> CartId:
        """The cart of that id, if it is the caller's.

        Raises:
            NoSuchThingError: it is not, or there is none.
            DownstreamError: Shopping does not say.
        """
        cart = CartId(_guid(named))
        self._check(await self.commands.owner_of_cart(cart))
        return cart

    async def own_checkout(self, named: str) -> CheckoutId:
        """The checkout of that id, likewise."""
        checkout = CheckoutId(_guid(named))
        self._check(await self.commands.owner_of_checkout(checkout))
        return checkout

    async def own_order(self, named: str) -> OrderId:
        """The order of that id, likewise."""
        order = OrderId(_guid(named))
        self._check(await self.commands.owner_of_order(order))
        return order

    async def tell(self, command: Callable[[], Awaitable[T]]) -> T:
        """Have it carried out."""
        self.sent = True
        return await self.commands.carry_out(self.name, self.customer, command)

    def _check(self, owner: CustomerId | None) -> None:
        if owner == self.customer:
            return
        if owner is not None:
            _audit(self.caller, self.name, owner)
        raise NoSuchThingError


def errand_of(name: str, parts: WebParts, commands: Commands) -> Errand:
    """Who asks, if they may command at all.

    Raises:
        AuthenticationError: nobody proved who they are.
        ForbiddenError: it is no customer of the shop, or the cookie came from a foreign page.
        BadRequestError: the Idempotency-Key cannot be passed on.
        TooManyRequestsError: one too many of theirs.
    """
    caller = caller_of(request, parts.tokens, parts.auth)
    parts.admit(caller)
    if caller.customer is None or "support" in caller.roles:
        _audit(caller, name, None)
        raise ForbiddenError("commands are for customers themselves")
    return Errand(
        name=name,
        caller=caller,
        customer=caller.customer,
        passed_on=PassedOn(
            authorization=_identity(request, parts.auth.cookie_name),
            idempotency_key=_key(request),
        ),
        commands=commands,
    )


def _identity(asked: Request, cookie_name: str) -> str:
    """The caller's token as a service wants it, whichever way it came; it was read already."""
    header = asked.headers.get("Authorization")
    return header if header is not None else f"Bearer {asked.cookies[cookie_name]}"


def _key(asked: Request) -> str | None:
    given = set(asked.headers.getlist("Idempotency-Key"))
    if not given:
        return None
    key = given.pop()
    usable = not given and 0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()
    if not usable:
        raise BadRequestError(f"Idempotency-Key is not one of 1 to {LONGEST_KEY} characters")
    return key


def _guid(named: str) -> str:
    try:
        return canonical(named)
    except ValueError as exc:
        raise NoSuchThingError from exc


def _audit(caller: Caller, command: str, customer: CustomerId | None) -> None:
    """One line on who wanted to change what is not theirs."""
    audit(caller, "command", customer, command=command, outcome="refused")
