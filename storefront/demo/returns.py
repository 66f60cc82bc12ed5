"""Returns: goods on their way back (contracts.md section 1.3). One return for each order.

    Requested -> Approved -> Received -> Completed, with the money for all of it

Only what was delivered comes back, and only once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from storefront.demo.messages import Message, happened
from storefront.demo.placed import Order
from storefront.demo.refusals import ConflictError
from storefront.demo.shelf import Shelf
from storefront.demo.ticks import SECOND, Now

# How long somebody may take to the post office.
_TIME_TO_SHIP = 14 * 24 * 3600 * SECOND
_NO_FEE = Decimal("0.00")


@dataclass(slots=True, kw_only=True)
class Return:
    """A return of a whole order."""

    return_id: str
    order: Order
    status: str = "Requested"

    def told(self) -> dict[str, object]:
        """What every message begins with."""
        return {
            "returnId": self.return_id,
            "orderId": self.order.order_id,
            "customerId": self.order.customer_id,
        }


class Returns:
    """The returns of the newest 10,000 orders that came back."""

    def __init__(self, now: Now, new_id: Callable[[], str]) -> None:
        self._now = now
        self._new_id = new_id
        self._by_order: Shelf[str, Return] = Shelf("Return")

    def find(self, order_id: str) -> Return | None:
        return self._by_order.find(order_id)

    def request(self, order: Order) -> Sequence[Message]:
        """ReturnRequested.

        Raises:
            ConflictError: it has not been delivered, or is on its way back already.
        """
        if order.status != "Delivered":
            raise ConflictError("Only what was delivered can be returned")
        if order.order_id in self._by_order:
            raise ConflictError("It is on its way back already")
        made = Return(return_id=self._new_id(), order=order)
        self._by_order.put(order.order_id, made)
        return [happened("Returns", "ReturnRequested", made.told(), requestedAt=self._now())]

    def approve(self, made: Return) -> Sequence[Message]:
        """ReturnApproved, with a fortnight to send it."""
        made.status, now = "Approved", self._now()
        money = {"estimatedRefundAmount": made.order.total, "restockingFeeAmount": _NO_FEE}
        moments = {"shipByDeadline": now + _TIME_TO_SHIP, "approvedAt": now}
        return [happened("Returns", "ReturnApproved", made.told() | money, **moments)]

    def receive(self, made: Return) -> Sequence[Message]:
        """ReturnReceived."""
        made.status = "Received"
        return [happened("Returns", "ReturnReceived", made.told(), receivedAt=self._now())]

    def complete(self, made: Return) -> Sequence[Message]:
        """ReturnCompleted: everything was as new."""
        made.status = "Completed"
        body = {
            **made.told(),
            "finalRefundAmount": made.order.total,
            "items": [_inspected(line.sku, line.quantity) for line in made.order.lines],
        }
        return [happened("Returns", "ReturnCompleted", body, completedAt=self._now())]


def _inspected(sku: str, quantity: int) -> dict[str, object]:
    return {
        "sku": sku,
        "quantity": quantity,
        "isRestockable": True,
        "warehouseId": "WH-01",
        "restockCondition": "New",
        "refundAmount": None,
        "rejectionReason": None,
    }
