"""The dead letters, for a person at a terminal: looked at, replayed, dropped.

The same side of the shore as `amqp`: functions whose names end in `_aio` run on the asyncio island.
Letters are taken one by one without acknowledging; what is not dealt with returns to its place when
the channel closes, so looking changes nothing but the mark "redelivered".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import aio_pika
from aiormq import spec
from aiormq.abc import AbstractChannel, DeliveredMessage

from storefront.messaging.amqp import AmqpBroker
from storefront.messaging.amqp_connection import ANSWER_TIMEOUT, open_channel_aio
from storefront.messaging.amqp_island import crossing
from storefront.messaging.amqp_message import copied, header

Verdict = Literal["keep", "replay", "drop"]

# What was written on it when it died; a replayed message starts with a clean slate.
_NOTES = frozenset(
    {"exception-type", "exception-message", "exception-stack", "failed-at", "original-destination"}
)
_NOTE_PREFIXES = ("x-storefront-", "x-death", "x-first-death-", "x-last-death-")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One dead letter, without its body: that may hold a payment token or an address.

    Attributes:
        message_id, type: as published.
        reason: why it died, "" where nobody said.
        detail: in more words.
        failed_at: seconds since 1970; 0 where nobody said.
        queue: where it came from, "" where nobody said; then it cannot be replayed.
        size: of the body in bytes.
    """

    message_id: str
    type: str
    reason: str
    detail: str
    failed_at: float
    queue: str
    size: int


class DeadLetters:
    """The queue of dead letters on one broker."""

    def __init__(self, broker: AmqpBroker, queue: str) -> None:
        self._broker = broker
        self._queue = queue

    async def walk(
        self, judge: Callable[[DeadLetter], Verdict], *, limit: int
    ) -> list[tuple[DeadLetter, Verdict]]:
        """Go through the letters from the oldest, at most `limit`, and do with each as judged.

        A letter that cannot be replayed, because nothing says where it came from, is kept.

        Raises:
            BrokerError: the broker is gone, or there is no such queue.
        """
        connection = await self._broker.connected()
        return await crossing(self._walk_aio, connection, judge, limit)

    async def _walk_aio(
        self,
        connection: aio_pika.Connection,
        judge: Callable[[DeadLetter], Verdict],
        limit: int,
    ) -> list[tuple[DeadLetter, Verdict]]:
        channel = await open_channel_aio(connection)
        try:
            underlay = await channel.get_underlay_channel()
            await underlay.queue_declare(self._queue, passive=True, timeout=ANSWER_TIMEOUT)
            found: list[tuple[DeadLetter, Verdict]] = []
            while len(found) < limit:
                message = await underlay.basic_get(self._queue, timeout=ANSWER_TIMEOUT)
                if message.delivery_tag is None:
                    break
                found.append(await self._deal_with_aio(underlay, message, judge))
            return found
        finally:
            # asyncio's side: a cancellation there is thrown once and does not come again.
            await channel.close()  # noqa: ASYNC102 - as just said

    async def _deal_with_aio(
        self,
        channel: AbstractChannel,
        message: DeliveredMessage,
        judge: Callable[[DeadLetter], Verdict],
    ) -> tuple[DeadLetter, Verdict]:
        letter = _letter(message)
        verdict = judge(letter)
        if verdict == "replay" and not letter.queue:
            verdict = "keep"
        if verdict == "replay":
            # Confirmed first: a crash in between leaves a double, which its id makes harmless.
            await channel.basic_publish(
                message.body,
                routing_key=letter.queue,
                properties=_revived(message),
                mandatory=True,
                timeout=ANSWER_TIMEOUT,
            )
        if verdict != "keep":
            await channel.basic_ack(message.delivery_tag or 0)
        return letter, verdict


def _letter(message: DeliveredMessage) -> DeadLetter:
    properties = message.header.properties
    notes = {name: header(value) for name, value in (properties.headers or {}).items()}
    failed_at = notes.get("failed-at")
    return DeadLetter(
        message_id=properties.message_id or "",
        type=properties.message_type or "",
        reason=str(notes.get("x-storefront-reason") or notes.get("exception-type") or ""),
        detail=str(notes.get("exception-message") or ""),
        failed_at=failed_at / 1000 if isinstance(failed_at, int) else 0.0,
        queue=str(notes.get("original-destination") or notes.get("x-first-death-queue") or ""),
        size=len(message.body),
    )


def _revived(message: DeliveredMessage) -> spec.Basic.Properties:
    properties = message.header.properties
    kept = {
        name: value
        for name, value in (properties.headers or {}).items()
        if name not in _NOTES and not name.startswith(_NOTE_PREFIXES)
    }
    return copied(properties, properties.message_id or "", kept)
