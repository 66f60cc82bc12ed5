"""JSON to a message. What cannot be read becomes an InvalidMessageError.

Its words never hold content of the body, for a body may carry a payment token or a street address,
and these words travel into headers and logs.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import TypeVar

import msgspec

from storefront.domain.instants import Instant
from storefront.domain.messages.base import Message
from storefront.errors import InvalidMessageError

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


def _public(error: msgspec.ValidationError) -> str:
    # msgspec's own words name types and fields, never values; our post-init words are fixed.
    return str(error)[:200]
