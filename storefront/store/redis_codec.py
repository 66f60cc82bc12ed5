"""How entries, facts and announcements are spelled in Redis. PURE.

A script looks at the moments and the lengths at the front of each; what follows them is opaque to
it, so a body comes out as it went in, to the byte (Lua's own JSON would turn 19.90 into 19.9).
"""

from __future__ import annotations

import hashlib
from struct import Struct, error

import msgspec

from storefront.domain.facts import Fact
from storefront.domain.ids import CustomerId
from storefront.domain.positions import Position
from storefront.errors import StoreError
from storefront.store.contract import Entry, Recording

# Recorded at, the length of the trace context; the same in since.lua and record.lua.
_ENTRY = Struct(">dI")
_NO_TRACE = 0xFFFFFFFF
# Occurred at, recorded at, the length of the detail or -1; the same in record.lua.
_FACT = Struct(">ddi")
_NO_DETAIL = -1
# The length of the customer's id.
_CUSTOMER = Struct(">H")


class UnreadableError(StoreError):
    """Something in Redis is not as we wrote it."""


def digest(message_id: str) -> bytes:
    """The message id in one small size, whatever a publisher calls its messages."""
    return hashlib.blake2b(message_id.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def entry_bytes(recording: Recording, now: float) -> bytes:
    """An event as it stands in the log."""
    if recording.traceparent is None:
        return _ENTRY.pack(now, _NO_TRACE) + recording.payload
    trace = recording.traceparent.encode("utf-8", "surrogatepass")
    return _ENTRY.pack(now, len(trace)) + trace + recording.payload


def read_entry(customer: CustomerId, position: Position, data: bytes) -> Entry:
    """An event from the log.

    Raises:
        UnreadableError: it is none.
    """
    try:
        recorded_at, size = _ENTRY.unpack_from(data)
        start = _ENTRY.size + (0 if size == _NO_TRACE else size)
        if start > len(data):
            raise UnreadableError("an entry is cut short")
        trace = None if size == _NO_TRACE else data[_ENTRY.size : start].decode("utf-8", "replace")
    except error as exc:
        raise UnreadableError("an entry is cut short") from exc
    return Entry(
        customer=customer,
        position=position,
        payload=data[start:],
        recorded_at=recorded_at,
        traceparent=trace,
    )


def customer_bytes(customer: CustomerId) -> bytes:
    """The customer at the front of an announcement."""
    name = customer.encode()
    return _CUSTOMER.pack(len(name)) + name


def read_announcement(data: bytes) -> Entry:
    """The whole entry, as record.lua announced it: customer, epoch, number, entry.

    Raises:
        UnreadableError: it is none.
    """
    try:
        (size,) = _CUSTOMER.unpack_from(data)
        start = _CUSTOMER.size + size
        customer = CustomerId(data[_CUSTOMER.size : start].decode())
        epoch, seq, entry = data[start:].split(b" ", 2)
        position = Position.parse(f"{epoch.decode()}-{seq.decode()}")
    except (error, ValueError) as exc:
        raise UnreadableError("an announcement that is none of ours") from exc
    if position is None:
        raise UnreadableError("an announcement without a position")
    return read_entry(customer, position, entry)


def fact_bytes(fact: Fact | None, now: float) -> tuple[bytes, bytes]:
    """What the fact is about, and the fact as it stands in Redis; b"" for none."""
    if fact is None:
        return b"", b""
    rest = msgspec.msgpack.encode((fact.state, fact.order))
    detail = b"" if fact.detail is None else fact.detail.encode()
    size = _NO_DETAIL if fact.detail is None else len(detail)
    return f"{fact.kind}:{fact.id}".encode(), _FACT.pack(
        fact.occurred_at, now, size
    ) + detail + rest


def read_fact(thing: bytes, data: bytes) -> tuple[float, Fact]:
    """When a fact was recorded, and the fact.

    Raises:
        UnreadableError: it is none.
    """
    try:
        kind, _, name = thing.decode().partition(":")
        occurred_at, recorded_at, size = _FACT.unpack_from(data)
        end = _FACT.size + max(size, 0)
        detail = None if size == _NO_DETAIL else data[_FACT.size : end].decode()
        state, order = msgspec.msgpack.decode(data[end:], type=tuple[str, str | None])
    except (error, ValueError) as exc:  # msgspec's errors are ValueErrors
        raise UnreadableError("a fact that is none of ours") from exc
    return recorded_at, Fact(
        kind=kind,  # type: ignore[arg-type] # written by fact_bytes
        id=name,
        state=state,
        detail=detail,
        order=order,
        occurred_at=occurred_at,
    )
