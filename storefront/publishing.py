"""Messages as the neighbouring services would send them, for trying things out by hand."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from decimal import Decimal

from storefront.domain.instants import Instant
from storefront.domain.translate import NAMESPACE, TRANSLATIONS
from storefront.messaging.amqp import AmqpBroker, open_island
from storefront.messaging.broker import Outgoing
from storefront.messaging.envelope import wolverine

_ADDRESS = {
    "street": "123 Main St",
    "street2": None,
    "city": "Seattle",
    "state": "WA",
    "postalCode": "98101",
    "country": "US",
}
_LINE = {
    "sku": "DOG-BOWL-01",
    "quantity": 2,
    "unitPrice": Decimal("19.99"),
    "lineTotal": Decimal("39.98"),
}
_ID, _NOW = object(), object()

# The bodies of contracts.md section 1.1, field by field in the order of the records.
_BODIES: Mapping[str, Mapping[str, object]] = {
    "Shopping.ItemAdded": {
        "cartId": _ID,
        "customerId": _ID,
        "sku": "DOG-BOWL-01",
        "quantity": 2,
        "unitPrice": Decimal("19.99"),
        "addedAt": _NOW,
    },
    "Shopping.ItemQuantityChanged": {
        "cartId": _ID,
        "customerId": _ID,
        "sku": "DOG-BOWL-01",
        "oldQuantity": 2,
        "newQuantity": 5,
        "changedAt": _NOW,
    },
    "Shopping.ItemRemoved": {
        "cartId": _ID,
        "customerId": _ID,
        "sku": "DOG-BOWL-01",
        "removedAt": _NOW,
    },
    "Orders.OrderPlaced": {
        "orderId": _ID,
        "customerId": _ID,
        "lineItems": [_LINE],
        "shippingAddress": _ADDRESS,
        "shippingMethod": "Standard",
        "paymentMethodToken": "tok_visa_test_12345",
        "totalAmount": Decimal("45.97"),
        "placedAt": _NOW,
    },
    "Payments.PaymentAuthorized": {
        "paymentId": _ID,
        "orderId": _ID,
        "amount": Decimal("45.97"),
        "authorizationId": "auth_12345",
        "authorizedAt": _NOW,
        "expiresAt": _NOW,
    },
    "Inventory.ReservationConfirmed": {
        "orderId": _ID,
        "inventoryId": _ID,
        "reservationId": _ID,
        "sku": "DOG-BOWL-01",
        "warehouseId": "WH-01",
        "quantity": 2,
        "reservedAt": _NOW,
    },
    "Fulfillment.ShipmentDispatched": {
        "orderId": _ID,
        "shipmentId": _ID,
        "carrier": "UPS",
        "trackingNumber": "1Z999AA10123456784",
        "dispatchedAt": _NOW,
    },
}


def example(kind: str, given: Mapping[str, object], *, now: float) -> Outgoing:
    """A message of a kind, with made-up ids where none are given.

    Args:
        kind: the full .NET name, its last two segments, or its last one: `ItemAdded`.
        given: fields to set; None is left to be made up; a field the record lacks is added.
        now: seconds since 1970.

    Raises:
        ValueError: there is no such kind.
    """
    short = kind.removeprefix(NAMESPACE)
    names = [row.name for row in TRANSLATIONS if short in {row.name, row.name.split(".")[-1]}]
    if not names:
        known = ", ".join(row.name.split(".")[-1] for row in TRANSLATIONS)
        raise ValueError(f"{kind}: no such message; there are {known}")
    body: dict[str, object] = {}
    for field, value in _BODIES[names[0]].items():
        body[field] = _made_up(value, now) if given.get(field) is None else given[field]
    extra = {k: v for k, v in given.items() if v is not None and k not in body}
    # The three ids have options of their own; those this kind of message lacks are passed over.
    body |= {k: v for k, v in extra.items() if k not in {"customerId", "cartId", "orderId"}}
    return wolverine(
        NAMESPACE + names[0],
        body,
        message_id=str(uuid.uuid4()),
        sent_at=now,
        source=f"{names[0].split('.')[0]}.Api",
    )


async def publish_once(url: str, queue: str, message: Outgoing) -> None:
    """Connect, publish, and return once the broker has taken it.

    Raises:
        BrokerError: the broker cannot be reached, or has no such queue.
    """
    async with open_island():
        broker = AmqpBroker(url)
        try:
            await broker.publish(queue, message)
        finally:
            await broker.aclose()


def _made_up(value: object, now: float) -> object:
    if value is _ID:
        return str(uuid.uuid4())
    return Instant.of(now).text if value is _NOW else value
