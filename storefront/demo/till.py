"""Payments: authorised when an order is placed, captured when it can be sent, refunded when it is
called off. What Payments keeps and tells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from storefront.demo.messages import Message, happened
from storefront.demo.placed import Order
from storefront.demo.refusals import NotFoundError
from storefront.demo.shelf import Shelf
from storefront.demo.ticks import SECOND, Now

# Any token with this in it is a card that the bank declines.
DECLINED = "decline"

# An authorisation holds for a week, as card schemes have it.
_HOLDS = 7 * 24 * 3600 * SECOND


@dataclass(slots=True, kw_only=True)
class Payment:
    """One payment of one order. `status`: Pending, Authorized, Captured, Failed, Refunded."""

    payment_id: str
    order_id: str
    amount: Decimal
    initiated_at: int
    currency: str = "USD"
    status: str = "Pending"
    transaction_id: str | None = None
    failure_reason: str | None = None
    processed_at: int | None = None

    def tell(self, name: str, body: dict[str, object], **moments: int) -> Message:
        owner = {"paymentId": self.payment_id, "orderId": self.order_id}
        return happened("Payments", name, {**owner, **body}, **moments)


class Till:
    """The payments of the newest 10,000 orders, one each."""

    def __init__(self, now: Now, new_id: Callable[[], str]) -> None:
        self._now = now
        self._new_id = new_id
        self._by_order: Shelf[str, Payment] = Shelf("Payment")

    def get(self, payment_id: str) -> Payment:
        """The payment, or NotFoundError."""
        for payment in self._by_order.newest_first():
            if payment.payment_id == payment_id:
                return payment
        raise NotFoundError("Payment not found")

    def of_order(self, order_id: str) -> Sequence[Payment]:
        payment = self._by_order.find(order_id)
        return [payment] if payment else []

    def authorise(self, order: Order) -> Sequence[Message]:
        """Ask the bank; a token with `decline` in it fails."""
        now = self._now()
        payment = Payment(
            payment_id=self._new_id(), order_id=order.order_id, amount=order.total, initiated_at=now
        )
        self._by_order.put(order.order_id, payment)
        if DECLINED in order.payment_token:
            payment.status, payment.failure_reason = "Failed", "Card declined"
            payment.processed_at = now
            failed = {"failureReason": "Card declined", "isRetriable": False}
            return [payment.tell("PaymentFailed", failed, failedAt=now)]
        payment.status = "Authorized"
        authorised = {"amount": order.total, "authorizationId": f"auth_{payment.payment_id[:8]}"}
        return [
            payment.tell("PaymentAuthorized", authorised, authorizedAt=now, expiresAt=now + _HOLDS)
        ]

    def capture(self, order: Order) -> Sequence[Message]:
        """Take the money."""
        payment, now = self._by_order.get(order.order_id), self._now()
        payment.status, payment.processed_at = "Captured", now
        payment.transaction_id = f"txn_{payment.payment_id[:8]}"
        return [payment.tell("PaymentCaptured", _money(payment), capturedAt=now)]

    def refund(self, order: Order) -> Sequence[Message]:
        """Give it back, if it was taken."""
        payment = self._by_order.find(order.order_id)
        if payment is None or payment.status != "Captured":
            return []
        payment.status, payment.transaction_id = "Refunded", f"rfd_{payment.payment_id[:8]}"
        return [payment.tell("RefundCompleted", _money(payment), refundedAt=self._now())]


def _money(payment: Payment) -> dict[str, object]:
    return {"amount": payment.amount, "transactionId": payment.transaction_id}
