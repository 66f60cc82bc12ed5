"""A service's body to a value of ours, or to the service's nonsense. Nothing else comes out.

Every answer is one frozen Struct, valid or nonexistent: ids are GUIDs in the one spelling, amounts
are money, moments have an offset. Fields of no interest are passed over, and null counts as left
out, for the services differ in which they do (contracts.md section 2).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar, TypeVar

import msgspec

from storefront.domain.ids import canonical
from storefront.domain.instants import Instant
from storefront.errors import DownstreamNonsenseError

T = TypeVar("T")

# No cart of this shop comes near; beyond it a service has lost its decimal point, and 1E+400 is
# Infinity in a browser.
UNREASONABLE = Decimal(10) ** 12
# Lines of a cart, a checkout or an order, and entries of a list. A longer one is no answer.
MOST_ITEMS = 5_000

Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Items = Annotated[tuple[T, ...], msgspec.Meta(max_length=MOST_ITEMS)]


class Answer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a service said, or a part of it. `guids` names the fields that are ids."""

    guids: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        for name in self.guids:
            found = getattr(self, name)
            if found is not None:
                # The one spelling: equal ids are equal strings (domain/ids.py).
                msgspec.structs.force_setattr(self, name, canonical(found))
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, Decimal) and not is_price(value):
                raise ValueError("not a price")


def decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    """What reads a body as one of these."""
    return msgspec.json.Decoder(kind, dec_hook=_read_instant)


def read(service: str, decoder: msgspec.json.Decoder[T], body: bytes, what: str) -> T:
    """The body as what the decoder expects.

    Raises:
        DownstreamNonsenseError: it is not `what` the service's contract promises.
    """
    try:
        return decoder.decode(body)
    except (ValueError, ArithmeticError, RecursionError) as exc:
        # msgspec's own errors are ValueErrors; bytes that are no UTF-8 and an array in an array in
        # an array come out as Python's.
        raise DownstreamNonsenseError(service, f"not {what}") from exc


def is_price(amount: Decimal) -> bool:
    """Whether an amount can be money. JSON may hold "NaN" in quotes, and a Decimal takes it."""
    return amount.is_finite() and 0 <= amount < UNREASONABLE


def _read_instant(kind: type, value: object) -> object:
    if kind is Instant and isinstance(value, str):
        return Instant(value)
    raise ValueError("not a moment")
