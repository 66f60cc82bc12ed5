"""Shopping: what happened to a cart (contracts.md section 1.1)."""

from __future__ import annotations

from decimal import Decimal

from storefront.domain.instants import Instant
from storefront.domain.messages.base import CartMessage


class ItemAdded(CartMessage, frozen=True, kw_only=True, gc=False):
    sku: str | None = None
    quantity: int | None = None
    unit_price: Decimal | None = None
    added_at: Instant | None = None

    @property
    def moment(self) -> Instant | None:
        return self.occurred_at or self.added_at


class ItemQuantityChanged(CartMessage, frozen=True, kw_only=True, gc=False):
    sku: str | None = None
    old_quantity: int | None = None
    new_quantity: int | None = None
    changed_at: Instant | None = None

    @property
    def moment(self) -> Instant | None:
        return self.occurred_at or self.changed_at


class ItemRemoved(CartMessage, frozen=True, kw_only=True, gc=False):
    sku: str | None = None
    removed_at: Instant | None = None

    @property
    def moment(self) -> Instant | None:
        return self.occurred_at or self.removed_at


class CouponApplied(CartMessage, frozen=True, kw_only=True, gc=False):
    coupon_code: str | None = None
    discount_amount: Decimal | None = None
    applied_at: Instant | None = None

    @property
    def moment(self) -> Instant | None:
        return self.occurred_at or self.applied_at


class CouponRemoved(CartMessage, frozen=True, kw_only=True, gc=False):
    coupon_code: str | None = None
    removed_at: Instant | None = None

    @property
    def moment(self) -> Instant | None:
        return self.occurred_at or self.removed_at
