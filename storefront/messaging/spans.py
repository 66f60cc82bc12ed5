"""What a trace says of messages, by OpenTelemetry's semantic conventions for messaging.

A delivery's span is both a child of its publisher's and linked to it: the conventions want the
link, and only with the parent is it one trace from the publisher to the browser.
"""

from __future__ import annotations

from dataclasses import replace

from storefront.messaging.broker import Delivery, Outgoing
from storefront.messaging.envelope import Envelope
from storefront.telemetry import tracing

_SYSTEM = {"messaging.system": "rabbitmq"}


def taken(delivery: Delivery, known: Envelope, kind: str) -> Delivery:
    """The delivery with a span of its own, which ends when it is settled; as it is where tracing is
    off.

    Args:
        delivery: as it came.
        known: what it says of itself.
        kind: the name of its row in the registry; "" where there is none, for then the name is its
            publisher's own choice.
    """
    if not tracing.on():
        return delivery
    about: dict[str, tracing.Value] = {
        **_SYSTEM,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": delivery.queue,
        "messaging.message.id": known.message_id,
        "messaging.message.body.size": len(delivery.body),
        "storefront.message.type": kind,
    }
    publisher = known.traceparent
    span = tracing.begin(
        f"process {delivery.queue}",
        "consumer",
        parent=publisher,
        links=(publisher,) if publisher else (),
        attributes=about,
    )
    return replace(delivery, span=span)


def settled(delivery: Delivery, outcome: str) -> None:
    """It is out of our hands."""
    if delivery.span is not None:
        delivery.span.note("storefront.outcome", outcome)
        delivery.span.end()


def publishing(destination: str, *, only_within: bool = True) -> tracing.span:
    """Around the publishing of a message, or of a copy of one."""
    about: dict[str, tracing.Value] = {
        **_SYSTEM,
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.destination.name": destination,
    }
    name = f"publish {destination}"
    return tracing.span(name, "producer", attributes=about, only_within=only_within)


def carrying(message: Outgoing) -> Outgoing:
    """The message with the current trace, where there is one and it has none of its own."""
    along = tracing.headers()
    if not along or "parent-id" in message.headers:
        return message
    return replace(message, headers={**message.headers, **along})
