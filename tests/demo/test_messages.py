"""The bodies on the wire, to the byte: contracts.md sections 1.1 and 1.4."""

from __future__ import annotations

from decimal import Decimal

import pytest

from storefront.demo.messages import encode
from storefront.demo.ticks import SECOND, timestamp
from storefront.domain.messages import decode
from storefront.domain.translate import translation_of
from tests.demo.shop import ALICE, HOME, MOMENT, Clock, guid, open_world, placed, wire

AT = "2026-02-17T21:58:44.1234567+00:00"
CART = guid(1)


@pytest.mark.parametrize(
    ("ticks", "written"),
    [
        (MOMENT, "2026-02-17T21:58:44.1234567+00:00"),
        (MOMENT - 234_567 + SECOND, "2026-02-17T21:58:45.1+00:00"),
        (MOMENT - 1_234_567, "2026-02-17T21:58:44+00:00"),
        (1, "1970-01-01T00:00:00.0000001+00:00"),
    ],
)
def test_a_moment_is_written_as_dotnet_writes_it(ticks, written):
    assert timestamp(ticks) == written


def cart_of(world, quantity=2):
    cart = world.carts.initialise(ALICE)
    return cart, world.carts.add(cart.cart_id, "DOG-BOWL-01", quantity, Decimal("19.99"))


def test_item_added_is_the_example_of_the_contracts():
    _, [message] = cart_of(open_world())
    assert message.type == "Messages.Contracts.Shopping.ItemAdded"
    assert wire(message) == (
        f'{{"cartId":"{CART}","customerId":"{ALICE}","sku":"DOG-BOWL-01","quantity":2,'
        f'"unitPrice":19.99,"addedAt":"{AT}"}}'
    )


def test_item_quantity_changed_tells_the_old_and_the_new():
    world = open_world()
    cart_of(world)
    [message] = world.carts.change(CART, "DOG-BOWL-01", 5)
    assert message.type == "Messages.Contracts.Shopping.ItemQuantityChanged"
    assert wire(message) == (
        f'{{"cartId":"{CART}","customerId":"{ALICE}","sku":"DOG-BOWL-01","oldQuantity":2,'
        f'"newQuantity":5,"changedAt":"{AT}"}}'
    )


def test_item_removed_tells_which():
    world = open_world()
    cart_of(world)
    [message] = world.carts.remove(CART, "DOG-BOWL-01")
    assert message.type == "Messages.Contracts.Shopping.ItemRemoved"
    assert wire(message) == (
        f'{{"cartId":"{CART}","customerId":"{ALICE}","sku":"DOG-BOWL-01","removedAt":"{AT}"}}'
    )


def test_a_visitors_cart_belongs_to_the_nil_guid():
    world = open_world()
    cart = world.carts.initialise(None, "a session")
    [message] = world.carts.add(cart.cart_id, "DOG-BOWL-01", 1, Decimal("19.99"))
    assert message.body["customerId"] == "00000000-0000-0000-0000-000000000000"


def test_coupons_keep_the_scale_of_money():
    world = open_world()
    cart_of(world, quantity=10)
    [applied] = world.carts.apply_coupon(CART, "WELCOME10")
    [removed] = world.carts.remove_coupon(CART)
    assert wire(applied) == (
        f'{{"cartId":"{CART}","customerId":"{ALICE}","couponCode":"WELCOME10",'
        f'"discountAmount":19.99,"appliedAt":"{AT}"}}'
    )
    assert wire(removed) == (
        f'{{"cartId":"{CART}","customerId":"{ALICE}","couponCode":"WELCOME10","removedAt":"{AT}"}}'
    )


def test_order_placed_is_the_example_of_the_contracts():
    world = open_world()
    cart, _ = cart_of(world)
    checkout = world.initiate_checkout(cart.cart_id)
    world.checkouts.provide_address(checkout.checkout_id, HOME)
    world.checkouts.select_method(checkout.checkout_id, "Standard", Decimal("5.99"))
    world.checkouts.provide_payment(checkout.checkout_id, "tok_visa_test_12345")
    order, [message] = world.complete_checkout(checkout.checkout_id)
    assert message.type == "Messages.Contracts.Orders.OrderPlaced"
    assert wire(message) == (
        f'{{"orderId":"{order.order_id}","customerId":"{ALICE}","lineItems":[{{"sku":"DOG-BOWL-01",'
        '"quantity":2,"unitPrice":19.99,"lineTotal":39.98}],"shippingAddress":{"street":"123 Main St",'
        '"street2":null,"city":"Seattle","state":"WA","postalCode":"98101","country":"US"},'
        '"shippingMethod":"Standard","paymentMethodToken":"tok_visa_test_12345","totalAmount":45.97,'
        f'"placedAt":"{AT}"}}'
    )
    row = translation_of(message.type)
    assert row is not None
    decode(row.message, encode(message.body))


def test_the_messages_of_an_orders_way_have_their_fields_in_order():
    world = open_world()
    order = placed(world)
    steps = (
        world.authorise,
        world.reserve,
        world.capture,
        world.commit,
        world.dispatch,
        world.deliver,
    )
    sent = [message for step in steps for message in step(order)]
    fields = {m.type.removeprefix("Messages.Contracts."): list(m.body) for m in sent}
    reserved = ["orderId", "inventoryId", "reservationId", "sku", "warehouseId", "quantity"]
    assert fields == {
        "Payments.PaymentAuthorized": [
            "paymentId",
            "orderId",
            "amount",
            "authorizationId",
            "authorizedAt",
            "expiresAt",
        ],
        "Inventory.ReservationConfirmed": [*reserved, "reservedAt"],
        "Payments.PaymentCaptured": [
            "paymentId",
            "orderId",
            "amount",
            "transactionId",
            "capturedAt",
        ],
        "Inventory.ReservationCommitted": [*reserved, "committedAt"],
        "Fulfillment.ShipmentDispatched": [
            "orderId",
            "shipmentId",
            "carrier",
            "trackingNumber",
            "dispatchedAt",
        ],
        "Fulfillment.ShipmentDelivered": ["orderId", "shipmentId", "deliveredAt", "recipientName"],
    }
    delivered = sent[-1]
    shipment = world.parcels.of_order(order.order_id)[0].shipment_id
    assert wire(delivered) == (
        f'{{"orderId":"{order.order_id}","shipmentId":"{shipment}","deliveredAt":"{AT}",'
        '"recipientName":null}'
    )


def test_an_authorisation_holds_for_a_week():
    world = open_world()
    [message] = world.authorise(placed(world))
    assert message.body["expiresAt"] == "2026-02-24T21:58:44.1234567+00:00"


def test_what_goes_wrong_has_its_fields_in_order_too():
    world = open_world(stock={"DOG-BOWL-01": 1})
    order = placed(world)
    [failed] = world.reserve(order)
    assert failed.type == "Messages.Contracts.Inventory.ReservationFailed"
    assert list(failed.body) == [
        "orderId",
        "reservationId",
        "sku",
        "warehouseId",
        "requestedQuantity",
        "availableQuantity",
        "reason",
        "failedAt",
    ]

    [declined] = world.authorise(placed(world, token="tok_decline"))
    assert declined.type == "Messages.Contracts.Payments.PaymentFailed"
    assert list(declined.body) == [
        "paymentId",
        "orderId",
        "failureReason",
        "isRetriable",
        "failedAt",
    ]


def test_cancelling_tells_whose_order_it_was_and_gives_the_money_back():
    world = open_world()
    order = placed(world)
    for step in (world.authorise, world.reserve, world.capture):
        step(order)
    cancelled, refunded = world.cancel(order.order_id, "changed my mind")
    assert wire(cancelled) == (
        f'{{"orderId":"{order.order_id}","customerId":"{ALICE}","reason":"changed my mind",'
        f'"cancelledAt":"{AT}"}}'
    )
    assert refunded.type == "Messages.Contracts.Payments.RefundCompleted"
    assert list(refunded.body) == ["paymentId", "orderId", "amount", "transactionId", "refundedAt"]


def test_every_message_tells_the_moment_it_was_caused_at():
    clock = Clock()
    world = open_world(now=clock)
    cart_of(world)
    clock.ticks += SECOND
    [message] = world.carts.change(CART, "DOG-BOWL-01", 3)
    assert message.body["changedAt"] == "2026-02-17T21:58:45.1234567+00:00"


def test_the_storefront_reads_every_message_this_shop_can_send():
    world = open_world(stock={"CAT-TOY-05": 0})
    cart, sent = cart_of(world)
    sent = [*sent, *world.carts.change(cart.cart_id, "DOG-BOWL-01", 5)]
    sent += world.carts.apply_coupon(cart.cart_id, "WELCOME10")
    sent += world.carts.remove_coupon(cart.cart_id)
    sent += world.carts.clear(cart.cart_id)
    good, short, declined = (
        placed(world),
        placed(world, "CAT-TOY-05"),
        placed(world, token="decline"),
    )
    sent += [*world.authorise(declined), *world.reserve(short)]
    for step in (world.authorise, world.reserve, world.capture, world.commit, world.dispatch):
        sent += step(good)
    sent += [*world.cancel(good.order_id, "no"), *world.deliver(good)]
    names = set()
    for message in sent:
        row = translation_of(message.type)
        assert row is not None, message.type
        decode(row.message, encode(message.body))
        names.add(row.name)
    assert len(names) == 15


def test_the_messages_of_a_return_are_those_of_the_contracts_and_become_events():
    world = open_world()
    order = placed(world)
    order.status = "Delivered"
    sent = [*world.take_back(order.order_id)]
    made = world.returns.find(order.order_id)
    for step in (world.approve_return, world.receive_return, world.complete_return):
        sent += step(made)
    told = f'{{"returnId":"{made.return_id}","orderId":"{order.order_id}","customerId":"{ALICE}",'
    assert [(message.type.rpartition(".")[2], wire(message)) for message in sent] == [
        ("ReturnRequested", f'{told}"requestedAt":"{AT}"}}'),
        (
            "ReturnApproved",
            (
                f'{told}"estimatedRefundAmount":{order.total},"restockingFeeAmount":0.00,'
                f'"shipByDeadline":"{AT.replace("-02-17", "-03-03")}","approvedAt":"{AT}"}}'
            ),
        ),
        ("ReturnReceived", f'{told}"receivedAt":"{AT}"}}'),
        (
            "ReturnCompleted",
            (
                f'{told}"finalRefundAmount":{order.total},"items":[{{"sku":"DOG-BOWL-01","quantity":2,'
                '"isRestockable":true,"warehouseId":"WH-01","restockCondition":"New",'
                f'"refundAmount":null,"rejectionReason":null}}],"completedAt":"{AT}"}}'
            ),
        ),
    ]
