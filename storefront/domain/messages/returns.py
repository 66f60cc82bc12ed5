"""Returns: goods on their way back (contracts.md section 1.3). All of it says whose it is."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from storefront.domain.instants import Instant
from storefront.domain.messages.base import OwnedMessage, check_money


class ReturnMessage(OwnedMessage, frozen=True, kw_only=True, gc=False):
    """A message about one return of an order."""

    return_id: UUID
    order_id: UUID


class ReturnRequested(ReturnMessage, frozen=True, kw_only=True, gc=False):
    requested_at: Instant


class ReturnApproved(ReturnMessage, frozen=True, kw_only=True, gc=False):
    estimated_refund_amount: Decimal
    restocking_fee_amount: Decimal
    ship_by_deadline: Instant
    approved_at: Instant

    def __post_init__(self) -> None:
        check_money(self.estimated_refund_amount)
        check_money(self.restocking_fee_amount)


class ReturnDenied(ReturnMessage, frozen=True, kw_only=True, gc=False):
    reason: str
    message: str | None = None
    denied_at: Instant


class ReturnReceived(ReturnMessage, frozen=True, kw_only=True, gc=False):
    received_at: Instant


class ReturnRejected(ReturnMessage, frozen=True, kw_only=True, gc=False):
    reason: str
    rejected_at: Instant


class ReturnExpired(ReturnMessage, frozen=True, kw_only=True, gc=False):
    expired_at: Instant


class ReturnCompleted(ReturnMessage, frozen=True, kw_only=True, gc=False):
    final_refund_amount: Decimal
    completed_at: Instant

    def __post_init__(self) -> None:
        check_money(self.final_refund_amount)
