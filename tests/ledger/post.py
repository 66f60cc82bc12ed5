"""Numbered messages, and the line that each must become in the streams of its customer. PURE.

A customer's messages carry 1, 2, 3, ... in a field that travels to the browser: the item count of a cart, the id of an
order, the tracking number of a parcel. Bodies and lines are written out from contracts.md (sections 1.1 and 1.5) and
not taken from the code under test, so that what is compared is bytes with bytes.

Most customers get messages that say whose they are. Those of every tenth are about the parcels of one order: they name
the order only, and whose it is has to be found by whichever process has the message.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

PLACED_BY_ORDER = 10  # every so many-th customer
ORDER_AMONG_CARTS = 5  # every so many-th message of the others is an order, and a cart in between
PLACED_AT = "2026-02-17T22:00:00.5+00:00"
CHANGED_AT = "2026-02-17T21:58:44.1234567+00:00"
DISPATCHED_AT = "2026-02-17T22:00:03+00:00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One message, and the event it must become."""

    customer: str
    number: int
    kind: str
    message_id: str
    body: bytes
    event: str


def customers(amount: int, chance: random.Random) -> list[str]:
    """So many customers, of whom nobody has heard before."""
    return [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(amount)]


def letters(theirs: Sequence[str], chance: random.Random) -> Iterator[Letter]:
    """Messages for customers picked at random, numbered per customer from 1, without end."""
    last = dict.fromkeys(theirs, 0)
    while True:
        who = chance.randrange(len(theirs))
        customer = theirs[who]
        last[customer] += 1
        number = last[customer]
        message_id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        if who % PLACED_BY_ORDER == 0:
            yield _placed_by_order(customer, number, message_id)
        elif number % ORDER_AMONG_CARTS == 0:
            yield _order(customer, _numbered_id(customer, "order", number), number, message_id)
        else:
            yield _cart(customer, number, message_id)


def _numbered_id(customer: str, what: str, number: int) -> str:
    return str(uuid.uuid5(uuid.UUID(customer), f"{what} {number}"))


def _placed_by_order(customer: str, number: int, message_id: str) -> Letter:
    order = _numbered_id(customer, "order", 1)
    if number == 1:
        return _order(customer, order, number, message_id)
    shipment = _numbered_id(customer, "shipment", number)
    return Letter(
        customer=customer,
        number=number,
        kind="Fulfillment.ShipmentDispatched",
        message_id=message_id,
        body=f'{{"orderId":"{order}","shipmentId":"{shipment}","carrier":"UPS","trackingNumber":"1Z-{number}","dispatchedAt":"{DISPATCHED_AT}"}}'.encode(),
        event=f'{{"eventType":"shipment-status-changed","shipmentId":"{shipment}","orderId":"{order}","customerId":"{customer}","newStatus":"Dispatched","trackingNumber":"1Z-{number}","occurredAt":"{DISPATCHED_AT}"}}',
    )


def _order(customer: str, order: str, number: int, message_id: str) -> Letter:
    return Letter(
        customer=customer,
        number=number,
        kind="Orders.OrderPlaced",
        message_id=message_id,
        body=f'{{"orderId":"{order}","customerId":"{customer}","lineItems":[],"totalAmount":45.97,"placedAt":"{PLACED_AT}"}}'.encode(),
        event=f'{{"eventType":"order-status-changed","orderId":"{order}","customerId":"{customer}","newStatus":"Placed","occurredAt":"{PLACED_AT}"}}',
    )


def _cart(customer: str, number: int, message_id: str) -> Letter:
    cart = _numbered_id(customer, "cart", 1)
    totals = f'"itemCount":{number},"totalAmount":{number}.50'
    return Letter(
        customer=customer,
        number=number,
        kind="Shopping.ItemAdded",
        message_id=message_id,
        body=f'{{"cartId":"{cart}","customerId":"{customer}",{totals},"occurredAt":"{CHANGED_AT}"}}'.encode(),
        event=f'{{"eventType":"cart-updated","cartId":"{cart}","customerId":"{customer}",{totals},"occurredAt":"{CHANGED_AT}"}}',
    )
