"""The bodies of contracts.md section 1.4, byte for byte, and what must not pass for one."""

from __future__ import annotations

import contextlib
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storefront.domain import events, messages
from storefront.domain.facts import fact_of, merged, payment_of, supersedes
from storefront.domain.ids import NOBODY, CustomerId
from storefront.domain.translate import (
    NAMESPACE,
    TRANSLATIONS,
    Known,
    Totals,
    totals_in,
    translation_of,
)
from storefront.errors import InvalidMessageError

ALICE = CustomerId("11111111-1111-1111-1111-111111111111")
CART = "019c5dd6-29d2-7fb9-9d90-cf760997d1c0"
ORDER = "019c5dd7-29d2-7fb9-9d90-cf760997d1c1"
OTHER = "019c5dd7-29d2-7fb9-9d90-cf760997d1c2"

ITEM_ADDED = f'{{"cartId":"{CART}","customerId":"{ALICE}","sku":"DOG-BOWL-01","quantity":2,"unitPrice":19.99,"addedAt":"2026-02-17T21:58:44.1234567+00:00"}}'
QUANTITY_CHANGED = f'{{"cartId":"{CART}","customerId":"{ALICE}","sku":"DOG-BOWL-01","oldQuantity":2,"newQuantity":5,"changedAt":"2026-02-17T21:58:45.1+00:00"}}'
ITEM_REMOVED = f'{{"cartId":"{CART}","customerId":"{ALICE}","sku":"DOG-BOWL-01","removedAt":"2026-02-17T21:58:46+00:00"}}'
ORDER_PLACED = f'{{"orderId":"{ORDER}","customerId":"{ALICE}","lineItems":[{{"sku":"DOG-BOWL-01","quantity":2,"unitPrice":19.99,"lineTotal":39.98}}],"shippingAddress":{{"street":"123 Main St","street2":null,"city":"Seattle","state":"WA","postalCode":"98101","country":"US"}},"shippingMethod":"Standard","paymentMethodToken":"tok_visa_test_12345","totalAmount":45.97,"placedAt":"2026-02-17T22:00:00.5+00:00"}}'
AUTHORIZED = f'{{"paymentId":"{OTHER}","orderId":"{ORDER}","amount":45.97,"authorizationId":"auth_12345","authorizedAt":"2026-02-17T22:00:01+00:00","expiresAt":"2026-02-24T22:00:01+00:00"}}'
RESERVED = f'{{"orderId":"{ORDER}","inventoryId":"{OTHER}","reservationId":"{OTHER}","sku":"DOG-BOWL-01","warehouseId":"WH-01","quantity":2,"reservedAt":"2026-02-17T22:00:02+00:00"}}'
DISPATCHED = f'{{"orderId":"{ORDER}","shipmentId":"{OTHER}","carrier":"UPS","trackingNumber":"1Z999AA10123456784","dispatchedAt":"2026-02-17T22:00:03+00:00"}}'

# Section 1.3 and the rest of 1.1, fields in the order of the table.
RETURN = f'"returnId":"{OTHER}","orderId":"{ORDER}","customerId":"{ALICE}"'
ITEMS = '[{"sku":"DOG-BOWL-01","quantity":1,"isRestockable":true,"warehouseId":"WH-01","restockCondition":"LikeNew","refundAmount":19.90,"rejectionReason":null}]'
AT = "2026-02-17T23:00:00.5+00:00"
MORE = [
    (
        "Shopping.CouponApplied",
        f'{{"cartId":"{CART}","customerId":"{ALICE}","couponCode":"TEN","discountAmount":4.00,"appliedAt":"{AT}"}}',
        "cart",
        "",
    ),
    (
        "Shopping.CouponRemoved",
        f'{{"cartId":"{CART}","customerId":"{ALICE}","couponCode":"TEN","removedAt":"{AT}"}}',
        "cart",
        "",
    ),
    (
        "Orders.OrderCancelled",
        f'{{"orderId":"{ORDER}","customerId":"{ALICE}","reason":"changed my mind","cancelledAt":"{AT}"}}',
        "order",
        "Cancelled",
    ),
    (
        "Payments.PaymentCaptured",
        f'{{"paymentId":"{OTHER}","orderId":"{ORDER}","amount":45.97,"transactionId":"txn_1","capturedAt":"{AT}"}}',
        "order",
        "PaymentCaptured",
    ),
    (
        "Payments.PaymentFailed",
        f'{{"paymentId":"{OTHER}","orderId":"{ORDER}","failureReason":"declined","isRetriable":true,"failedAt":"{AT}"}}',
        "order",
        "PaymentFailed",
    ),
    (
        "Payments.RefundCompleted",
        f'{{"paymentId":"{OTHER}","orderId":"{ORDER}","amount":45.97,"transactionId":"txn_2","refundedAt":"{AT}"}}',
        "order",
        "Refunded",
    ),
    (
        "Payments.RefundFailed",
        f'{{"paymentId":"{OTHER}","orderId":"{ORDER}","failureReason":"closed","failedAt":"{AT}"}}',
        "order",
        "RefundFailed",
    ),
    (
        "Inventory.ReservationCommitted",
        f'{{"orderId":"{ORDER}","inventoryId":"{OTHER}","reservationId":"{OTHER}","sku":"DOG-BOWL-01","warehouseId":"WH-01","quantity":2,"committedAt":"{AT}"}}',
        "order",
        "InventoryCommitted",
    ),
    (
        "Inventory.ReservationFailed",
        f'{{"orderId":"{ORDER}","reservationId":"{OTHER}","sku":"DOG-BOWL-01","warehouseId":"WH-01","requestedQuantity":2,"availableQuantity":1,"reason":"short","failedAt":"{AT}"}}',
        "order",
        "InventoryUnavailable",
    ),
    (
        "Fulfillment.ShipmentHandedToCarrier",
        f'{{"orderId":"{ORDER}","shipmentId":"{OTHER}","carrier":"UPS","trackingNumber":"1Z9","handedAt":"{AT}"}}',
        "shipment",
        "Shipped",
        '"1Z9"',
    ),
    (
        "Fulfillment.TrackingNumberAssigned",
        f'{{"orderId":"{ORDER}","shipmentId":"{OTHER}","trackingNumber":"1Z9","carrier":"UPS","assignedAt":"{AT}"}}',
        "shipment",
        "Label created",
        '"1Z9"',
    ),
    (
        "Fulfillment.ShipmentDelivered",
        f'{{"orderId":"{ORDER}","shipmentId":"{OTHER}","deliveredAt":"{AT}","recipientName":null}}',
        "shipment",
        "Delivered",
        "null",
    ),
    (
        "Fulfillment.ShipmentDeliveryFailed",
        f'{{"orderId":"{ORDER}","shipmentId":"{OTHER}","reason":"nobody home","failedAt":"{AT}"}}',
        "shipment",
        "Delivery failed",
        "null",
    ),
    (
        "Fulfillment.DeliveryAttemptFailed",
        f'{{"orderId":"{ORDER}","shipmentId":"{OTHER}","attemptNumber":2,"carrier":"UPS","exceptionCode":"X","exceptionDescription":"no answer","attemptDate":"{AT}"}}',
        "shipment",
        "Delivery attempt 2 failed",
        "null",
    ),
    (
        "Fulfillment.ReturnToSenderInitiated",
        f'{{"orderId":"{ORDER}","shipmentId":"{OTHER}","carrier":"UPS","totalAttempts":3,"estimatedReturnDays":5,"initiatedAt":"{AT}"}}',
        "shipment",
        "Returning to sender",
        "null",
    ),
    (
        "Fulfillment.BackorderCreated",
        f'{{"orderId":"{ORDER}","shipmentId":"{OTHER}","reason":"none left","items":[{{"sku":"DOG-BOWL-01","warehouseId":"WH-01","quantity":2}}],"createdAt":"{AT}"}}',
        "shipment",
        "Backordered",
        "null",
    ),
    (
        "Fulfillment.ShipmentLostInTransit",
        f'{{"orderId":"{ORDER}","shipmentId":"{OTHER}","carrier":"UPS","timeSinceHandoff":"8.02:03:04.5000000","detectedAt":"{AT}"}}',
        "shipment",
        "Lost in transit \u2014 under investigation",
        "null",
    ),
    (
        "Returns.ReturnRequested",
        f'{{{RETURN},"requestedAt":"{AT}"}}',
        "return",
        "Requested",
        "Your return was submitted and is being reviewed.",
    ),
    (
        "Returns.ReturnApproved",
        f'{{{RETURN},"estimatedRefundAmount":19.90,"restockingFeeAmount":0.00,"shipByDeadline":"2026-03-03T00:00:00+00:00","approvedAt":"{AT}"}}',
        "return",
        "Approved",
        "Send it by 2026-03-03. Estimated refund 19.90, restocking fee 0.00.",
    ),
    (
        "Returns.ReturnDenied",
        f'{{{RETURN},"reason":"TooLate","message":"after 30 days","deniedAt":"{AT}"}}',
        "return",
        "Denied",
        "TooLate: after 30 days",
    ),
    (
        "Returns.ReturnReceived",
        f'{{{RETURN},"receivedAt":"{AT}"}}',
        "return",
        "Received",
        "Your package was received and is being inspected.",
    ),
    (
        "Returns.ReturnRejected",
        f'{{{RETURN},"reason":"worn","items":{ITEMS},"rejectedAt":"{AT}"}}',
        "return",
        "Rejected",
        "It did not pass inspection: worn",
    ),
    (
        "Returns.ReturnExpired",
        f'{{{RETURN},"expiredAt":"{AT}"}}',
        "return",
        "Expired",
        "The time to send it has passed.",
    ),
    (
        "Returns.ReturnCompleted",
        f'{{{RETURN},"finalRefundAmount":19.90,"items":{ITEMS},"completedAt":"{AT}"}}',
        "return",
        "Completed",
        "A refund of 19.90 was issued.",
    ),
]

CART_EVENT = '{{"eventType":"cart-updated","cartId":"{cart}","customerId":"{alice}","itemCount":1,"totalAmount":39.98,"occurredAt":"{at}"}}'
ORDER_EVENT = '{{"eventType":"order-status-changed","orderId":"{order}","customerId":"{alice}","newStatus":"{status}","occurredAt":"{at}"}}'
SHIPMENT_EVENT = '{{"eventType":"shipment-status-changed","shipmentId":"{other}","orderId":"{order}","customerId":"{alice}","newStatus":"Dispatched","trackingNumber":"1Z999AA10123456784","occurredAt":"{at}"}}'

GOLDEN = [
    ("Shopping.ItemAdded", ITEM_ADDED, CART_EVENT, "", "2026-02-17T21:58:44.1234567+00:00"),
    (
        "Shopping.ItemQuantityChanged",
        QUANTITY_CHANGED,
        CART_EVENT,
        "",
        "2026-02-17T21:58:45.1+00:00",
    ),
    ("Shopping.ItemRemoved", ITEM_REMOVED, CART_EVENT, "", "2026-02-17T21:58:46+00:00"),
    ("Orders.OrderPlaced", ORDER_PLACED, ORDER_EVENT, "Placed", "2026-02-17T22:00:00.5+00:00"),
    (
        "Payments.PaymentAuthorized",
        AUTHORIZED,
        ORDER_EVENT,
        "PaymentAuthorized",
        "2026-02-17T22:00:01+00:00",
    ),
    (
        "Inventory.ReservationConfirmed",
        RESERVED,
        ORDER_EVENT,
        "InventoryReserved",
        "2026-02-17T22:00:02+00:00",
    ),
    ("Fulfillment.ShipmentDispatched", DISPATCHED, SHIPMENT_EVENT, "", "2026-02-17T22:00:03+00:00"),
]
KNOWN = Known(customer=ALICE, totals=Totals(item_count=1, total_amount=Decimal("39.98")))


@pytest.mark.parametrize(
    ("name", "body", "event", "status", "at"), GOLDEN, ids=[row[0] for row in GOLDEN]
)
def test_each_message_of_the_contract_becomes_its_event_to_the_byte(name, body, event, status, at):
    row = translation_of(NAMESPACE + name)
    made = row.event(messages.decode(row.message, body.encode()), KNOWN)
    assert events.encode(made).decode() == event.format(
        cart=CART, alice=ALICE, order=ORDER, other=OTHER, status=status, at=at
    )
    assert events.event_type(events.encode(made)) == event.split('"')[3]


def expected_event(kind: str, status: str, extra: str) -> str:
    if kind == "cart":
        return CART_EVENT.format(cart=CART, alice=ALICE, at=AT)
    if kind == "order":
        return ORDER_EVENT.format(order=ORDER, alice=ALICE, status=status, at=AT)
    if kind == "shipment":
        return f'{{"eventType":"shipment-status-changed","shipmentId":"{OTHER}","orderId":"{ORDER}","customerId":"{ALICE}","newStatus":"{status}","trackingNumber":{extra},"occurredAt":"{AT}"}}'
    return f'{{"eventType":"return-status-changed","returnId":"{OTHER}","orderId":"{ORDER}","customerId":"{ALICE}","newStatus":"{status}","details":"{extra}","occurredAt":"{AT}"}}'


@pytest.mark.parametrize("golden", MORE, ids=[row[0] for row in MORE])
def test_each_further_message_of_the_contract_becomes_its_event_to_the_byte(golden):
    name, body, kind, status, *extra = golden
    row = translation_of(NAMESPACE + name)
    made = row.event(messages.decode(row.message, body.encode()), KNOWN)
    assert events.encode(made).decode() == expected_event(kind, status, *(extra or [""]))
    assert fact_of(made).kind == kind


@pytest.mark.parametrize(
    ("attempt", "status"),
    [
        (1, "Delivery attempt 1 failed"),
        (3, "Final delivery attempt failed"),
        (7, "Final delivery attempt failed"),
    ],
)
def test_the_third_failed_attempt_is_the_final_one(attempt, status):
    body = next(row[1] for row in MORE if row[0] == "Fulfillment.DeliveryAttemptFailed").replace(
        '"attemptNumber":2', f'"attemptNumber":{attempt}'
    )
    row = translation_of("Fulfillment.DeliveryAttemptFailed")
    assert row.event(messages.decode(row.message, body.encode()), KNOWN).new_status == status


def test_every_row_has_a_golden_body():
    assert {row.name for row in TRANSLATIONS} == {row[0] for row in GOLDEN} | {
        row[0] for row in MORE
    }


@pytest.mark.parametrize(
    ("name", "body"), [row[:2] for row in GOLDEN + MORE], ids=[row[0] for row in GOLDEN + MORE]
)
def test_field_names_match_in_any_case(name, body):
    row = translation_of(name)
    fields = set(row.message.__struct_encode_fields__)
    pascal, shouting = body, body
    for field in fields:
        pascal = pascal.replace(f'"{field}"', f'"{field[0].upper()}{field[1:]}"')
        shouting = shouting.replace(f'"{field}"', f'"{field.upper()}"')
    expected = messages.decode(row.message, body.encode())
    assert pascal != body
    assert messages.decode(row.message, pascal.encode()) == expected
    assert messages.decode(row.message, shouting.encode()) == expected


def test_a_type_is_known_by_its_full_name_and_by_its_last_two_segments_and_by_nothing_else():
    assert translation_of("Messages.Contracts.Shopping.ItemAdded") is translation_of(
        "Shopping.ItemAdded"
    )
    for name in (
        "ItemAdded",
        "shopping.itemadded",
        "Other.Shopping.ItemAdded",
        "Returns.CrossProductExchangeRequested",
        "",
    ):
        assert translation_of(name) is None


def test_totals_are_taken_from_the_message_when_it_has_both():
    with_totals = ITEM_ADDED[:-1] + ',"itemCount":3,"totalAmount":129.90}'
    found = totals_in(messages.decode(messages.ItemAdded, with_totals.encode()))
    assert found == Totals(item_count=3, total_amount=Decimal("129.90"))
    assert str(found.total_amount) == "129.90"
    assert totals_in(messages.decode(messages.ItemAdded, ITEM_ADDED.encode())) is None
    assert (
        totals_in(
            messages.decode(messages.ItemAdded, (ITEM_ADDED[:-1] + ',"itemCount":3}').encode())
        )
        is None
    )


def test_the_documents_own_shape_with_totals_and_occurred_at_and_no_line_is_enough():
    body = f'{{"cartId":"{CART}","customerId":"{ALICE}","itemCount":1,"totalAmount":39.98,"occurredAt":"2026-02-17T21:58:44+00:00"}}'
    message = messages.decode(messages.ItemRemoved, body.encode())
    assert message.moment.text == "2026-02-17T21:58:44+00:00"


def test_money_keeps_its_scale_from_wire_to_wire():
    for amount in ("129.90", "0.10", "5", "19.990", "1000000.00"):
        body = ITEM_ADDED[:-1] + f',"itemCount":1,"totalAmount":{amount}}}'
        row = translation_of("Shopping.ItemAdded")
        made = row.event(messages.decode(row.message, body.encode()), Known(customer=ALICE))
        assert f'"totalAmount":{amount},'.encode() in events.encode(made)


BAD = {
    "nothing": "",
    "an array": "[]",
    "half": ITEM_ADDED[:-9],
    "no cart": ITEM_ADDED.replace("cartId", "cart"),
    "no customer": ITEM_ADDED.replace("customerId", "customer"),
    "customer null": ITEM_ADDED.replace(f'"{ALICE}"', "null"),
    "customer in braces": ITEM_ADDED.replace(ALICE, f"{{{ALICE}}}"),
    "no moment": ITEM_ADDED.replace("addedAt", "at"),
    "no such moment": ITEM_ADDED.replace("2026-02-17", "2026-02-31"),
    "a moment without an offset": ITEM_ADDED.replace("+00:00", ""),
    "a quantity in words": ITEM_ADDED.replace(":2,", ':"two",'),
    "money that is none": ITEM_ADDED[:-1] + ',"totalAmount":"NaN"}',
    "money without end": ITEM_ADDED[:-1] + ',"itemCount":1,"totalAmount":1e400}',
    "a negative count": ITEM_ADDED[:-1] + ',"itemCount":-1,"totalAmount":1}',
    "nested without end": "[" * 100_000,
    "bytes that are no text": "\udcff",
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD.keys())
def test_what_is_no_message_is_refused_in_words_that_hold_nothing_of_it(body):
    with pytest.raises(InvalidMessageError) as caught:
        messages.decode(messages.ItemAdded, body.encode("utf-8", "surrogateescape"))
    assert caught.value.reason in {"not-json", "not-this-message"}
    assert "DOG-BOWL" not in str(caught.value)
    assert "2026" not in str(caught.value)


@given(st.binary(max_size=200))
def test_no_bytes_at_all_raise_anything_else(body):
    for row in TRANSLATIONS:
        with contextlib.suppress(InvalidMessageError):
            messages.decode(row.message, body)


def test_the_nil_guid_is_nobody():
    body = ITEM_ADDED.replace(ALICE, "00000000-0000-0000-0000-000000000000")
    assert messages.decode(messages.ItemAdded, body.encode()).customer == NOBODY


def test_a_late_fact_does_not_overwrite_a_newer_one_and_a_tracking_number_is_not_forgotten():
    row = translation_of("Fulfillment.ShipmentDispatched")
    first = fact_of(row.event(messages.decode(row.message, DISPATCHED.encode()), KNOWN))
    later = fact_of(
        row.event(
            messages.decode(
                row.message,
                DISPATCHED.replace("22:00:03", "22:00:04")
                .replace('"1Z999AA10123456784"', "null")
                .encode(),
            ),
            KNOWN,
        )
    )
    assert supersedes(later, first)
    assert not supersedes(first, later)
    assert merged(later, first).detail == "1Z999AA10123456784"
    assert merged(later, None) is later


# Contracts.md sections 1.2 and 1.2b, in the words of 2.5; a refund that failed leaves the money taken.
PAID = {
    "Payments.PaymentAuthorized": "Authorized",
    "Payments.PaymentCaptured": "Captured",
    "Payments.PaymentFailed": "Failed",
    "Payments.RefundCompleted": "Refunded",
    "Payments.RefundFailed": "Captured",
}


@pytest.mark.parametrize(
    ("name", "body"), [row[:2] for row in GOLDEN + MORE], ids=[row[0] for row in GOLDEN + MORE]
)
def test_only_what_payments_say_is_remembered_of_a_payment(name, body):
    row = translation_of(NAMESPACE + name)
    made = row.event(messages.decode(row.message, body.encode()), KNOWN)
    found = payment_of(made)
    assert (found and found.state) == PAID.get(name)
    if found is not None:
        # A thing of its own, and no older or newer than the order's status that came with it.
        status = fact_of(made)
        assert (found.kind, found.id, found.order) == ("payment", ORDER, ORDER)
        assert (status.kind, status.id, status.occurred_at) == ("order", ORDER, found.occurred_at)


def test_every_message_about_a_payment_has_a_golden_body():
    assert set(PAID) == {row.name for row in TRANSLATIONS if row.name.startswith("Payments.")}
