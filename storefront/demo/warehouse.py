"""Stock and reservations: what Inventory keeps and tells. One warehouse; one reservation for each
SKU of an order, as the real service makes them.

    available --reserve--> reserved --commit--> committed
    reserved or committed --release--> available
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from storefront.demo.carts import Line
from storefront.demo.messages import Message, happened
from storefront.demo.placed import Order
from storefront.demo.products import Product, fixed_guid
from storefront.demo.shelf import Shelf
from storefront.demo.ticks import Now

WAREHOUSE = "WH-01"


@dataclass(slots=True)
class Stock:
    """What lies on one shelf, in pieces."""

    sku: str
    available: int
    reserved: int = 0
    committed: int = 0


@dataclass(slots=True, kw_only=True)
class Reservation:
    """So many pieces, for this order."""

    reservation_id: str
    order_id: str
    sku: str
    quantity: int
    committed: bool = False

    def pieces(self) -> dict[str, object]:
        """The fields that the two good messages share, in their order."""
        return {
            "orderId": self.order_id,
            "inventoryId": fixed_guid(f"inventory/{self.sku}"),
            "reservationId": self.reservation_id,
            "sku": self.sku,
            "warehouseId": WAREHOUSE,
            "quantity": self.quantity,
        }


class Warehouse:
    """The stock of every product, and the reservations of the newest 10,000 orders."""

    def __init__(self, products: Iterable[Product], now: Now, new_id: Callable[[], str]) -> None:
        self._now = now
        self._new_id = new_id
        self._stock = {p.sku: Stock(p.sku, p.stock) for p in products}
        self._by_order: Shelf[str, list[Reservation]] = Shelf("Reservation")

    def stock(self, sku: str) -> Stock | None:
        return self._stock.get(sku)

    def restock(self, sku: str, pieces: int) -> None:
        """Put that many more on the shelf, a new one if there was none."""
        self._stock.setdefault(sku, Stock(sku, 0)).available += pieces

    def reserve(self, order: Order) -> tuple[bool, Sequence[Message]]:
        """Set everything aside for the order, or nothing if one SKU is short; then that says so."""
        short = next((i for i in order.lines if i.quantity > self._available(i.sku)), None)
        if short is not None:
            return False, [self._failed(order, short)]
        taken = [self._take(order, line) for line in order.lines]
        self._by_order.put(order.order_id, taken)
        now = self._now()
        return True, [
            happened("Inventory", "ReservationConfirmed", r.pieces(), reservedAt=now) for r in taken
        ]

    def commit(self, order: Order) -> Sequence[Message]:
        """The reserved pieces leave for good."""
        now, sent = self._now(), []
        for reservation in self._by_order.get(order.order_id):
            stock = self._stock[reservation.sku]
            stock.reserved -= reservation.quantity
            stock.committed += reservation.quantity
            reservation.committed = True
            sent.append(
                happened("Inventory", "ReservationCommitted", reservation.pieces(), committedAt=now)
            )
        return sent

    def release(self, order: Order) -> None:
        """What the order held goes back on the shelf."""
        held = self._by_order.find(order.order_id)
        for reservation in held or ():
            stock = self._stock[reservation.sku]
            if reservation.committed:
                stock.committed -= reservation.quantity
            else:
                stock.reserved -= reservation.quantity
            stock.available += reservation.quantity
        if held:
            held.clear()

    def _available(self, sku: str) -> int:
        stock = self._stock.get(sku)
        return stock.available if stock else 0

    def _take(self, order: Order, line: Line) -> Reservation:
        stock = self._stock[line.sku]
        stock.available -= line.quantity
        stock.reserved += line.quantity
        return Reservation(
            reservation_id=self._new_id(),
            order_id=order.order_id,
            sku=line.sku,
            quantity=line.quantity,
        )

    def _failed(self, order: Order, short: Line) -> Message:
        body = {
            "orderId": order.order_id,
            "reservationId": self._new_id(),
            "sku": short.sku,
            "warehouseId": WAREHOUSE,
            "requestedQuantity": short.quantity,
            "availableQuantity": self._available(short.sku),
            "reason": "Insufficient stock",
        }
        return happened("Inventory", "ReservationFailed", body, failedAt=self._now())
