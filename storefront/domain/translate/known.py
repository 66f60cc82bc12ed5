"""What had to be found out before a message could be translated."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from storefront.domain.ids import CustomerId
from storefront.domain.messages import CartMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What a cart comes to: distinct lines, and the sum of quantity times unit price."""

    item_count: int
    total_amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The customer of every message, and the totals of a cart's."""

    customer: CustomerId
    totals: Totals | None = None


def totals_in(message: CartMessage) -> Totals | None:
    """The totals a cart message carries itself; None where Shopping must be asked."""
    if message.item_count is None or message.total_amount is None:
        return None
    return Totals(item_count=message.item_count, total_amount=message.total_amount)
