"""Payments, simulated: read-only (contracts.md section 2.5). By order in NEW only."""

from __future__ import annotations

from collections.abc import Iterable

from quart import Response, request
from quart_trio import QuartTrio

from storefront.demo.answers import Route, guid, reply
from storefront.demo.counter import open_counter
from storefront.demo.front import Desk, Era
from storefront.demo.ticks import timestamp
from storefront.demo.till import Payment
from storefront.demo.world import World


def payments_app(world: World, desk: Desk | None = None) -> QuartTrio:
    """The service. At SEED it had no question by order; that answers 404."""
    desk = desk or Desk()
    return open_counter("payments", desk, _Payments(world, desk.era).routes())


class _Payments:
    def __init__(self, world: World, era: Era) -> None:
        self._till = world.till
        self._era = era

    def routes(self) -> Iterable[Route]:
        yield Route("GET", "/api/payments/<payment_id>", self.get_payment)
        if self._era is Era.NEW:
            yield Route("GET", "/api/payments", self.list_payments)

    async def get_payment(self, payment_id: str) -> Response:
        return reply(_payment(self._till.get(guid(payment_id))))

    async def list_payments(self) -> Response:
        order_id = guid(request.args.get("orderId", ""))
        return reply([_payment(payment) for payment in self._till.of_order(order_id)])


def _payment(payment: Payment) -> dict[str, object]:
    processed = payment.processed_at
    return {
        "paymentId": payment.payment_id,
        "orderId": payment.order_id,
        "amount": payment.amount,
        "currency": payment.currency,
        "status": payment.status,
        "transactionId": payment.transaction_id,
        "failureReason": payment.failure_reason,
        "initiatedAt": timestamp(payment.initiated_at),
        "processedAt": None if processed is None else timestamp(processed),
    }
