"""Reading and writing what Wolverine puts around a message (contracts.md section 4.2).

The type stands in the AMQP property `type`, the id in `message_id`. Other transports of Wolverine
use headers for them, so those are read where the property is missing. What other frameworks wrap
around a message is `formats`' business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

import msgspec

from storefront.messaging.broker import Delivery, Outgoing
from storefront.messaging.formats import Opened, open_wrapping

# W3C Trace Context, version 00: trace id and parent id must not be all zeros.
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
# A Wolverine node asks now and then whether anybody listens; there is nothing to do about it.
PING = "wolverine-ping"
# Ids are keys of the log, and the AMQP property of a copy (at most 255 bytes). A publisher's GUID
# has 36; what is longer than this many bytes is hashed.
_LONGEST_ID = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A message and its identity, out of whatever it was wrapped in.

    Attributes:
        type: the message type, "" where nothing says it.
        message_id: by which a repetition is known: the publisher's id (of a CloudEvent with its
            source), or a hash of type and body.
        traceparent: the publisher's W3C trace context, where it is a valid one.
        body: the message as JSON.
    """

    type: str
    message_id: str
    traceparent: str | None
    body: bytes


def read(delivery: Delivery) -> Envelope:
    """The envelope of a delivery; nothing in it can make this fail."""
    headers = delivery.headers
    opened = open_wrapping(delivery)
    if opened is None:
        kind = delivery.type or str(headers.get("message-type", ""))
        opened = Opened(type=kind, body=delivery.body)
    # What a format knows its repetitions by goes first: two sources of CloudEvents may number
    # alike, and set the property to that number. Else the property, which redelivery and the
    # publisher's outbox keep the same.
    given = opened.message_id or delivery.message_id or str(headers.get("id", ""))
    traces = (headers.get("traceparent"), headers.get("parent-id"), opened.traceparent)
    return Envelope(
        type=opened.type,
        message_id=_identity(given, opened),
        traceparent=next((trace for each in traces if (trace := _trace(each))), None),
        body=opened.body,
    )


def wolverine(
    kind: str,
    body: Mapping[str, object],
    *,
    message_id: str,
    sent_at: float,
    source: str,
    traceparent: str | None = None,
) -> Outgoing:
    """A message as a Wolverine service would publish it.

    Args:
        kind: the full .NET name, e.g. `Messages.Contracts.Shopping.ItemAdded`.
        body: the fields in the order of the record; Decimal becomes a JSON number with its scale.
        message_id: the envelope's id, a GUID.
        sent_at: seconds since 1970.
        source: the publishing service, e.g. `Shopping.Api`.
        traceparent: W3C trace context; Wolverine calls it `parent-id`.
    """
    moment = datetime.fromtimestamp(sent_at, UTC)
    headers: dict[str, str | int] = {
        "source": source,
        "conversation-id": message_id,
        "sent-at": f"{moment:%Y-%m-%d %H:%M:%S}:{moment:%f} Z",
        "accepted-content-types": "application/json",
        "attempts": "0",
        "wolverine-protocol-version": "1.0",
    }
    if traceparent:
        headers["parent-id"] = traceparent
    return Outgoing(
        body=_encoder.encode(body),
        type=kind,
        message_id=message_id,
        correlation_id=traceparent[3:35] if traceparent else message_id,
        headers=headers,
    )


_encoder = msgspec.json.Encoder(decimal_format="number")


def _identity(given: str, opened: Opened) -> str:
    # Half a surrogate pair, which has no bytes, is not printable either.
    if given and given.isprintable() and len(given.encode()) <= _LONGEST_ID:
        return given
    words = (each.encode("utf-8", "surrogatepass") for each in (opened.type, given))
    parts = (*words, opened.body)
    return sha256(b"\0".join(parts)).hexdigest()


def _trace(value: object) -> str | None:
    return value if isinstance(value, str) and _TRACEPARENT.fullmatch(value) else None
