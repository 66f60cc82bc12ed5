"""What the neighbouring services say: one class per integration message (contracts.md section 1.1).

A class names the fields this project relies on; whatever else a body carries is passed over, so
that a service may add to its messages. A value of these classes is valid: its ids are GUIDs, its
moments have offsets, its money is finite. What is not becomes an InvalidMessageError, whose words
never hold content of the body, for a body may carry a payment token or a street address.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Annotated, TypeVar
from uuid import UUID

import msgspec

from storefront.domain.ids import CustomerId, OrderId, customer_id, order_id
from storefront.domain.instants import Instant
from storefront.errors import InvalidMessageError

Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]

# No order of this shop comes near; beyond it a sender has lost its decimal point, and 1E+400 is
# Infinity in a browser.
_UNREASONABLE = Decimal(10) ** 12


class Message(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """Something that happened in another service."""


class OwnedMessage(Message, frozen=True, kw_only=True, gc=False):
    """A message that says whose it is."""

    customer_id: UUID

    @property
    def customer(self) -> CustomerId:
        """Whose it is; `ids.NOBODY` for a visitor who has not signed in."""
        return customer_id(self.customer_id)


class OrderMessage(Message, frozen=True, kw_only=True, gc=False):
    """A message that names an order and leaves its customer to be found."""

    order_id: UUID

    @property
    def order(self) -> OrderId:
        return order_id(self.order_id)


class CartMessage(OwnedMessage, frozen=True, kw_only=True, gc=False):
    """A change of a cart. Newer services send the totals along, the real ones leave them to be
    asked for.
    """

    cart_id: UUID
    item_count: Count | None = None
    total_amount: Decimal | None = None
    occurred_at: Instant | None = None

    def __post_init__(self) -> None:
        _check_money(self.total_amount)
        if self.moment is None:
            raise ValueError("no moment of change")

    @property
    def moment(self) -> Instant | None:
        """When it happened; every kind of change has a field of its own besides `occurredAt`."""
        return self.occurred_at


class ItemAdded(CartMessage, frozen=True, kw_only=True, gc=False):
    sku: str | None = None
    quantity: int | None = None
    unit_price: Decimal | None = None
    added_at: Instant | None = None

    @property
    def moment(self) -> Instant | None:
        return self.occurred_at or self.added_at


class ItemQuantityChanged(CartMessage, frozen=True, kw_only=True, gc=False):
    sku: str | None = None
    old_quantity: int | None = None
    new_quantity: int | None = None
    changed_at: Instant | None = None

    @property
    def moment(self) -> Instant | None:
        return self.occurred_at or self.changed_at


class ItemRemoved(CartMessage, frozen=True, kw_only=True, gc=False):
    sku: str | None = None
    removed_at: Instant | None = None

    @property
    def moment(self) -> Instant | None:
        return self.occurred_at or self.removed_at


class OrderPlaced(OwnedMessage, frozen=True, kw_only=True, gc=False):
    # The body also carries a payment token and a street address. They are not named here, so they
    # go no further.
    order_id: UUID
    placed_at: Instant

    @property
    def order(self) -> OrderId:
        return order_id(self.order_id)


class PaymentAuthorized(OrderMessage, frozen=True, kw_only=True, gc=False):
    payment_id: UUID
    authorized_at: Instant


class ReservationConfirmed(OrderMessage, frozen=True, kw_only=True, gc=False):
    reservation_id: UUID
    reserved_at: Instant


class ShipmentDispatched(OrderMessage, frozen=True, kw_only=True, gc=False):
    shipment_id: UUID
    tracking_number: str | None = None
    dispatched_at: Instant


M = TypeVar("M", bound=Message)


def decode(kind: type[M], body: bytes) -> M:
    """Read a JSON body as a message of that kind; names of fields match in any case, as
    System.Text.Json reads.

    Raises:
        InvalidMessageError: with reason `not-json` or `not-this-message`.
    """
    try:
        message: M = _decoder(kind).decode(body)
    except msgspec.ValidationError as first:
        # Perhaps only the spelling: a producer with other settings writes PascalCase. The plain way
        # is tried first because it is what the real services send, and ten times as fast.
        try:
            return msgspec.convert(_respelled(body), kind, dec_hook=_read_instant)
        except (msgspec.ValidationError, ValueError, ArithmeticError, RecursionError):
            raise InvalidMessageError("not-this-message", _public(first)) from first
    except (msgspec.DecodeError, ValueError, ArithmeticError, RecursionError) as exc:
        raise InvalidMessageError("not-json", type(exc).__name__) from exc
    return message


@cache
def _decoder(kind: type[M]) -> msgspec.json.Decoder[M]:
    return msgspec.json.Decoder(kind, dec_hook=_read_instant)


_untyped = msgspec.json.Decoder(float_hook=Decimal)


def _respelled(body: bytes) -> object:
    found = _untyped.decode(body)
    if not isinstance(found, dict):
        return found
    known = _spellings()
    return {known.get(name.lower(), name): value for name, value in found.items()}


@cache
def _spellings() -> dict[str, str]:
    """Every field name of every message, by its lower-case form. Only top levels are read, so
    nothing nests.
    """
    pending, names = [Message], {}
    while pending:
        kind = pending.pop()
        pending.extend(kind.__subclasses__())
        names.update({field.lower(): field for field in kind.__struct_encode_fields__})
    return names


def _read_instant(kind: type, value: object) -> object:
    if kind is Instant and isinstance(value, str):
        return Instant(value)
    raise ValueError("not a moment")


def _check_money(amount: Decimal | None) -> None:
    if amount is not None and not (amount.is_finite() and abs(amount) < _UNREASONABLE):
        raise ValueError("not an amount of money")


def _public(error: msgspec.ValidationError) -> str:
    # msgspec's own words name types and fields, never values; our post-init words are fixed.
    return str(error)[:200]
