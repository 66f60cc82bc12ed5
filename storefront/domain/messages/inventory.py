"""Inventory: whether the goods are there. All of it names the order only."""

from __future__ import annotations

from uuid import UUID

from storefront.domain.instants import Instant
from storefront.domain.messages.base import OrderMessage


class ReservationConfirmed(OrderMessage, frozen=True, kw_only=True, gc=False):
    reservation_id: UUID
    reserved_at: Instant


class ReservationCommitted(OrderMessage, frozen=True, kw_only=True, gc=False):
    reservation_id: UUID
    committed_at: Instant


class ReservationFailed(OrderMessage, frozen=True, kw_only=True, gc=False):
    reservation_id: UUID
    failed_at: Instant
