"""What a store promises, as plain as it can be said: nothing is ever thrown away, nothing cached.

Where the contract leaves a store free, the model takes the store's answer for its own, after a look
at whether that was allowed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from storefront.domain.facts import Fact
from storefront.domain.positions import Position
from storefront.store.contract import FACT_LIFE, HEAD_LEEWAY, HEAD_LIFE, OWNER_LIFE, Entry, Slice
from tests.store.kit import KEPT_IDS, WINDOW


@dataclass
class Log:
    """One numbering of one customer."""

    epoch: str
    touched: float
    entries: list[Entry] = field(default_factory=list)
    ids: list[tuple[str, float]] = field(default_factory=list)

    @property
    def head(self) -> Position:
        return Position(self.epoch, len(self.entries))


class Model:
    """Says of each answer of a store whether it was right, by assertion."""

    def __init__(self) -> None:
        self.logs: dict[str, Log] = {}
        self.facts: dict[str, list[tuple[float, Fact]]] = {}
        self.owners: dict[str, tuple[str, float]] = {}
        self.epochs: set[str] = set()

    def log(self, customer: str, epoch: str, now: float) -> Log:
        """The customer's log after a question that was answered with this epoch."""
        log = self.logs.get(customer)
        age = None if log is None else now - log.touched
        if age is not None and age <= HEAD_LIFE:
            assert log is not None
            assert epoch == log.epoch, "a numbering was let go before its time"
        elif log is None or age is None or age > HEAD_LIFE + HEAD_LEEWAY or epoch != log.epoch:
            assert epoch not in self.epochs, "an old epoch came back"
            self.epochs.add(epoch)
            log = self.logs[customer] = Log(epoch, now)
        log.touched = now
        return log

    def recorded(self, recording, answer: Entry | None, now: float) -> None:
        log = self.logs.get(recording.customer)
        if answer is None:
            assert log is not None
            assert recording.message_id in [known for known, _ in log.ids], "an event was lost"
            return
        log = self.log(recording.customer, answer.position.epoch, now)
        must_know = log.ids[-KEPT_IDS:] + [each for each in log.ids if now - each[1] <= WINDOW]
        assert recording.message_id not in [known for known, _ in must_know], (
            "a repetition was recorded"
        )
        expected = Entry(
            customer=recording.customer,
            position=Position(log.epoch, len(log.entries) + 1),
            payload=recording.payload,
            recorded_at=now,
            traceparent=recording.traceparent,
        )
        assert answer == expected
        log.entries.append(answer)
        log.ids.append((recording.message_id, now))
        for fact in filter(None, (recording.fact, recording.also)):
            self.facts.setdefault(recording.customer, []).append((now, fact))

    def read(
        self, customer: str, cursor: Position, found: Slice, *, now: float, limit: int, size: int
    ) -> None:
        log = self.log(customer, found.head.epoch, now)
        assert found.head == log.head
        after = log.entries[cursor.seq :]
        may = cursor.epoch == log.epoch and (
            cursor == log.head or (after and now - after[0].recorded_at <= WINDOW)
        )
        assert found.resumable == bool(may)
        if not may:
            assert list(found.entries) == []
            return
        assert list(found.entries) == after[: len(found.entries)]
        sizes = [sum(len(entry.payload) for entry in after[:n]) for n in range(1, len(after) + 1)]
        fitting = sum(total <= size for total in sizes[:limit])
        assert len(found.entries) == max(fitting, min(1, len(after)))

    def heads(self, found, customers, now: float) -> None:
        for customer in customers:
            log = self.logs.get(customer)
            if customer in found:
                assert log is not None
                assert self.log(customer, found[customer].epoch, now).head == found[customer]
            else:
                assert log is None or now - log.touched > HEAD_LIFE

    def known_facts(self, customer: str, found, now: float) -> None:
        standing: dict[tuple[str, str], tuple[float, Fact]] = {}
        for at, fact in self.facts.get(customer, []):
            old = standing.get((fact.kind, fact.id))
            if old is not None and at - old[0] > FACT_LIFE:
                old = None
            newer, older = fact, old[1] if old else None
            if older is not None and fact.occurred_at < older.occurred_at:
                newer, older = older, fact
                if older.detail is None or newer.detail is not None:
                    continue
            detail = newer.detail or (older.detail if older else None)
            standing[fact.kind, fact.id] = (at, replace(newer, detail=detail))
        alive = [fact for at, fact in standing.values() if now - at <= FACT_LIFE]
        moments = [fact.occurred_at for fact in found]
        assert moments == sorted(moments, reverse=True)
        assert sorted(map(repr, found)) == sorted(map(repr, alive))

    def placed(self, order: str, customer: str, now: float) -> None:
        if self.owner(order, now) is None:
            self.owners[order] = (customer, now)

    def owner(self, order: str, now: float) -> str | None:
        customer, at = self.owners.get(order, (None, now))
        return customer if now - at <= OWNER_LIFE else None
