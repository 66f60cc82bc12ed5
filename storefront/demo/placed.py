"""Placed orders: what Orders keeps and tells.

    Placed -> PendingPayment -> InventoryReserved -> PaymentConfirmed -> Fulfilling -> Shipped
        -> Delivered
    and out of it: PaymentFailed, OutOfStock, Cancelled

The statuses are those of the real order saga, moved on by the messages of the other services.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from storefront.demo.carts import Line
from storefront.demo.checkouts import Checkout, Destination
from storefront.demo.messages import Message, happened
from storefront.demo.refusals import ConflictError
from storefront.demo.shelf import Shelf
from storefront.demo.ticks import Now

# No message moves an order on from here.
OVER = frozenset({"Delivered", "Cancelled", "OutOfStock", "PaymentFailed"})


@dataclass(slots=True, kw_only=True)
class Order:
    """An order, as placed; only its status changes."""

    order_id: str
    customer_id: str
    lines: tuple[Line, ...]
    destination: Destination
    shipping_method: str
    payment_token: str
    total: Decimal
    placed_at: int
    status: str = "Placed"

    @property
    def over(self) -> bool:
        return self.status in OVER

    def address(self) -> dict[str, object]:
        """The destination in the words of an order: street, not address line."""
        to = self.destination
        return {
            "street": to.line1,
            "street2": to.line2,
            "city": to.city,
            "state": to.state,
            "postalCode": to.postal_code,
            "country": to.country,
        }


class Orders:
    """The newest 10,000 orders."""

    def __init__(self, now: Now, new_id: Callable[[], str]) -> None:
        self._now = now
        self._new_id = new_id
        self._by_id: Shelf[str, Order] = Shelf("Order")

    def place(self, checkout: Checkout) -> tuple[Order, Sequence[Message]]:
        """Make an order of a checkout, once.

        Raises:
            RefusedError: something is missing, or it has become an order already.
        """
        wishes = checkout.wishes()
        order = Order(
            order_id=self._new_id(),
            customer_id=wishes.customer_id,
            lines=checkout.lines,
            destination=wishes.destination,
            shipping_method=wishes.shipping_method,
            payment_token=wishes.payment_token,
            total=checkout.total,
            placed_at=self._now(),
        )
        checkout.completed = True
        self._by_id.put(order.order_id, order)
        return order, [_placed(order)]

    def get(self, order_id: str) -> Order:
        """The order, or NotFoundError."""
        return self._by_id.get(order_id)

    def find(self, order_id: str) -> Order | None:
        return self._by_id.find(order_id)

    def of_customer(self, customer_id: str) -> Sequence[Order]:
        """All that are kept, newest first; the real service does not page either."""
        return [o for o in self._by_id.newest_first() if o.customer_id == customer_id]

    def cancel(self, order_id: str, reason: str) -> Sequence[Message]:
        """Call an order off.

        Raises:
            NotFoundError: there is none.
            ConflictError: it has been delivered, or is over already.
        """
        order = self._by_id.get(order_id)
        if order.status == "Cancelled":
            raise ConflictError("Order is already cancelled")
        if order.over:
            raise ConflictError("Order cannot be cancelled after it has been shipped")
        order.status = "Cancelled"
        body = {"orderId": order_id, "customerId": order.customer_id, "reason": reason}
        return [happened("Orders", "OrderCancelled", body, cancelledAt=self._now())]


def _placed(order: Order) -> Message:
    body = {
        "orderId": order.order_id,
        "customerId": order.customer_id,
        "lineItems": [line.written() for line in order.lines],
        "shippingAddress": order.address(),
        "shippingMethod": order.shipping_method,
        "paymentMethodToken": order.payment_token,
        "totalAmount": order.total,
    }
    return happened("Orders", "OrderPlaced", body, placedAt=order.placed_at)
