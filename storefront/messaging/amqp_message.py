"""A message on the wire, a message to us, and its copy: delayed, or dead.

A copy keeps what its publisher wrote, to the byte, and our notes on top. Not kept, and why:

* user_id      the broker refuses one that is not the connection's own user, and closes the channel
* expiration   a dead letter would vanish with it, a delayed message come back before its time
* CC, BCC      the broker would send the copy to all who had the original, too
* x-death and its kin, on a delayed copy: the broker's own books, which RabbitMQ 3 takes for a loop
               of dead letters and drops the message; a dead letter keeps them, to be read
* delivery_mode, cluster_id: a copy is always persistent; and the other has been empty since 0-9-1
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiormq import spec
from aiormq.abc import DeliveredMessage

from storefront.messaging.amqp_wire import Verbatim
from storefront.messaging.broker import Delivery, Outgoing

PERSISTENT = 2
_KEPT = (
    "content_type",
    "content_encoding",
    "priority",
    "correlation_id",
    "reply_to",
    "timestamp",
    "message_type",
    "app_id",
)
_SENT_ALONG = frozenset({"CC", "BCC"})
_DEATHS = ("x-death", "x-first-death-", "x-last-death-")


@dataclass(frozen=True, slots=True, kw_only=True)
class AmqpDelivery(Delivery):
    """A delivery that still has what its publisher wrote. `dataclasses.replace` keeps it."""

    properties: spec.Basic.Properties = field(repr=False, compare=False)


def delivery_of(queue: str, message: DeliveredMessage) -> AmqpDelivery:
    """What a message is to us."""
    properties = message.header.properties
    return AmqpDelivery(
        tag=message.delivery_tag or 0,
        queue=queue,
        body=message.body,
        type=properties.message_type or "",
        message_id=properties.message_id or "",
        correlation_id=properties.correlation_id or "",
        content_type=properties.content_type or "",
        headers={
            key: text
            for key, value in (properties.headers or {}).items()
            if (text := header(value)) is not None
        },
        redelivered=bool(message.redelivered),
        properties=properties,
    )


def header(value: object) -> str | int | None:
    """A header as text or number. Clients may hand text over as bytes; tables and times mean
    nothing to us.
    """
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8", "replace")
    return value if isinstance(value, str | int) else None


def published(message: Outgoing) -> spec.Basic.Properties:
    """The properties of a message of our own."""
    return Verbatim(
        headers=dict(message.headers),
        content_type=message.content_type,
        delivery_mode=PERSISTENT,
        correlation_id=message.correlation_id or None,
        message_id=message.message_id,
        message_type=message.type,
    )


def delayed(delivery: Delivery, notes: Mapping[str, str | int]) -> spec.Basic.Properties:
    """The properties of a copy that comes back later."""
    written = _properties(delivery)
    headers = {k: v for k, v in (written.headers or {}).items() if not k.startswith(_DEATHS)}
    return copied(written, delivery.message_id, {**headers, **notes})


def dead(delivery: Delivery, why: Mapping[str, str | int]) -> spec.Basic.Properties:
    """The properties of a dead letter."""
    written = _properties(delivery)
    return copied(written, delivery.message_id, {**(written.headers or {}), **why})


def copied(
    written: spec.Basic.Properties, message_id: str, headers: Mapping[str, Any]
) -> spec.Basic.Properties:
    """The properties of a copy: `written` ones that may be kept, with these headers.

    `message_id` is the name it goes by: the client library gives one without a name a random one.
    """
    return Verbatim(
        **{name: getattr(written, name) for name in _KEPT},
        headers={name: value for name, value in headers.items() if name not in _SENT_ALONG} or None,
        delivery_mode=PERSISTENT,
        message_id=message_id or None,
    )


def _properties(delivery: Delivery) -> spec.Basic.Properties:
    if not isinstance(delivery, AmqpDelivery):
        raise TypeError("not a delivery of this broker")
    return delivery.properties
