"""`storefront dead-letters`: what nobody could read or place, for a person at a terminal.

Bodies are never shown: an OrderPlaced carries a payment token and a street address.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial

import trio

from storefront.messaging.amqp import AmqpBroker, visit_broker
from storefront.messaging.amqp_dead_letters import DeadLetter, DeadLetters, Verdict
from storefront.settings import MessagingSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which letters are meant; what is not given does not narrow."""

    ids: frozenset[str] = frozenset()
    reason: str | None = None
    kind: str | None = None

    def means(self, letter: DeadLetter) -> bool:
        """Whether this letter is one of them."""
        return (
            (not self.ids or letter.message_id in self.ids)
            and self.reason in {None, letter.reason}
            and (self.kind is None or letter.type.endswith(self.kind))
        )


def deal_with(
    settings: MessagingSettings, url: str, choice: Choice, verdict: Verdict, *, limit: int
) -> list[tuple[DeadLetter, Verdict]]:
    """Go through at most `limit` letters and do with the chosen ones as said.

    Returns:
        the chosen letters, each with what was done: one that cannot be replayed is kept.

    Raises:
        BrokerError: RabbitMQ cannot be reached, or has no such queue.
    """
    chosen: list[DeadLetter] = []
    walk = partial(_walk, settings, _judge(choice, verdict, chosen), limit)
    walked = trio.run(visit_broker, url, walk)
    return [(letter, done) for letter, done in walked if letter in chosen]


def told(letters: list[tuple[DeadLetter, Verdict]], *, as_json: bool) -> list[str]:
    """A line per letter."""
    if as_json:
        return [json.dumps(asdict(letter) | {"done": done}) for letter, done in letters]
    return [
        f"{_moment(letter.failed_at)}  {letter.message_id or '(no id)'}  "
        f"{letter.type or '(no type)'}  {letter.reason or '(no reason)'}  {letter.detail}  [{done}]"
        for letter, done in letters
    ]


def _judge(
    choice: Choice, verdict: Verdict, chosen: list[DeadLetter]
) -> Callable[[DeadLetter], Verdict]:
    def judge(letter: DeadLetter) -> Verdict:
        if not choice.means(letter):
            return "keep"
        chosen.append(letter)
        return verdict

    return judge


async def _walk(
    settings: MessagingSettings,
    judge: Callable[[DeadLetter], Verdict],
    limit: int,
    broker: AmqpBroker,
) -> list[tuple[DeadLetter, Verdict]]:
    return await DeadLetters(broker, settings.dead_letter_queue).walk(judge, limit=limit)


def _moment(seconds: float) -> str:
    if not seconds:
        return "(no moment)         "
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
