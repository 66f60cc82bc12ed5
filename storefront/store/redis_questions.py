"""What is asked of Redis and what its answers mean, for each thing a store can do. PURE but for the
memory of heads and the tokens.

A question is a list of commands for one exchange, and how to read their replies. Nothing here
waits; RedisStore does the asking.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from storefront.domain.facts import Fact
from storefront.domain.ids import CustomerId, OrderId
from storefront.domain.positions import Position
from storefront.store import redis_codec as codec
from storefront.store.contract import (
    FACT_LIFE,
    FACTS_KEPT,
    HEAD_LEEWAY,
    HEAD_LIFE,
    OWNER_LIFE,
    Entry,
    Recording,
    Slice,
)
from storefront.store.redis_counts import Counts
from storefront.store.redis_heads import Heads, behind
from storefront.store.redis_scripts import Argument, Command, Keys, Scripts, order_key
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

    heads: Mapping[CustomerId, Position]
    to_ask: Sequence[CustomerId]


class Questions:
    """All that can be asked.

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

    def record(self, batch: Sequence[Recording], now: float) -> Question[Sequence[Entry | None]]:
        """One script for each customer of the batch, so that their events keep their order."""
        places: dict[CustomerId, list[int]] = {}
        for place, recording in enumerate(batch):
            places.setdefault(recording.customer, []).append(place)
        commands = [
            self._record_of(customer, [batch[place] for place in mine], now)
            for customer, mine in places.items()
        ]

        def read(replies: Sequence[Reply]) -> Sequence[Entry | None]:
            answers: list[Entry | None] = [None] * len(batch)
            for (customer, mine), reply in zip(places.items(), replies, strict=True):
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
    ) -> Question[Mapping[CustomerId, Position]]:
        """Everybody's head, of a numbering that starts here if there is none."""
        commands = [
            self._scripts.position.call(_log_keys(customer), self._opening(customer, now))
            for customer in customers
        ]

        def read(replies: Sequence[Reply]) -> Mapping[CustomerId, Position]:
            return {
                customer: self.seen(customer, Position(epoch.decode(), int(seq)))
                for customer, (epoch, seq) in zip(customers, replies, strict=True)
            }

        return Question(commands, read)

    def heads(self, customers: Sequence[CustomerId], now: float) -> Question[HeadsFound]:
        """The heads of those who have one; no script, because most have one and it is in order."""
        known = {customer: self._heads.of(customer) for customer in customers}
        commands = []
        for customer in customers:
            key = Keys.of(customer).numbering
            commands.append(Command(key, ("HMGET", key, "epoch", "seq", "touched")))

        def read(replies: Sequence[Reply]) -> HeadsFound:
            heads: dict[CustomerId, Position] = {}
            to_ask = []
            for customer, (epoch, seq, touched) in zip(customers, replies, strict=True):
                if None in (epoch, seq, touched):
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

    def place(self, order: OrderId, customer: CustomerId, now: float) -> Question[None]:
        """Whose order it is, from now on."""
        command = self._scripts.place.call([order_key(order)], [repr(now), customer])
        return Question([command], lambda _: None)

    def owner(self, order: OrderId, now: float) -> Question[CustomerId | None]:
        """Whose order it is."""
        key = order_key(order)

        def read(replies: Sequence[Reply]) -> CustomerId | None:
            placed_at, _, customer = (replies[0] or b"").partition(b" ")
            if not customer or now - float(placed_at) > OWNER_LIFE:
                return None
            return CustomerId(customer.decode())

        return Question([Command(key, ("GET", key))], read)

    def facts(self, customer: CustomerId, now: float) -> Question[Sequence[Fact]]:
        """The facts that have not lapsed, newest first."""
        key = Keys.of(customer).facts

        def read(replies: Sequence[Reply]) -> Sequence[Fact]:
            (found,) = replies
            facts = map(codec.read_fact, found[::2], found[1::2])
            kept = [fact for recorded_at, fact in facts if now - recorded_at <= FACT_LIFE]
            return sorted(kept, key=lambda fact: fact.occurred_at, reverse=True)[:FACTS_KEPT]

        return Question([Command(key, ("HGETALL", key))], read)

    def generation(self, customer: CustomerId) -> Question[str]:
        """The view generation, "" for none."""
        key = Keys.of(customer).numbering
        command = Command(key, ("HGET", key, "generation"))
        return Question([command], lambda replies: (replies[0] or b"").decode())

    def renew_generation(self, customer: CustomerId) -> Question[str]:
        """Another view generation."""
        generation = _token()
        command = self._scripts.renew.call([Keys.of(customer).numbering], [generation])
        return Question([command], lambda _: generation)

    def seen(self, customer: CustomerId, position: Position) -> Position:
        """Remember how far a log has come, and hand the position on."""
        known = self._heads.of(customer)
        if known.epoch not in {"", position.epoch}:
            self._counts.renumbered += 1
        self._heads.note(customer, position)
        return position

    def _record_of(self, customer: CustomerId, mine: Sequence[Recording], now: float) -> Command:
        arguments = self._opening(
            customer, now, _token(), self._channel, codec.customer_bytes(customer)
        )
        for recording in mine:
            arguments += (
                codec.digest(recording.message_id),
                codec.entry_bytes(recording, now),
                *codec.fact_bytes(recording.fact, now),
            )
        return self._scripts.record.call([*_log_keys(customer), Keys.of(customer).facts], arguments)

    def _opening(self, customer: CustomerId, now: float, *rest: Argument) -> list[Argument]:
        """What every script about a log is given, and what this one is given besides."""
        known = self._heads.of(customer)
        # repr: the shortest text that is this very number again, in Lua too.
        return [repr(now), _token(), known.epoch, known.seq, *rest]


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


def _token() -> str:
    """64 random bits, as hexadecimal digits: a position's epoch holds no "-"."""
    return secrets.token_hex(8)
