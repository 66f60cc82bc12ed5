"""Customer Identity, simulated: accounts, sign-in, saved addresses (contracts.md section 2.4)."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Annotated, Literal

from msgspec import Meta
from quart import Response, request
from quart_trio import QuartTrio

from storefront.demo.answers import Command, Route, address_lines, created, guid, read, reply
from storefront.demo.counter import open_counter
from storefront.demo.customers import Address, Customer
from storefront.demo.front import Desk, Era
from storefront.demo.refusals import NotFoundError, UnknownUserError
from storefront.demo.ticks import timestamp
from storefront.demo.world import World

# Not the Storefront's cookie: this one belongs to Customer Identity and opens nothing else.
COOKIE = "CritterSupply.Auth"

Line = Annotated[str, Meta(min_length=1, max_length=100)]
Short = Annotated[str, Meta(min_length=1, max_length=50)]


class Login(Command, frozen=True, kw_only=True):
    email: Line
    password: Line


class Register(Command, frozen=True, kw_only=True):
    email: Line
    first_name: Short
    last_name: Short


class AddAddress(Command, frozen=True, kw_only=True):
    type: Literal["Shipping", "Billing", "Both"]
    nickname: Short
    address_line1: Line
    address_line2: Annotated[str, Meta(max_length=100)] | None = None
    city: Short
    state_or_province: Short
    postal_code: Annotated[str, Meta(min_length=1, max_length=20)]
    country: Annotated[str, Meta(min_length=2, max_length=2)]
    is_default: bool = False


def identity_app(world: World, desk: Desk | None = None) -> QuartTrio:
    """The service."""
    desk = desk or Desk()
    return open_counter("identity", desk, _Identity(world, desk.era).routes())


class _Identity:
    def __init__(self, world: World, era: Era) -> None:
        self._world = world
        self._customers = world.customers
        self._era = era

    def routes(self) -> Iterable[Route]:
        customer = "/api/customers/<customer_id>"
        return (
            Route("POST", "/api/customers", self.register),
            Route("GET", customer, self.get_customer),
            Route("GET", f"{customer}/addresses", self.list_addresses),
            Route("POST", f"{customer}/addresses", self.add_address),
            Route("GET", "/api/addresses/<address_id>/snapshot", self.snapshot),
            Route("POST", "/api/auth/login", self.login),
            Route("POST", "/api/auth/logout", self.logout),
            Route("GET", "/api/auth/me", self.me),
        )

    async def register(self) -> Response:
        wish = await read(Register)
        customer = self._customers.register(
            self._world.new_id(), wish.email, wish.first_name, wish.last_name
        )
        return created(f"/api/customers/{customer.customer_id}", customer.customer_id)

    async def get_customer(self, customer_id: str) -> Response:
        customer = self._customers.get(guid(customer_id))
        return reply(
            {
                "id": customer.customer_id,
                "email": customer.email,
                "firstName": customer.first_name,
                "lastName": customer.last_name,
                "createdAt": timestamp(customer.created_at),
            }
        )

    async def list_addresses(self, customer_id: str) -> Response:
        kind = request.args.get("type")
        saved = self._customers.addresses(guid(customer_id), kind)
        return reply([self._written(address) for address in saved])

    async def add_address(self, customer_id: str) -> Response:
        wish = await read(AddAddress)
        address = Address(
            address_id=self._world.new_id(),
            type=wish.type,
            nickname=wish.nickname,
            line1=wish.address_line1,
            line2=wish.address_line2,
            city=wish.city,
            state=wish.state_or_province,
            postal_code=wish.postal_code,
            country=wish.country,
            is_default=wish.is_default,
        )
        self._customers.add_address(guid(customer_id), address)
        return created(
            f"/api/customers/{guid(customer_id)}/addresses/{address.address_id}",
            address.address_id,
        )

    async def snapshot(self, address_id: str) -> Response:
        address = self._customers.address(guid(address_id))
        if address is None:
            raise NotFoundError("Address not found")
        return reply(address_lines(address))

    async def login(self) -> Response:
        wish = await read(Login)
        customer = self._customers.sign_in(wish.email, wish.password)
        response = reply(_me(customer))
        response.set_cookie(COOKIE, customer.customer_id, httponly=True, samesite="Lax")
        return response

    async def logout(self) -> Response:
        response = Response(b"", HTTPStatus.OK)
        response.delete_cookie(COOKIE)
        return response

    async def me(self) -> Response:
        try:
            return reply(_me(self._customers.get(request.cookies.get(COOKIE, ""))))
        except NotFoundError:
            raise UnknownUserError("Not signed in") from None

    def _written(self, address: Address) -> dict[str, object]:
        item: dict[str, object] = {
            "id": address.address_id,
            "type": address.type,
            "nickname": address.nickname,
            "displayLine": address.display_line,
            "isDefault": address.is_default,
            "isVerified": address.is_verified,
        }
        return item if self._era is Era.SEED else item | address_lines(address)


def _me(customer: Customer) -> dict[str, object]:
    return {
        "customerId": customer.customer_id,
        "email": customer.email,
        "firstName": customer.first_name,
        "lastName": customer.last_name,
    }
