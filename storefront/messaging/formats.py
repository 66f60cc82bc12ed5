"""Other ways to wrap a message than Wolverine's own (contracts.md section 4.6).

Each opener looks at a delivery and answers what it found, or None where the format is another.
Nothing in a delivery can make one fail: what cannot be opened is left as it came, and is refused
later for what it then is. msgspec's own errors are ValueErrors, and so is Python's for bytes that
are no UTF-8.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from storefront.messaging.broker import Delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A message out of its wrapping; "" for what the wrapping does not say."""

    type: str
    message_id: str = ""
    traceparent: str = ""
    body: bytes


class _CloudEvent(msgspec.Struct, frozen=True):
    specversion: str
    type: str
    data: msgspec.Raw
    id: str = ""
    traceparent: str | None = None


class _MassTransit(msgspec.Struct, frozen=True, rename="camel"):
    message_type: list[str]
    message: msgspec.Raw
    message_id: str | None = None
    headers: dict[str, Any] = {}


_cloud_event = msgspec.json.Decoder(_CloudEvent)
_mass_transit = msgspec.json.Decoder(_MassTransit)

_URN = "urn:message:"


def cloud_event(delivery: Delivery) -> Opened | None:
    """CloudEvents 1.0, structured: the body is the event, and `data` the message."""
    # Wolverine leaves the content type at application/json, so the body must be looked at; the
    # search is done before anything is parsed, for it is done for every message there is.
    if b'"specversion"' not in delivery.body:
        return None
    try:
        event = _cloud_event.decode(delivery.body)
    except (ValueError, RecursionError):
        return None
    return Opened(
        type=event.type,
        message_id=event.id,
        traceparent=event.traceparent or "",
        body=bytes(event.data),
    )


def cloud_event_in_headers(delivery: Delivery) -> Opened | None:
    """CloudEvents 1.0, binary: attributes in headers, the body is the message.

    The AMQP binding says `cloudEvents:`; brokers and clients that take no colon use `cloudEvents_`.
    """
    for prefix in ("cloudEvents:", "cloudEvents_"):
        kind = delivery.headers.get(f"{prefix}type")
        if isinstance(kind, str):
            return Opened(
                type=kind,
                message_id=str(delivery.headers.get(f"{prefix}id", "")),
                traceparent=str(delivery.headers.get(f"{prefix}traceparent", "")),
                body=delivery.body,
            )
    return None


def mass_transit(delivery: Delivery) -> Opened | None:
    """MassTransit's envelope: `message` is the message, `messageType[0]` its URN."""
    if delivery.content_type != "application/vnd.masstransit+json":
        return None
    try:
        envelope = _mass_transit.decode(delivery.body)
    except (ValueError, RecursionError):
        return None
    kind = envelope.message_type[0] if envelope.message_type else ""
    return Opened(
        # urn:message:<Namespace>:<Name>
        type=kind.removeprefix(_URN).replace(":", "."),
        message_id=envelope.message_id or "",
        traceparent=str(delivery.headers.get("MT-Activity-Id", "")),
        body=bytes(envelope.message),
    )


def nservicebus(delivery: Delivery) -> Opened | None:
    """NServiceBus: a raw body, and assembly-qualified type names in a header, the nearest first."""
    kinds = delivery.headers.get("NServiceBus.EnclosedMessageTypes")
    if not isinstance(kinds, str):
        return None
    return Opened(
        type=kinds.partition(";")[0].partition(",")[0].strip(),
        message_id=str(delivery.headers.get("NServiceBus.MessageId", "")),
        body=delivery.body,
    )


OPENERS: tuple[Callable[[Delivery], Opened | None], ...] = (
    cloud_event,
    mass_transit,
    cloud_event_in_headers,
    nservicebus,
)


def open_wrapping(delivery: Delivery) -> Opened | None:
    """What is inside, where one of the formats applies."""
    return next((found for opener in OPENERS if (found := opener(delivery)) is not None), None)
