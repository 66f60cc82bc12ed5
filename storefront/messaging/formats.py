"""Other ways to wrap a message than Wolverine's own (contracts.md section 4.6).

Each opener looks at a delivery and answers what it found, or None where the format is another.
Nothing in a delivery can make one fail: what cannot be opened is left as it came, and is refused
later for what it then is. msgspec's own errors are ValueErrors, and so is Python's for bytes that
are no UTF-8.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from storefront.messaging.broker import Delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A message out of its wrapping; "" for what the wrapping does not say.

    Attributes:
        type: the message type.
        message_id: what the format knows a repetition by.
        traceparent: the publisher's trace context, as it stands there.
        body: the message as JSON.
    """

    type: str
    message_id: str = ""
    traceparent: str = ""
    body: bytes


class _CloudEvent(msgspec.Struct, frozen=True):
    specversion: str
    type: str
    data: msgspec.Raw
    id: str = ""
    source: str = ""
    traceparent: str | None = None


class _MassTransit(msgspec.Struct, frozen=True, rename="camel"):
    message_type: list[str]
    message: msgspec.Raw
    message_id: str | None = None


_cloud_event = msgspec.json.Decoder(_CloudEvent)
_mass_transit = msgspec.json.Decoder(_MassTransit)

_MASS_TRANSIT_JSON = "application/vnd.masstransit+json"
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
        message_id=_event_id(delivery, event.source, event.id),
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
            source, name, trace = (
                str(delivery.headers.get(f"{prefix}{attribute}", ""))
                for attribute in ("source", "id", "traceparent")
            )
            return Opened(
                type=kind,
                message_id=_event_id(delivery, source, name),
                traceparent=trace,
                body=delivery.body,
            )
    return None


def _event_id(delivery: Delivery, source: str, name: str) -> str:
    """An id is unique within its source only (CloudEvents 1.0, section 3.1.1): a key has both."""
    if not source or not name:
        # By the specification no event: what AMQP calls it tells more than half a name does.
        return delivery.message_id or name
    # A source is a URI reference and holds no space; one that does is quoted, lest two pairs meet.
    return f"{source} {name}" if " " not in source else f"{source!r} {name!r}"


def mass_transit(delivery: Delivery) -> Opened | None:
    """MassTransit's envelope: `message` is the message, `messageType[0]` its URN."""
    if delivery.content_type.partition(";")[0].strip().lower() != _MASS_TRANSIT_JSON:
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
