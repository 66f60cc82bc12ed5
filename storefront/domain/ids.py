"""Identities by type, so that a mix-up does not type-check.

All of them are GUIDs, kept as text in the one canonical spelling (lower case, dashed): equal ids
are equal strings, and a string is what the log, the wire and a dictionary want. Only the functions
here make one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NewType
from uuid import UUID

CustomerId = NewType("CustomerId", str)
CartId = NewType("CartId", str)
CheckoutId = NewType("CheckoutId", str)
OrderId = NewType("OrderId", str)
ShipmentId = NewType("ShipmentId", str)
ReturnId = NewType("ReturnId", str)

# What Shopping writes for the cart of a visitor who has not signed in (contracts.md section 1.1).
NOBODY = CustomerId("00000000-0000-0000-0000-000000000000")


# Whoever is here asks again and again, with the same ids.
@lru_cache(maxsize=4096)
def canonical(text: str) -> str:
    """The canonical spelling of a dashed GUID in any case.

    Raises:
        ValueError: it is not 8-4-4-4-12 hexadecimal digits. `UUID` alone would also take braces and
            URNs.
    """
    found = str(UUID(text))
    if found != text.lower():
        raise ValueError("not a dashed GUID")
    return found


def customer_id(value: UUID | str) -> CustomerId:
    """The customer a value names.

    Raises:
        ValueError: the text is not a GUID.
    """
    return CustomerId(str(value) if isinstance(value, UUID) else canonical(value))


def order_id(value: UUID) -> OrderId:
    """The order a decoded field names."""
    return OrderId(str(value))


def cart_id(value: UUID) -> CartId:
    """The cart a decoded field names."""
    return CartId(str(value))


def checkout_id(value: UUID) -> CheckoutId:
    """The checkout a decoded field names."""
    return CheckoutId(str(value))


def shipment_id(value: UUID) -> ShipmentId:
    """The shipment a decoded field names."""
    return ShipmentId(str(value))


def return_id(value: UUID) -> ReturnId:
    """The return a decoded field names."""
    return ReturnId(str(value))
