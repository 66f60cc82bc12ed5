"""Customer Identity: saved addresses (contracts.md section 2.4)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

import msgspec

from storefront.domain.ids import CustomerId
from storefront.downstream.answers import Answer, Items, decoder, read
from storefront.downstream.client import Client
from storefront.downstream.commands import NOTHING, PassedOn, created


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """A saved address. `display_line` is "" where the service said neither it nor its parts."""

    address_id: str
    type: str
    nickname: str
    display_line: str
    is_default: bool
    is_verified: bool
    address_line1: str | None
    address_line2: str | None
    city: str | None
    state_or_province: str | None
    postal_code: str | None
    country: str | None


class NewAddress(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An address to save."""

    nickname: str
    address_line1: str
    city: str
    state_or_province: str
    postal_code: str
    country: str  # two letters, ISO 3166
    address_line2: str | None = None
    type: str = "Shipping"
    is_default: bool = True


class _Item(Answer, frozen=True, kw_only=True):
    """An older service leaves the parts out; documents and services differ about `type`; and no
    service has to say whose an address is.
    """

    guids: ClassVar[tuple[str, ...]] = ("id", "customer_id")

    id: str
    customer_id: CustomerId | None = None
    nickname: str = ""
    type: str | None = None
    address_type: str | None = None
    display_line: str | None = None
    is_default: bool = False
    is_verified: bool = False
    address_line1: str | None = None
    address_line2: str | None = None
    city: str | None = None
    state_or_province: str | None = None
    postal_code: str | None = None
    country: str | None = None


_items = decoder(Items[_Item])


class Identity(Client):
    """Questions and commands to Customer Identity. Each raises DownstreamError when it lets us
    down, and a command also DownstreamRefusedError with its 4xx.
    """

    async def addresses(self, customer: CustomerId, kind: str = "Shipping") -> Sequence[Address]:
        """A customer's saved addresses of a kind, those for both kinds included."""
        path = ("api", "customers", customer, "addresses")
        meaning = partial(self._addresses, customer)
        return await self._ask(meaning, *path, query={"type": kind}) or ()

    async def save_address(
        self, customer: CustomerId, address: NewAddress, *, passed_on: PassedOn = NOTHING
    ) -> str:
        """Save one more; its id."""
        path = ("api", "customers", customer, "addresses")
        wish = {"customerId": customer, **msgspec.to_builtins(address)}
        made = partial(created, self.name)
        return await self._tell(made, "POST", *path, wish=wish, passed_on=passed_on)

    def _addresses(self, customer: CustomerId, body: bytes) -> Sequence[Address]:
        found = read(self.name, _items, body, "addresses")
        if any(item.customer_id not in {None, customer} for item in found):
            self._refuse("another customer's address")
        return tuple(_address(item) for item in found)


def _address(item: _Item) -> Address:
    return Address(
        address_id=item.id,
        type=item.type or item.address_type or "",
        nickname=item.nickname,
        display_line=item.display_line or _composed(item),
        is_default=item.is_default,
        is_verified=item.is_verified,
        address_line1=item.address_line1,
        address_line2=item.address_line2,
        city=item.city,
        state_or_province=item.state_or_province,
        postal_code=item.postal_code,
        country=item.country,
    )


def _composed(item: _Item) -> str:
    """As the service writes it: "line1[, line2], city, state postal, country"."""
    region = " ".join(part for part in (item.state_or_province, item.postal_code) if part)
    parts = (item.address_line1, item.address_line2, item.city, region, item.country)
    return ", ".join(part for part in parts if part)
