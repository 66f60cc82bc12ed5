"""What is worth remembering of an event once it has been sent: small, per thing it is about.

Facts let a view show a shipment that Fulfillment offers no query for, and a payment that Payments
offers none for, and find a customer's cart. A late message never overwrites a newer fact: the
moment it happened decides, not the moment it came.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from storefront.domain.events import (
    CartUpdated,
    OrderStatusChanged,
    ShipmentStatusChanged,
    StorefrontEvent,
)

FactKind = Literal["cart", "order", "payment", "shipment", "return"]

# An order's status told by an event, as Payments would put it (contracts.md 1.2, 1.2b and 2.5). A
# refund that failed leaves the money taken.
_PAID = {
    "PaymentAuthorized": "Authorized",
    "PaymentCaptured": "Captured",
    "PaymentFailed": "Failed",
    "Refunded": "Refunded",
    "RefundFailed": "Captured",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """The last known state of one thing of one customer.

    Attributes:
        kind: what it is about.
        id: whose state it is. There is one current cart, so its fact is filed under "" and names
            the cart in `state`.
        state: the cart's id, or the last status.
        detail: the tracking number of a shipment, where there is one.
        order: the order a payment, a shipment or a return belongs to.
        occurred_at: seconds since 1970 (UTC), as the service said.
    """

    kind: FactKind
    id: str
    state: str
    detail: str | None = None
    order: str | None = None
    occurred_at: float


def fact_of(event: StorefrontEvent) -> Fact:
    """What to remember of an event."""
    at = event.occurred_at.at.timestamp()
    if isinstance(event, CartUpdated):
        return Fact(kind="cart", id="", state=event.cart_id, occurred_at=at)
    if isinstance(event, OrderStatusChanged):
        return Fact(kind="order", id=event.order_id, state=event.new_status, occurred_at=at)
    if isinstance(event, ShipmentStatusChanged):
        return Fact(
            kind="shipment",
            id=event.shipment_id,
            state=event.new_status,
            detail=event.tracking_number,
            order=event.order_id,
            occurred_at=at,
        )
    return Fact(
        kind="return",
        id=event.return_id,
        state=event.new_status,
        detail=event.details,
        order=event.order_id,
        occurred_at=at,
    )


def payment_of(event: StorefrontEvent) -> Fact | None:
    """What an event says of an order's payment; None of most. A thing of its own, for the order's
    status goes on to other matters and the money stays where it is.
    """
    if not isinstance(event, OrderStatusChanged) or event.new_status not in _PAID:
        return None
    return Fact(
        kind="payment",
        id=event.order_id,
        state=_PAID[event.new_status],
        order=event.order_id,
        occurred_at=event.occurred_at.at.timestamp(),
    )


def standing(new: Fact, old: Fact | None) -> Fact | None:
    """What is to be on file once a fact has come; None where that is what is there already.

    The newer of the two stands, whichever came first, and a detail once known is not forgotten: a
    tracking number that comes late joins the newer status, which is left as it is.
    """
    if old is None or supersedes(new, old):
        return merged(new, old)
    kept = merged(old, new)
    return None if kept is old else kept


def supersedes(new: Fact, old: Fact | None) -> bool:
    """Whether a fact is the newer one. Of two at the same moment the later one to come wins."""
    return old is None or new.occurred_at >= old.occurred_at


def merged(new: Fact, old: Fact | None) -> Fact:
    """The newer fact (`new`), with the detail of the older one where it brings none itself."""
    if old is None or new.detail is not None or old.detail is None:
        return new
    return Fact(
        kind=new.kind,
        id=new.id,
        state=new.state,
        detail=old.detail,
        order=new.order,
        occurred_at=new.occurred_at,
    )
