"""When what cannot be done yet is tried again, and what is written on a message meanwhile. Pure.

*Answered but unknown* counts: ten attempts within ten minutes, then it is a dead letter.
*Unreachable* does not count: it is not the message's fault, and waits up to a day.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from storefront.messaging.broker import Delivery

ATTEMPTS = "x-storefront-attempts"
WAITING_SINCE = "x-storefront-waiting-since"
TURNS = "x-storefront-turns"

# Seconds before each further attempt, each of them one of broker.DELAYS; together 552 s.
AFTER_UNKNOWN = (1, 1, 5, 5, 30, 30, 120, 120, 120, 120)
AFTER_UNREACHABLE = (1, 5, 5, 30)
LONGEST_WAIT = 24 * 3600.0

# Seconds between two questions to a log, or to a broker, that is away for a moment.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0


def pauses() -> Iterator[float]:
    """0.1 s, doubling to 5 s, without an end."""
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(pause * 2, LONGEST_PAUSE)


@dataclass(frozen=True, slots=True)
class Retry:
    """Come back after `seconds`, with `notes` among the headers."""

    seconds: int
    notes: Mapping[str, str | int]


def after_unknown(delivery: Delivery) -> Retry | None:
    """The next attempt for an order that nobody knows; None when there were enough."""
    made = _number(delivery, ATTEMPTS)
    if made >= len(AFTER_UNKNOWN):
        return None
    return Retry(AFTER_UNKNOWN[made], {ATTEMPTS: made + 1})


def after_unreachable(delivery: Delivery, now: float) -> Retry | None:
    """The next try while a service is away; None when it has been away for a day."""
    since = _number(delivery, WAITING_SINCE) or int(now)
    if now - since > LONGEST_WAIT:
        return None
    turn = _number(delivery, TURNS)
    seconds = AFTER_UNREACHABLE[min(turn, len(AFTER_UNREACHABLE) - 1)]
    return Retry(seconds, {WAITING_SINCE: since, TURNS: turn + 1})


def dead_letter_notes(
    delivery: Delivery, reason: str, words: str, now: float
) -> dict[str, str | int]:
    """Why it is a dead letter, in Wolverine's own header names (contracts.md section 4.5)."""
    return {
        "x-storefront-reason": reason,
        "exception-type": reason,
        "exception-message": words,
        "failed-at": int(now * 1000),
        "original-destination": delivery.queue,
    }


def _number(delivery: Delivery, header: str) -> int:
    value = delivery.headers.get(header, 0)
    return value if isinstance(value, int) and value >= 0 else 0
