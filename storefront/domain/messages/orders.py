"""Orders: the beginning and the early end of an order. Both say whose it is."""

from __future__ import annotations

from uuid import UUID

from storefront.domain.ids import OrderId, order_id
from storefront.domain.instants import Instant
from storefront.domain.messages.base import OwnedMessage


class OrderPlaced(OwnedMessage, frozen=True, kw_only=True, gc=False):
    # The body also carries a payment token and a street address. They are not named here, so they
    # go no further.
    order_id: UUID
    placed_at: Instant

    @property
    def order(self) -> OrderId:
        return order_id(self.order_id)


class OrderCancelled(OwnedMessage, frozen=True, kw_only=True, gc=False):
    order_id: UUID
    cancelled_at: Instant
