"""Orders: whose order it is (contracts.md section 2.2)."""

from __future__ import annotations

from uuid import UUID

import msgspec

from storefront.domain.ids import CustomerId, OrderId, customer_id
from storefront.downstream.answers import read
from storefront.downstream.guard import Guard
from storefront.downstream.http import HttpService
from storefront.errors import DownstreamNonsenseError


class _Order(msgspec.Struct, frozen=True, rename="camel"):
    order_id: UUID
    customer_id: UUID


_decoder = msgspec.json.Decoder(_Order)


class Orders:
    """Questions to Orders."""

    def __init__(self, http: HttpService, guard: Guard) -> None:
        self._http = http
        self._guard = guard

    async def customer(self, order: OrderId) -> CustomerId | None:
        """Whose order it is; None where Orders knows no such order.

        Raises:
            DownstreamError: Orders let us down.
        """
        body = await self._guard.call(self._http.get_json, "api", "orders", order)
        if body is None:
            return None
        found = read(self._http.name, _decoder, body, "an order")
        if str(found.order_id) != order:
            raise DownstreamNonsenseError(self._http.name, "another order than the one asked for")
        return customer_id(found.customer_id)
