"""Payments: what was paid for an order, where one may ask (contracts.md section 2.5)."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import ClassVar

from storefront.domain.ids import OrderId
from storefront.domain.instants import Instant
from storefront.downstream.answers import Answer, Items, decoder, read
from storefront.downstream.client import Client


class Payment(Answer, frozen=True, kw_only=True):
    """One payment."""

    guids: ClassVar[tuple[str, ...]] = ("payment_id", "order_id")

    payment_id: str
    order_id: OrderId
    amount: Decimal
    currency: str
    status: str
    initiated_at: Instant
    processed_at: Instant | None = None
    transaction_id: str | None = None
    failure_reason: str | None = None


_payments = decoder(Items[Payment])


class Payments(Client):
    """Questions to Payments. Each raises DownstreamError when it lets us down, and
    DownstreamAbsentError where it is too old for the question or keeps the answer from us.
    """

    async def of_order(self, order: OrderId) -> Sequence[Payment]:
        """The payments of an order."""
        meaning = partial(self._payments, order)
        return await self._ask_if_there(meaning, "api", "payments", query={"orderId": order})

    def _payments(self, order: OrderId, body: bytes) -> Sequence[Payment]:
        found = read(self.name, _payments, body, "a list of payments")
        if any(payment.order_id != order for payment in found):
            self._refuse("another order's payment")
        return found
