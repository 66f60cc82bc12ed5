"""A service's body to a value of ours, or to the service's nonsense. Nothing else comes out."""

from __future__ import annotations

from decimal import Decimal
from typing import TypeVar

import msgspec

from storefront.errors import DownstreamNonsenseError

T = TypeVar("T")

# No cart of this shop comes near; beyond it a service has lost its decimal point, and 1E+400 is
# Infinity in a browser.
UNREASONABLE = Decimal(10) ** 12


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
