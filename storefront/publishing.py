"""Messages as the neighbouring services would send them, for trying things out by hand."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

from storefront.domain.instants import Instant
from storefront.domain.translate import NAMESPACE, TRANSLATIONS
from storefront.messaging.amqp import visit_broker
from storefront.messaging.broker import Outgoing
from storefront.messaging.envelope import wolverine

# The records of contracts.md sections 1.1 and 1.3, field by field in the order they are written.
# What stands behind a colon is the name of its example, where the field's own name is another's.
_RECORDS: Mapping[str, str] = {
    "Shopping.ItemAdded": "cartId customerId sku quantity unitPrice addedAt",
    "Shopping.ItemQuantityChanged": "cartId customerId sku oldQuantity newQuantity changedAt",
    "Shopping.ItemRemoved": "cartId customerId sku removedAt",
    "Shopping.CouponApplied": "cartId customerId couponCode discountAmount appliedAt",
    "Shopping.CouponRemoved": "cartId customerId couponCode removedAt",
    "Orders.OrderPlaced": "orderId customerId lineItems shippingAddress shippingMethod"
    " paymentMethodToken totalAmount placedAt",
    "Orders.OrderCancelled": "orderId customerId reason cancelledAt",
    "Payments.PaymentAuthorized": "paymentId orderId amount authorizationId authorizedAt expiresAt",
    "Payments.PaymentCaptured": "paymentId orderId amount transactionId capturedAt",
    "Payments.PaymentFailed": "paymentId orderId failureReason isRetriable failedAt",
    "Payments.RefundCompleted": "paymentId orderId amount transactionId refundedAt",
    "Payments.RefundFailed": "paymentId orderId failureReason failedAt",
    "Inventory.ReservationConfirmed": "orderId inventoryId reservationId sku warehouseId quantity"
    " reservedAt",
    "Inventory.ReservationCommitted": "orderId inventoryId reservationId sku warehouseId quantity"
    " committedAt",
    "Inventory.ReservationFailed": "orderId reservationId sku warehouseId requestedQuantity"
    " availableQuantity reason failedAt",
    "Fulfillment.ShipmentDispatched": "orderId shipmentId carrier trackingNumber dispatchedAt",
    "Fulfillment.ShipmentHandedToCarrier": "orderId shipmentId carrier trackingNumber handedAt",
    "Fulfillment.TrackingNumberAssigned": "orderId shipmentId trackingNumber carrier assignedAt",
    "Fulfillment.ShipmentDelivered": "orderId shipmentId deliveredAt recipientName",
    "Fulfillment.ShipmentDeliveryFailed": "orderId shipmentId reason failedAt",
    "Fulfillment.DeliveryAttemptFailed": "orderId shipmentId attemptNumber carrier exceptionCode"
    " exceptionDescription attemptDate",
    "Fulfillment.ReturnToSenderInitiated": "orderId shipmentId carrier totalAttempts"
    " estimatedReturnDays initiatedAt",
    "Fulfillment.BackorderCreated": "orderId shipmentId reason items:backordered createdAt",
    "Fulfillment.ShipmentLostInTransit": "orderId shipmentId carrier timeSinceHandoff detectedAt",
    "Returns.ReturnRequested": "returnId orderId customerId requestedAt",
    "Returns.ReturnApproved": "returnId orderId customerId estimatedRefundAmount:unitPrice"
    " restockingFeeAmount shipByDeadline approvedAt",
    "Returns.ReturnDenied": "returnId orderId customerId reason message deniedAt",
    "Returns.ReturnReceived": "returnId orderId customerId receivedAt",
    "Returns.ReturnRejected": "returnId orderId customerId reason items:returned rejectedAt",
    "Returns.ReturnExpired": "returnId orderId customerId expiredAt",
    "Returns.ReturnCompleted": "returnId orderId customerId finalRefundAmount:unitPrice"
    " items:returned completedAt",
}

# What is not here is an id (`…Id`) or a moment, and made up anew each time.
_EXAMPLES: Mapping[str, object] = {
    "sku": "DOG-BOWL-01",
    "quantity": 2,
    "oldQuantity": 2,
    "newQuantity": 5,
    "unitPrice": Decimal("19.99"),
    "couponCode": "WELCOME10",
    "discountAmount": Decimal("4.60"),
    "lineItems": [
        {
            "sku": "DOG-BOWL-01",
            "quantity": 2,
            "unitPrice": Decimal("19.99"),
            "lineTotal": Decimal("39.98"),
        }
    ],
    "shippingAddress": {
        "street": "123 Main St",
        "street2": None,
        "city": "Seattle",
        "state": "WA",
        "postalCode": "98101",
        "country": "US",
    },
    "shippingMethod": "Standard",
    "paymentMethodToken": "tok_visa_test_12345",
    "totalAmount": Decimal("45.97"),
    "amount": Decimal("45.97"),
    "authorizationId": "auth_12345",
    "transactionId": "txn_1",
    "failureReason": "insufficient_funds",
    "isRetriable": True,
    "warehouseId": "WH-01",
    "requestedQuantity": 2,
    "availableQuantity": 0,
    "reason": "As an example",
    "carrier": "UPS",
    "trackingNumber": "1Z999AA10123456784",
    "recipientName": None,
    "attemptNumber": 1,
    "exceptionCode": "NH",
    "exceptionDescription": "Nobody at home",
    "totalAttempts": 3,
    "estimatedReturnDays": 7,
    "timeSinceHandoff": "7.00:00:00",
    "backordered": [{"sku": "DOG-BOWL-01", "warehouseId": "WH-01", "quantity": 2}],
    "restockingFeeAmount": Decimal("0.00"),
    "message": None,
    "returned": [
        {
            "sku": "DOG-BOWL-01",
            "quantity": 1,
            "isRestockable": True,
            "warehouseId": "WH-01",
            "restockCondition": "New",
            "refundAmount": Decimal("19.99"),
            "rejectionReason": None,
        }
    ],
}


def example(
    kind: str,
    fields: Mapping[str, object],
    *,
    ids: Mapping[str, str | None] = MappingProxyType({}),
    now: float,
) -> Outgoing:
    """A message of a kind, with made-up ids where none are given.

    Args:
        kind: the full .NET name, its last two segments, or its last one: `ItemAdded`.
        fields: what the body shall say, whatever the record has; None is written as null.
        ids: by field name; None is made up, and one that this kind of message lacks is passed over.
        now: seconds since 1970.

    Raises:
        ValueError: there is no such kind, or a field cannot be written as JSON.
    """
    short = kind.removeprefix(NAMESPACE)
    names = [row.name for row in TRANSLATIONS if short in {row.name, row.name.split(".")[-1]}]
    if not names:
        known = ", ".join(row.name.split(".")[-1] for row in TRANSLATIONS)
        raise ValueError(f"{kind}: no such message; there are {known}")
    made_up = {
        field: ids.get(field) or _made_up(example_name or field, now)
        for field, _, example_name in (each.partition(":") for each in _RECORDS[names[0]].split())
    }
    return wolverine(
        NAMESPACE + names[0],
        {**made_up, **fields},
        message_id=str(uuid.uuid4()),
        sent_at=now,
        source=f"{names[0].split('.')[0]}.Api",
    )


async def publish_once(url: str, queue: str, message: Outgoing) -> None:
    """Connect, publish, and return once the broker has taken it.

    Raises:
        BrokerError: the broker cannot be reached, or has no such queue.
    """
    await visit_broker(url, lambda broker: broker.publish(queue, message))


def _made_up(name: str, now: float) -> object:
    if name in _EXAMPLES:
        return _EXAMPLES[name]
    return str(uuid.uuid4()) if name.endswith("Id") else _as_dotnet(Instant.of(now))


def _as_dotnet(moment: Instant) -> str:
    """Without the zeros at the end of the fraction, and without a fraction of nothing."""
    clock, offset = moment.text[:-6], moment.text[-6:]
    return (clock.rstrip("0").rstrip(".") if "." in clock else clock) + offset
