"""The bodies of commands, checked field by field before anybody is told of them.

The bounds are those of the services that carry the commands out (contracts.md section 2), so that
what is wrong is said here, about all fields at once and by their names. As ASP.NET reads them:
names in any case, and what is not named here is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, ClassVar, TypeVar, get_args

import msgspec
from msgspec import Meta

from storefront.downstream.answers import is_price
from storefront.errors import BadRequestError

# Of a .NET decimal; more digits would be lost on the way.
_DIGITS = 28

Sku = Annotated[
    str,
    # `$` would let a line end pass.
    Meta(
        pattern=r"^[A-Z0-9-]{1,24}(?![\s\S])", description="1 to 24 capital letters, digits, dashes"
    ),
]
# What a service could count may be more; a cart beyond it is not believed when it is read.
Quantity = Annotated[int, Meta(ge=1, le=1_000_000, description="a whole number, 1 to 1,000,000")]
Amount = Annotated[Decimal, Meta(description="a price: a number of at least 0")]

_SAID = r"\S"
Upto20 = Annotated[
    str, Meta(pattern=_SAID, max_length=20, description="1 to 20 characters, not all blank")
]
Upto50 = Annotated[
    str, Meta(pattern=_SAID, max_length=50, description="1 to 50 characters, not all blank")
]
Upto100 = Annotated[
    str, Meta(pattern=_SAID, max_length=100, description="1 to 100 characters, not all blank")
]
Upto200 = Annotated[
    str, Meta(pattern=_SAID, max_length=200, description="1 to 200 characters, not all blank")
]
Upto500 = Annotated[
    str, Meta(pattern=_SAID, max_length=500, description="1 to 500 characters, not all blank")
]
Country = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z]{2}(?![\s\S])", description="two letters, as ISO 3166 has them"),
]
Second100 = Annotated[str, Meta(max_length=100, description="at most 100 characters")]
Second200 = Annotated[str, Meta(max_length=200, description="at most 200 characters")]
# Whether it is one, and whose, is for `own` to say (web/commands.py).
Named = Annotated[str, Meta(max_length=100, description="a customer's GUID")]


class InvalidBodyError(BadRequestError):
    """The body cannot be read, or its fields cannot be meant.

    Attributes:
        errors: what was expected, by the field's name; "" is the body itself.
    """

    def __init__(self, errors: dict[str, list[str]]) -> None:
        super().__init__("; ".join(f"{name or 'body'}: {said[0]}" for name, said in errors.items()))
        self.errors = errors


class Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A command's words. `also` are further names for a field, in lower case."""

    also: ClassVar[dict[str, str]] = {}


class InitializeCart(Body, frozen=True, kw_only=True):
    """For whom; without a customer, for the caller."""

    customer_id: Named | None = None


class AddItem(Body, frozen=True, kw_only=True):
    """A SKU, and how many; the price is for a Shopping that does not ask Pricing."""

    sku: Sku
    quantity: Quantity
    unit_price: Amount | None = None


class ChangeQuantity(Body, frozen=True, kw_only=True):
    """How many from now on."""

    also: ClassVar[dict[str, str]] = {"quantity": "newquantity"}

    new_quantity: Quantity


class ShippingAddress(Body, frozen=True, kw_only=True):
    """Where a checkout goes."""

    address_line1: Upto200
    address_line2: Second200 | None = None
    city: Upto100
    state_or_province: Upto100
    postal_code: Upto20
    country: Upto100


class ShippingMethod(Body, frozen=True, kw_only=True):
    """How it goes, and for how much."""

    shipping_method: Upto100
    shipping_cost: Amount


class PaymentMethod(Body, frozen=True, kw_only=True):
    """A token of the payment provider's."""

    payment_method_token: Upto500


class CancelOrder(Body, frozen=True, kw_only=True):
    """Why an order is not wanted any more."""

    reason: Upto200 = "Changed my mind"


class SaveAddress(Body, frozen=True, kw_only=True):
    """An address to keep for later."""

    customer_id: Named | None = None
    nickname: Upto50
    address_line1: Upto100
    address_line2: Second100 | None = None
    city: Upto50
    state_or_province: Upto50
    postal_code: Upto20
    country: Country


B = TypeVar("B", bound=Body)

_WHOLE = re.compile(rb"-?[0-9]{1,18}\.0{1,18}", re.ASCII)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def understand(kind: type[B], body: bytes | str) -> B:
    """What a body says.

    Raises:
        InvalidBodyError: all that is wrong with it.
    """
    try:
        given = {name.lower(): value for name, value in _members.decode(body).items()}
    except (ValueError, RecursionError) as exc:
        raise InvalidBodyError({"": ["expected a JSON object"]}) from exc
    for other, name in kind.also.items():
        if other in given:
            given.setdefault(name, given[other])
    values: dict[str, object] = {}
    errors: dict[str, list[str]] = {}
    for field in msgspec.structs.fields(kind):
        raw = given.get(field.encode_name.lower())
        if raw is None:
            if field.required:
                errors[field.encode_name] = ["is missing"]
            continue
        try:
            values[field.name] = _value(raw, field.type)
        except (ValueError, ArithmeticError, RecursionError):
            errors[field.encode_name] = [f"expected {_expected(field.type)}"]
    if errors:
        raise InvalidBodyError(errors)
    return kind(**values)


def _value(raw: msgspec.Raw, kind: object) -> object:
    if _WHOLE.fullmatch(bytes(raw)):
        # JSON has one kind of number, and so has a script: 2.0 is 2.
        raw = msgspec.Raw(bytes(raw).partition(b".")[0])
    value = msgspec.json.decode(raw, type=kind)
    if isinstance(value, Decimal) and not _is_amount(value):
        raise ValueError("not an amount")
    return value


def _is_amount(value: Decimal) -> bool:
    if not is_price(value):
        return False
    _, digits, exponent = value.as_tuple()
    return len(digits) <= _DIGITS and abs(int(exponent)) <= _DIGITS


def _expected(kind: object) -> str:
    """What the type says of itself."""
    return next(_descriptions(kind), "something else")


def _descriptions(kind: object) -> Iterator[str]:
    for part in get_args(kind):
        if isinstance(part, Meta) and part.description:
            yield part.description
        else:
            yield from _descriptions(part)
