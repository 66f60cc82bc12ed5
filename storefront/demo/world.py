"""The shop's business state, whole and PURE: commands in, integration messages out.

Nothing here awaits, and nobody reads a clock or draws an id but through what was handed in. What
one book can decide stands in its book; what needs two stands here.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence

from storefront.demo.carts import Carts
from storefront.demo.checkouts import Checkout, Checkouts
from storefront.demo.customers import Customers
from storefront.demo.messages import Message
from storefront.demo.parcels import Parcels
from storefront.demo.placed import Order, Orders
from storefront.demo.products import ARTICLES, Product
from storefront.demo.returns import Return, Returns
from storefront.demo.ticks import Now, wall_clock
from storefront.demo.till import Till
from storefront.demo.warehouse import Warehouse


def new_guid() -> str:
    """A random id, in the canonical spelling."""
    return str(uuid.uuid4())


class World:
    """All books of the shop. Each keeps its newest 10,000 entries and then forgets the oldest."""

    def __init__(
        self,
        *,
        now: Now = wall_clock,
        new_id: Callable[[], str] = new_guid,
        articles: Iterable[Product] = ARTICLES,
        checkout_delay: float = 0.0,
    ) -> None:
        """Open the shop.

        Args:
            now: the moment, in ticks of 100 ns since 1970.
            new_id: a guid nobody has yet.
            articles: what is sold; a test may sell whatever it likes.
            checkout_delay: seconds for which Orders does not know a new checkout yet.
        """
        self.now = now
        self.new_id = new_id
        self.products = {article.sku: article for article in articles}
        self.customers = Customers(now)
        self.carts = Carts(now, new_id)
        self.checkouts = Checkouts(now, new_id, checkout_delay)
        self.orders = Orders(now, new_id)
        self.till = Till(now, new_id)
        self.warehouse = Warehouse(self.products.values(), now, new_id)
        self.parcels = Parcels(now, new_id)
        self.returns = Returns(now, new_id)

    def initiate_checkout(self, cart_id: str) -> Checkout:
        """Close a cart and open its checkout.

        Raises:
            RefusedError: the cart is empty, closed or unknown.
        """
        return self.checkouts.start(self.carts.check_out(cart_id))

    def complete_checkout(self, checkout_id: str) -> tuple[Order, Sequence[Message]]:
        """Place the order: OrderPlaced.

        Raises:
            RefusedError: something is missing, or it is completed, or unknown.
        """
        return self.orders.place(self.checkouts.get(checkout_id))

    def cancel(self, order_id: str, reason: str) -> Sequence[Message]:
        """Call an order off: OrderCancelled, and RefundCompleted if money had been taken.

        Raises:
            NotFoundError: no such order.
            ConflictError: too late.
        """
        cancelled = self.orders.cancel(order_id, reason)
        order = self.orders.get(order_id)
        self.warehouse.release(order)
        return [*cancelled, *self.till.refund(order)]

    def take_back(self, order_id: str) -> Sequence[Message]:
        """Have a delivered order sent back: ReturnRequested.

        Raises:
            NotFoundError: no such order.
            ConflictError: it cannot be.
        """
        return self.returns.request(self.orders.get(order_id))

    # The steps of an order's way, in their order. Each is told the order by its journey, which has
    # made sure that it is not over.

    def authorise(self, order: Order) -> Sequence[Message]:
        """PaymentAuthorized, or PaymentFailed and the end of the way."""
        sent = self.till.authorise(order)
        failed = self.till.of_order(order.order_id)[0].status == "Failed"
        order.status = "PaymentFailed" if failed else "PendingPayment"
        return sent

    def reserve(self, order: Order) -> Sequence[Message]:
        """One ReservationConfirmed for each SKU, or ReservationFailed and the end of the way."""
        reserved, sent = self.warehouse.reserve(order)
        order.status = "InventoryReserved" if reserved else "OutOfStock"
        return sent

    def capture(self, order: Order) -> Sequence[Message]:
        """PaymentCaptured."""
        order.status = "PaymentConfirmed"
        return self.till.capture(order)

    def commit(self, order: Order) -> Sequence[Message]:
        """One ReservationCommitted for each SKU; packing begins."""
        order.status = "Fulfilling"
        self.parcels.request(order)
        return self.warehouse.commit(order)

    def dispatch(self, order: Order) -> Sequence[Message]:
        """ShipmentDispatched, with a tracking number."""
        order.status = "Shipped"
        return self.parcels.dispatch(order)

    def deliver(self, order: Order) -> Sequence[Message]:
        """ShipmentDelivered."""
        order.status = "Delivered"
        return self.parcels.deliver(order)

    # And of its way back.

    def approve_return(self, made: Return) -> Sequence[Message]:
        """ReturnApproved."""
        return self.returns.approve(made)

    def receive_return(self, made: Return) -> Sequence[Message]:
        """ReturnReceived."""
        return self.returns.receive(made)

    def complete_return(self, made: Return) -> Sequence[Message]:
        """ReturnCompleted."""
        return self.returns.complete(made)
