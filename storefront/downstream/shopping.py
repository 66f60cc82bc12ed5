"""Shopping: carts (contracts.md section 2.1)."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated
from uuid import UUID

import msgspec

from storefront.domain.ids import CartId, CustomerId, customer_id
from storefront.domain.translate import Totals
from storefront.downstream.answers import is_price, read
from storefront.downstream.guard import Guard
from storefront.downstream.http import HttpService
from storefront.errors import DownstreamNonsenseError


class _Line(msgspec.Struct, frozen=True, rename="camel"):
    sku: str
    quantity: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
    unit_price: Decimal

    def __post_init__(self) -> None:
        if not is_price(self.unit_price):
            raise ValueError("not a price")


class _Cart(msgspec.Struct, frozen=True, rename="camel"):
    cart_id: UUID
    items: list[_Line]
    customer_id: UUID | None = None  # left out for a visitor who has not signed in


_decoder = msgspec.json.Decoder(_Cart)


class Shopping:
    """Questions to Shopping."""

    def __init__(self, http: HttpService, guard: Guard) -> None:
        self._http = http
        self._guard = guard

    async def totals(self, cart: CartId, customer: CustomerId) -> Totals | None:
        """What this customer's cart comes to: distinct lines, sum of quantity times unit price;
        None for no such cart.

        Raises:
            DownstreamError: Shopping let us down.
        """
        body = await self._guard.call(self._http.get_json, "api", "carts", cart)
        if body is None:
            return None
        found = read(self._http.name, _decoder, body, "a cart")
        if str(found.cart_id) != cart:
            raise DownstreamNonsenseError(self._http.name, "another cart than the one asked for")
        if found.customer_id is not None and customer_id(found.customer_id) != customer:
            # What it comes to is that customer's business, and goes to nobody else's screen.
            raise DownstreamNonsenseError(self._http.name, "another customer's cart")
        total = sum((line.quantity * line.unit_price for line in found.items), Decimal(0))
        if not is_price(total):
            raise DownstreamNonsenseError(self._http.name, "a cart beyond all prices")
        return Totals(item_count=len(found.items), total_amount=total)
