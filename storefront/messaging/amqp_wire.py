"""Properties and headers to the byte: where pamqp cannot read, or would write something else.

A frame that pamqp cannot decode ends the connection, and the message comes again on the next: one
timestamp of the year 20219385, or one id in Latin-1, would stop every queue of ours for good.
RabbitMQ checks neither. What is read here in pamqp's place is what it stumbles over; what is
written in its place is what it would change (a double to a float, a long string that is no UTF-8
to an error, the order of the keys) or refuse.

Pinned to pamqp 4.0.1; the tests tell when it needs no correction any more.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from aiormq import spec
from pamqp import decode, encode
from pamqp.common import FieldValue

# Bytes that are no UTF-8 come through Python's text unharmed, as PEP 383 has it.
_ODD = "surrogateescape"
_MOST_SECONDS = 0xFFFFFFFF  # pamqp takes what is above for milliseconds


class Moment(int):
    """An AMQP timestamp that is no time: milliseconds, ticks, or nonsense."""

    __slots__ = ()


class Verbatim(spec.Basic.Properties):
    """Properties that are written as they were read."""

    def encode_property(self, name: str, value: FieldValue) -> bytes:
        """One property as AMQP has it."""
        kind = self.amqp_type(name)
        if kind == "table":
            return _table(value if isinstance(value, dict) else {})
        if kind == "shortstr" and isinstance(value, str):
            return _short(value)
        if isinstance(value, Moment):
            return struct.pack(">Q", value)
        return super().encode_property(name, value)


def correct_reading() -> None:
    """Have pamqp read what it would stumble over. Harmless when done twice."""
    decode.METHODS["shortstr"] = _read_short
    decode.METHODS["timestamp"] = decode.TABLE_MAPPING[b"T"] = _read_moment
    decode.METHODS["table"] = decode.TABLE_MAPPING[b"F"] = _read_table


def _read_short(data: bytes) -> tuple[int, FieldValue]:
    end = 1 + data[0] if data else 0
    if not 0 < end <= len(data):
        raise ValueError("a short string is longer than its frame")
    return end, data[1:end].decode("utf-8", _ODD)


def _read_moment(data: bytes) -> tuple[int, FieldValue]:
    if len(data) < 8:
        raise ValueError("a timestamp is longer than its frame")
    (raw,) = struct.unpack_from(">Q", data)
    if raw > _MOST_SECONDS:
        return 8, Moment(raw)
    return decode.timestamp(data)


def _read_table(data: bytes) -> tuple[int, FieldValue]:
    end = 4 + int.from_bytes(data[:4])
    if not 4 <= len(data) >= end:
        raise ValueError("a table is longer than its frame")
    at, found = 4, dict[str, Any]()
    while at < end:
        taken, name = _read_short(data[at:end])
        at += taken
        taken, found[str(name)] = decode.embedded_value(data[at:end])
        at += taken
    return end, found


def _table(table: dict[str, Any]) -> bytes:
    return _long(b"".join(_short(name) + _value(value) for name, value in table.items()))


def _value(value: Any) -> bytes:
    for kind, write in _WRITTEN_HERE.items():
        if isinstance(value, kind):
            return write(value)
    return encode.encode_table_value(value)


def _decimal(value: Decimal) -> bytes:
    _, digits, exponent = value.as_tuple()
    number = int("".join(map(str, digits))) * (-1 if value.is_signed() else 1)
    return b"D" + struct.pack(">Bi", -int(exponent), number)


def _short(value: str) -> bytes:
    raw = value.encode("utf-8", _ODD)
    return struct.pack(">B", len(raw)) + raw


def _long(raw: bytes) -> bytes:
    return struct.pack(">I", len(raw)) + raw


_WRITTEN_HERE: dict[type, Callable[[Any], bytes]] = {
    bytes: lambda value: b"S" + _long(value),  # a long string that is no UTF-8
    float: lambda value: b"d" + struct.pack(">d", value),  # a double holds every float
    Moment: lambda value: b"T" + struct.pack(">Q", value),
    datetime: lambda value: b"T" + struct.pack(">Q", int(value.timestamp())),
    Decimal: _decimal,
    dict: lambda value: b"F" + _table(value),
    list: lambda value: b"A" + _long(b"".join(map(_value, value))),
}
