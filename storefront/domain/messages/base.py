"""What messages have in common: whose they are, or which order's."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated
from uuid import UUID

import msgspec

from storefront.domain.ids import CustomerId, OrderId, customer_id, order_id
from storefront.domain.instants import Instant

Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]

# No order of this shop comes near; beyond it a sender has lost its decimal point, and 1E+400 is
# Infinity in a browser.
_UNREASONABLE = Decimal(10) ** 12


class Message(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """Something that happened in another service."""


class OwnedMessage(Message, frozen=True, kw_only=True, gc=False):
    """A message that says whose it is."""

    customer_id: UUID

    @property
    def customer(self) -> CustomerId:
        """Whose it is; `ids.NOBODY` for a visitor who has not signed in."""
        return customer_id(self.customer_id)


class OrderMessage(Message, frozen=True, kw_only=True, gc=False):
    """A message that names an order and leaves its customer to be found."""

    order_id: UUID

    @property
    def order(self) -> OrderId:
        return order_id(self.order_id)


class CartMessage(OwnedMessage, frozen=True, kw_only=True, gc=False):
    """A change of a cart.

    The design document's messages carry the totals and `occurredAt`; the real services leave the
    totals to be asked for, and have a field of their own for the moment of each kind of change.
    """

    cart_id: UUID
    item_count: Count | None = None
    total_amount: Decimal | None = None
    occurred_at: Instant | None = None

    def __post_init__(self) -> None:
        check_money(self.total_amount)
        if self.moment is None:
            raise ValueError("no moment of change")

    @property
    def moment(self) -> Instant | None:
        """When it happened."""
        return self.occurred_at


def check_money(amount: Decimal | None) -> None:
    """Refuse what is no amount of money.

    Raises:
        ValueError: it is not finite, or beyond reason.
    """
    if amount is not None and not (amount.is_finite() and abs(amount) < _UNREASONABLE):
        raise ValueError("not an amount of money")
