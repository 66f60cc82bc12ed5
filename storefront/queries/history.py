"""A customer's orders, newest first, as Orders has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from storefront.domain.ids import CustomerId
from storefront.downstream import orders
from storefront.queries.checkouts import ORDERS
from storefront.queries.parts import Composed, insist
from storefront.queries.shapes import OrderSummary


class AskOrders(Protocol):
    """What the history asks of Orders (downstream/orders.py)."""

    async def history(self, customer: CustomerId) -> Sequence[orders.OrderSummary]: ...


async def compose_history(
    ask: AskOrders, customer: CustomerId, *, deadline: float
) -> Composed[Sequence[OrderSummary]]:
    """The orders; of a customer without any, none.

    Raises:
        DownstreamError: Orders let us down, another customer's order among them included.
    """
    summaries, source = await insist(deadline, ORDERS, ask.history, customer)
    view = [
        OrderSummary(
            order_id=summary.order_id,
            customer_id=summary.customer_id,
            placed_at=summary.placed_at.text,
            status=summary.status,
            total_amount=summary.total_amount,
            item_count=summary.item_count,
        )
        for summary in summaries
    ]
    return Composed(view=view, owner=customer, sources={ORDERS: source})
