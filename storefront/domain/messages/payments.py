"""Payments: what became of the money. All of it names the order only."""

from __future__ import annotations

from uuid import UUID

from storefront.domain.instants import Instant
from storefront.domain.messages.base import OrderMessage


class PaymentAuthorized(OrderMessage, frozen=True, kw_only=True, gc=False):
    payment_id: UUID
    authorized_at: Instant


class PaymentCaptured(OrderMessage, frozen=True, kw_only=True, gc=False):
    payment_id: UUID
    captured_at: Instant


class PaymentFailed(OrderMessage, frozen=True, kw_only=True, gc=False):
    payment_id: UUID
    failed_at: Instant


class RefundCompleted(OrderMessage, frozen=True, kw_only=True, gc=False):
    payment_id: UUID
    refunded_at: Instant


class RefundFailed(OrderMessage, frozen=True, kw_only=True, gc=False):
    payment_id: UUID
    failed_at: Instant
