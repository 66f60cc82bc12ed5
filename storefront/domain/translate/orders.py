"""`order-status-changed`, in the one vocabulary of contracts.md sections 1.2 and 1.2b."""

from __future__ import annotations

from uuid import UUID

from storefront.domain import messages as said
from storefront.domain.events import OrderStatusChanged
from storefront.domain.ids import order_id
from storefront.domain.instants import Instant
from storefront.domain.translate.known import Known


def order_placed(message: said.OrderPlaced, known: Known) -> OrderStatusChanged:
    return _order(message.order_id, known, "Placed", message.placed_at)


def order_cancelled(message: said.OrderCancelled, known: Known) -> OrderStatusChanged:
    return _order(message.order_id, known, "Cancelled", message.cancelled_at)


def payment_authorized(message: said.PaymentAuthorized, known: Known) -> OrderStatusChanged:
    return _order(message.order_id, known, "PaymentAuthorized", message.authorized_at)


def payment_captured(message: said.PaymentCaptured, known: Known) -> OrderStatusChanged:
    return _order(message.order_id, known, "PaymentCaptured", message.captured_at)


def payment_failed(message: said.PaymentFailed, known: Known) -> OrderStatusChanged:
    return _order(message.order_id, known, "PaymentFailed", message.failed_at)


def refund_completed(message: said.RefundCompleted, known: Known) -> OrderStatusChanged:
    return _order(message.order_id, known, "Refunded", message.refunded_at)


def refund_failed(message: said.RefundFailed, known: Known) -> OrderStatusChanged:
    return _order(message.order_id, known, "RefundFailed", message.failed_at)


def reservation_confirmed(message: said.ReservationConfirmed, known: Known) -> OrderStatusChanged:
    return _order(message.order_id, known, "InventoryReserved", message.reserved_at)


def reservation_committed(message: said.ReservationCommitted, known: Known) -> OrderStatusChanged:
    return _order(message.order_id, known, "InventoryCommitted", message.committed_at)


def reservation_failed(message: said.ReservationFailed, known: Known) -> OrderStatusChanged:
    return _order(message.order_id, known, "InventoryUnavailable", message.failed_at)


def _order(order: UUID, known: Known, status: str, moment: Instant) -> OrderStatusChanged:
    return OrderStatusChanged(
        order_id=order_id(order),
        customer_id=known.customer,
        new_status=status,
        occurred_at=moment,
    )
