"""A queue's subscription, from one life to the next.

A life ends with the broker's word (BrokerError), or with ours: then what is in hand is finished and
acknowledged before the channel closes, within a bound, and the rest returns to its place in the
queue.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import structlog
import trio
from trio_util import wait_any

from storefront.errors import BrokerError, QueueHeldError
from storefront.messaging.broker import Broker, Queue
from storefront.messaging.dispatch import Dispatcher
from storefront.messaging.subscription import Subscription

log = structlog.get_logger(__name__)

# How often a standby asks for the queue: it takes over within two seconds of the other's end.
HELD_PAUSE = 1.0
# How long what is in hand may keep the queue waiting once a life is over. A record takes
# milliseconds; what waits for a neighbour that hangs comes again, to whoever consumes next.
FINISH_WITHIN = 0.5

State = Literal["unreachable", "consuming", "standing by", "stopped"]
Tell = Callable[[State], None]


async def consume(
    broker: Broker,
    queue: Queue,
    dispatcher: Dispatcher,
    *,
    prefetch: int,
    stopping: trio.Event,
    tell: Tell,
) -> None:
    """Live one life of a subscription; returns once `stopping` is set and what is in hand is
    settled, or was waited for long enough.

    Raises:
        BrokerError: the broker ended it.
    """
    async with broker.consuming(queue, prefetch=prefetch) as session:
        log.info("consuming", queue=queue.name)
        tell("consuming")
        subscription = Subscription(session)
        async with trio.open_nursery() as acknowledging:
            acknowledging.start_soon(_acknowledge, subscription, stopping)
            async with trio.open_nursery() as receiving:
                receiving.start_soon(_cancel_when, stopping, receiving.cancel_scope)
                receiving.start_soon(_cancel_when, subscription.over, receiving.cancel_scope)
                await subscription.receive_into(dispatcher)
                receiving.cancel_scope.cancel()
            if subscription.gone:
                acknowledging.cancel_scope.cancel()
            subscription.finish()
    if subscription.ended is not None and not stopping.is_set():
        raise subscription.ended


async def stand_by(
    broker: Broker,
    queue: Queue,
    dispatcher: Dispatcher,
    *,
    prefetch: int,
    stopping: trio.Event,
    tell: Tell,
) -> None:
    """Consume as soon as nobody else does; returns after `stopping`.

    Args:
        broker: where the queue is.
        queue: what to consume.
        dispatcher: takes the deliveries.
        prefetch: how many may be unsettled at a time.
        stopping: set to have what is in hand settled, and leave.
        tell: hears how it stands with the subscription.

    Raises:
        BrokerError: the broker is gone, or ended the subscription.
    """
    try:
        while not stopping.is_set():
            try:
                await consume(
                    broker, queue, dispatcher, prefetch=prefetch, stopping=stopping, tell=tell
                )
            except QueueHeldError:
                tell("standing by")
                with trio.move_on_after(HELD_PAUSE):
                    await stopping.wait()
    except BrokerError:
        tell("unreachable")
        raise
    tell("stopped")


async def _acknowledge(subscription: Subscription, stopping: trio.Event) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_give_up, subscription.over, stopping, nursery.cancel_scope)
        await subscription.acknowledge()
        nursery.cancel_scope.cancel()


async def _give_up(over: trio.Event, stopping: trio.Event, scope: trio.CancelScope) -> None:
    await wait_any(over.wait, stopping.wait)
    await trio.sleep(FINISH_WITHIN)
    scope.cancel("somebody else can have the queue")


async def _cancel_when(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
