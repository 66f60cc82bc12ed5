"""The queues we consume: one life each, of one dispatcher.

A queue that was deleted, that is declared otherwise or that another process holds says nothing of
the other two, so each has its own channel, its own pauses and its own word in readiness. Order is
promised per customer and queue: an event of one queue may overtake one of another.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import trio

from storefront.domain.translate import NAMESPACE
from storefront.errors import BrokerError
from storefront.messaging.broker import Broker, Queue
from storefront.messaging.consumer import State, stand_by
from storefront.messaging.dispatch import Dispatcher
from storefront.settings import MessagingSettings
from storefront.supervise import keep_running

# What a queue is called in readiness, whatever it is named on the broker.
Label = str

# What the neighbours send to the fulfillment queue (contracts.md section 1.3); of a delivery they
# may tell either queue.
_TO_FULFILLMENT = frozenset(
    f"{NAMESPACE}Fulfillment.{name}"
    for name in (
        "ShipmentHandedToCarrier",
        "ShipmentDelivered",
        "TrackingNumberAssigned",
        "DeliveryAttemptFailed",
        "ReturnToSenderInitiated",
        "BackorderCreated",
        "ShipmentLostInTransit",
    )
)


def queues(settings: MessagingSettings) -> dict[Label, Queue]:
    """The queues of contracts.md sections 1.1 and 1.3, as they are set."""
    declared = {
        "notifications": (
            settings.queue_notifications,
            settings.queue_notifications_arguments,
            settings.queue_notifications_exchanges,
        ),
        "fulfillment": (
            settings.queue_fulfillment,
            settings.queue_fulfillment_arguments,
            settings.queue_fulfillment_exchanges,
        ),
        "returns": (
            settings.queue_returns,
            settings.queue_returns_arguments,
            settings.queue_returns_exchanges,
        ),
    }
    return {
        label: Queue(
            name=name,
            arguments=arguments,
            dead_letters=settings.dead_letter_queue,
            exchanges=exchanges,
        )
        for label, (name, arguments, exchanges) in declared.items()
    }


def usual_queue(settings: MessagingSettings, type_name: str) -> str:
    """Where a neighbour sends a message of this type, by its full .NET name."""
    if type_name.startswith(f"{NAMESPACE}Returns."):
        return settings.queue_returns
    if type_name in _TO_FULFILLMENT:
        return settings.queue_fulfillment
    return settings.queue_notifications


def most_unsettled(settings: MessagingSettings) -> int:
    """How many messages the broker may have out with us, over all queues."""
    return settings.prefetch * len(queues(settings))


async def keep_consuming(
    settings: MessagingSettings,
    broker: Broker,
    dispatcher: Dispatcher,
    *,
    stopping: trio.Event,
    parts: dict[str, Callable[[], str]],
) -> None:
    """Consume every queue until `stopping` is set and all that is in hand is settled.

    Args:
        settings: which queues, and how much of each at a time.
        broker: where they are.
        dispatcher: takes the deliveries of all.
        stopping: set to leave.
        parts: gets a word per queue, `consumer.<label>`.
    """
    states: dict[Label, State] = {}
    async with trio.open_nursery() as nursery:
        for label, queue in queues(settings).items():
            states[label] = "unreachable"
            parts[f"consumer.{label}"] = partial(states.__getitem__, label)
            consume = partial(
                stand_by,
                broker,
                queue,
                dispatcher,
                prefetch=settings.prefetch,
                stopping=stopping,
                tell=partial(states.__setitem__, label),
            )
            nursery.start_soon(
                partial(
                    keep_running,
                    f"consumer.{label}",
                    consume,
                    on=BrokerError,
                    stopping=stopping,
                )
            )
