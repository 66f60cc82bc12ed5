"""What is asked of Redis about customers' logs, and what its answers mean. PURE but for the memory
of heads and the tokens.

A question is a list of commands for one exchange, and how to read their replies. Nothing here
waits; RedisStore does the asking.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from storefront.domain.ids import CustomerId
from storefront.domain.positions import Position
from storefront.store import redis_codec as codec
from storefront.store.contract import (
    HEAD_LEEWAY,
    HEAD_LIFE,
    Entry,
    Recording,
    Refused,
    Slice,
    stamped,
)
from storefront.store.redis_counts import Counts
from storefront.store.redis_heads import Heads, behind
from storefront.store.redis_scripts import Argument, Command, Keys, Scripts
from storefront.store.redis_server import Reply

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Question(Generic[T_co]):
    """Commands, at most one on the keys of each customer, and what their replies say.

    `read` raises ValueError for what we did not write.
    """

    commands: Sequence[Command]
    read: Callable[[Sequence[Reply]], T_co]


@dataclass(frozen=True, slots=True)
class HeadsFound:
    """Heads, and whose script must be run: they are behind, or asked for after a long time."""

    heads: Mapping[CustomerId, Position | Refused]
    to_ask: Sequence[CustomerId]


class LogQuestions:
    """All that can be asked about logs.

    Args:
        scripts: the scripts, for the contract's window and number of ids.
        heads: what this process knows of the customers' heads.
        counts: what is counted.
        channel: what events are announced on.
    """

    def __init__(self, scripts: Scripts, heads: Heads, counts: Counts, channel: str) -> None:
        self._scripts = scripts
        self._heads = heads
        self._counts = counts
        self._channel = channel

    def record(
        self, batch: Sequence[Recording], now: float
    ) -> Question[Sequence[Entry | Refused | None]]:
        """One script for each customer of the batch, so that their events keep their order."""
        places: dict[CustomerId, list[int]] = {}
        for place, recording in enumerate(batch):
            places.setdefault(recording.customer, []).append(place)
        commands = [
            self._record_of(customer, [batch[place] for place in mine], now)
            for customer, mine in places.items()
        ]

        def read(replies: Sequence[Reply]) -> Sequence[Entry | Refused | None]:
            answers: list[Entry | Refused | None] = [None] * len(batch)
            for (customer, mine), reply in zip(places.items(), replies, strict=True):
                if isinstance(reply, Refused):
                    for place in mine:
                        answers[place] = reply
                    continue
                announced, epoch, *numbers = reply.decode().split(" ")
                self._counts.unannounced += announced == "0"
                for place, seq in zip(mine, map(int, numbers), strict=True):
                    if seq:
                        answers[place] = entry = _entry(batch[place], Position(epoch, seq), now)
                        self.seen(customer, entry.position)
            return answers

        return Question(commands, read)

    def since(
        self, customer: CustomerId, cursor: Position, *, now: float, limit: int, max_bytes: int
    ) -> Question[Slice]:
        """What follows a cursor."""
        limits = (cursor.epoch, cursor.seq, max(limit, 1), max_bytes)
        command = self._scripts.since.call(
            _log_keys(customer), self._opening(customer, now, *limits)
        )

        def read(replies: Sequence[Reply]) -> Slice:
            ((resumable, epoch, seq, *entries),) = replies
            return Slice(
                resumable=resumable == b"1",
                entries=tuple(
                    codec.read_entry(customer, Position(cursor.epoch, number), data)
                    for number, data in enumerate(entries, start=cursor.seq + 1)
                ),
                head=self.seen(customer, Position(epoch.decode(), int(seq))),
            )

        return Question([command], read)

    def positions(
        self, customers: Sequence[CustomerId], now: float
    ) -> Question[Mapping[CustomerId, Position | Refused]]:
        """Everybody's head, of a numbering that starts here if there is none."""
        commands = [
            self._scripts.position.call(_log_keys(customer), self._opening(customer, now))
            for customer in customers
        ]

        def read(replies: Sequence[Reply]) -> Mapping[CustomerId, Position | Refused]:
            heads: dict[CustomerId, Position | Refused] = {}
            for customer, reply in zip(customers, replies, strict=True):
                if isinstance(reply, Refused):
                    heads[customer] = reply
                else:
                    epoch, seq = reply
                    heads[customer] = self.seen(customer, Position(epoch.decode(), int(seq)))
            return heads

        return Question(commands, read)

    def heads(self, customers: Sequence[CustomerId], now: float) -> Question[HeadsFound]:
        """The heads of those who have one; no script, because most have one and it is in order."""
        known = {customer: self._heads.of(customer) for customer in customers}
        commands = []
        for customer in customers:
            key = Keys.of(customer).numbering
            question = ("HMGET", key, "epoch", "seq", "touched")
            commands.append(Command(key, question, refusable=True))

        def read(replies: Sequence[Reply]) -> HeadsFound:
            heads: dict[CustomerId, Position | Refused] = {}
            to_ask = []
            for customer, reply in zip(customers, replies, strict=True):
                if isinstance(reply, Refused):
                    heads[customer] = reply
                    continue
                epoch, seq, touched = reply
                if None in reply:
                    continue
                age = now - float(touched)
                if age > HEAD_LIFE + HEAD_LEEWAY:
                    continue
                head = Position(epoch.decode(), int(seq))
                if age > HEAD_LEEWAY or behind(head, known[customer]):
                    to_ask.append(customer)
                heads[customer] = self.seen(customer, head)
            return HeadsFound(heads, to_ask)

        return Question(commands, read)

    def seen(self, customer: CustomerId, position: Position) -> Position:
        """Remember how far a log has come, and hand the position on."""
        known = self._heads.of(customer)
        if known.epoch not in {"", position.epoch}:
            self._counts.renumbered += 1
        self._heads.note(customer, position)
        return position

    def _record_of(self, customer: CustomerId, mine: Sequence[Recording], now: float) -> Command:
        arguments = self._opening(
            customer, now, stamped(token(), now), self._channel, codec.customer_bytes(customer)
        )
        for recording in mine:
            arguments += (
                codec.digest(recording.message_id),
                codec.entry_bytes(recording, now),
                *codec.fact_bytes(recording.fact, now),
                *codec.fact_bytes(recording.also, now),
            )
        return self._scripts.record.call([*_log_keys(customer), Keys.of(customer).facts], arguments)

    def _opening(self, customer: CustomerId, now: float, *rest: Argument) -> list[Argument]:
        """What every script about a log is given, and what this one is given besides."""
        known = self._heads.of(customer)
        # repr: the shortest text that is this very number again, in Lua too.
        return [repr(now), token(), known.epoch, known.seq, *rest]


def _log_keys(customer: CustomerId) -> list[str]:
    keys = Keys.of(customer)
    return [keys.numbering, keys.log, keys.ids]


def _entry(recording: Recording, position: Position, now: float) -> Entry:
    return Entry(
        customer=recording.customer,
        position=position,
        payload=recording.payload,
        recorded_at=now,
        traceparent=recording.traceparent,
    )


def token() -> str:
    """64 random bits, as hexadecimal digits: a position's epoch holds no "-"."""
    return secrets.token_hex(8)
