"""What commands to any service have in common: what goes along, and what may come back."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from storefront.domain.ids import canonical
from storefront.downstream.answers import read
from storefront.downstream.http import Told
from storefront.errors import DownstreamNonsenseError

# Money is a JSON number with its scale kept, as the services write it.
encode = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedOn:
    """What of the caller's request goes along with a command; the services decide by it.

    Attributes:
        authorization: the caller's `Authorization`, whole.
        idempotency_key: the caller's `Idempotency-Key`.

    Raises:
        ValueError: one could not stand in a header.
    """

    authorization: str | None = None
    idempotency_key: str | None = None

    def __post_init__(self) -> None:
        for value in (self.authorization, self.idempotency_key):
            # A line end in one would let its author write the next header.
            if value is not None and not (value.isascii() and value.isprintable()):
                raise ValueError("a header is one line of printable ASCII")

    def headers(self) -> dict[str, str]:
        """As HTTP has them."""
        found = {
            "authorization": self.authorization,
            "idempotency-key": self.idempotency_key,
        }
        return {name: value for name, value in found.items() if value is not None}


NOTHING = PassedOn()


class _Created(msgspec.Struct, frozen=True):
    value: str


_decoder = msgspec.json.Decoder(_Created)


def created(service: str, told: Told) -> str:
    """The id of what a 201 created: Wolverine says it in `Location` and in the body's `value`.

    Raises:
        DownstreamNonsenseError: neither says it, or they differ.
    """
    said = (
        {_guid(service, told.location.rstrip("/").rpartition("/")[2])} if told.location else set()
    )
    if told.body:
        said.add(_guid(service, read(service, _decoder, told.body, "what was created").value))
    if len(said) != 1:
        raise DownstreamNonsenseError(service, "no telling what was created")
    return said.pop()


def _guid(service: str, text: str) -> str:
    try:
        return canonical(text)
    except ValueError as exc:
        raise DownstreamNonsenseError(service, "an id that is none") from exc
