"""The order page: Orders' order; payment and shipments from whoever knows of them.

Payments and Fulfillment are optional twice over: they may not be configured, and the older ones
have no such question. What the events told is shown then, and where they fail.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from msgspec import UNSET

from storefront.domain.facts import Fact
from storefront.domain.ids import CustomerId, OrderId
from storefront.domain.instants import Instant
from storefront.downstream.fulfillment import Shipment
from storefront.downstream.orders import Order, OrderLine
from storefront.downstream.payments import Payment
from storefront.queries import shapes
from storefront.queries.asking import asking
from storefront.queries.checkouts import ORDERS
from storefront.queries.including import NOTHING, Included
from storefront.queries.lines import Enquiry, Shelves, enquire
from storefront.queries.parts import Composed, Part, Source, insist, settle
from storefront.queries.remembered import (
    EVENTS,
    Remembered,
    known_among,
    payment_among,
    shipments_among,
)
from storefront.queries.shapes import OrderView, PaymentPart, ShipmentPart


class AskOrders(Protocol):
    """What the order page asks of Orders (downstream/orders.py)."""

    async def order(self, order: OrderId, owner: CustomerId | None = None) -> Order | None: ...


AskPayments = Callable[[OrderId], Awaitable[Sequence[Payment]]]
AskShipments = Callable[[OrderId], Awaitable[Sequence[Shipment]]]


class OrderPages:
    """Composes orders.

    Args:
        orders: owns them.
        payments: of an order; None where Payments is not configured.
        shipments: of an order; None where Fulfillment is not configured.
        shelves: whom to ask about products.
        remembered: what the events told.
        at_once: questions of one view under way at the same time.
        most_lines: about whose products is asked.
    """

    def __init__(
        self,
        orders: AskOrders,
        payments: AskPayments | None,
        shipments: AskShipments | None,
        shelves: Shelves,
        remembered: Remembered,
        *,
        at_once: int,
        most_lines: int,
    ) -> None:
        self._orders = orders
        self._payments = payments
        self._shipments = shipments
        self._shelves = shelves
        self._remembered = remembered
        self._at_once = at_once
        self._most_lines = most_lines

    async def of_id(
        self, order_id: OrderId, reader: CustomerId | None, include: Included, *, deadline: float
    ) -> Composed[OrderView]:
        """The order of that id, for a reader, or for whoever may read any (None).

        Raises:
            DownstreamError: Orders let us down.
        """
        told = None if reader is None else await self._told(reader, deadline)
        # What an event told of one of the reader's orders stays the reader's, whatever Orders says.
        mine = reader if told is not None and known_among(told.value or (), order_id) else None
        order, source = await insist(deadline, ORDERS, self._orders.order, order_id, mine)
        owner = None if order is None else order.customer_id
        if order is None or owner is None or reader not in {owner, None}:
            return Composed(view=None, owner=owner, sources={ORDERS: source})
        told = told or await self._told(owner, deadline)
        return await self._composed(order, source, told, include, deadline)

    async def _composed(
        self,
        order: Order,
        source: Source,
        told: Part[Sequence[Fact]],
        include: Included,
        deadline: float,
    ) -> Composed[OrderView]:
        lines = order.line_items[: self._most_lines] if "products" in include else ()
        async with asking(deadline, at_once=self._at_once) as ask:
            payments = ask.ask(self._payments, order.order_id)
            shipments = ask.ask(self._shipments, order.order_id)
            enquiry = enquire(ask, self._shelves, lines, NOTHING)
        paid, sent = payments.part, shipments.part
        sources = {ORDERS: source, "payments": paid.source, "fulfillment": sent.source}
        if paid.value is None or sent.value is None:
            # What the log says is for when the others do not answer.
            sources[EVENTS] = told.source
        view = OrderView(
            order_id=order.order_id,
            customer_id=order.customer_id,
            status=order.status,
            placed_at=order.placed_at.text,
            total_amount=order.total_amount,
            items=[_line(line, enquiry) for line in order.line_items],
            payment=_told_payment(told.value, order.order_id)
            if paid.value is None
            else _payment(paid.value),
            shipments=_told_shipments(told.value, order.order_id)
            if sent.value is None
            else [_shipment(shipment) for shipment in sent.value],
        )
        sources |= enquiry.sources()
        return Composed(view=view, owner=order.customer_id, sources=sources)

    async def _told(self, customer: CustomerId, deadline: float) -> Part[Sequence[Fact]]:
        """What the events told of the customer's things."""
        return await settle(self._remembered.facts, customer, deadline)


def _line(line: OrderLine, enquiry: Enquiry) -> shapes.OrderLine:
    shown = enquiry.item(line) if line.sku in enquiry.products else None
    return shapes.OrderLine(
        sku=line.sku,
        quantity=line.quantity,
        unit_price=line.unit_price,
        # Orders' own, where it says one: an order is a contract, and we do not do its sums.
        line_total=line.quantity * line.unit_price if line.line_total is None else line.line_total,
        product_name=UNSET if shown is None else shown.product_name,
        product_image_url=UNSET if shown is None else shown.product_image_url,
    )


def _payment(payments: Sequence[Payment]) -> PaymentPart | None:
    """The newest attempt to pay is how things stand."""
    if not payments:
        return None
    newest = max(payments, key=lambda payment: payment.initiated_at.at)
    return PaymentPart(status=newest.status, amount=newest.amount)


def _told_payment(told: Sequence[Fact] | None, order: OrderId) -> PaymentPart | None:
    status = payment_among(told or (), order)
    return None if status is None else PaymentPart(status=status)


def _shipment(shipment: Shipment) -> ShipmentPart:
    moment = shipment.delivered_at or shipment.handed_to_carrier_at or shipment.requested_at
    return ShipmentPart(
        shipment_id=shipment.shipment_id,
        status=shipment.status,
        tracking_number=shipment.tracking_number,
        occurred_at=None if moment is None else moment.text,
    )


def _told_shipments(told: Sequence[Fact] | None, order: OrderId) -> Sequence[ShipmentPart] | None:
    """None where nobody could be asked: that is not the same as none sent."""
    if told is None:
        return None
    return [
        ShipmentPart(
            shipment_id=fact.id,
            status=fact.state,
            tracking_number=fact.detail,
            occurred_at=Instant.of(fact.occurred_at).text,
        )
        for fact in shipments_among(told, order)
    ]
