"""One customer's log in memory: numbering, entries, message ids, generation and facts. PURE.

Callers say what time it is, and make the tokens.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from storefront.domain.facts import Fact, standing
from storefront.domain.positions import Position
from storefront.store.contract import FACT_LIFE, FACTS_KEPT, Entry, Recording, Slice

Facts = dict[tuple[str, str], tuple[float, Fact]]


@dataclass(slots=True)
class Log:
    """All that is kept of one customer; `touched` is when it was last wanted."""

    epoch: str
    touched: float
    seq: int = 0
    entries: deque[Entry] = field(default_factory=deque)
    ids: OrderedDict[str, float] = field(default_factory=OrderedDict)
    generation: str = ""
    facts: Facts = field(default_factory=dict)

    @property
    def head(self) -> Position:
        return Position(self.epoch, self.seq)

    def append(self, recording: Recording, now: float) -> Entry | None:
        """Put the event behind the others; None where its message is known."""
        if recording.message_id in self.ids:
            return None
        self.seq += 1
        self.touched = max(self.touched, now)
        self.ids[recording.message_id] = now
        entry = Entry(
            customer=recording.customer,
            position=self.head,
            payload=recording.payload,
            recorded_at=now,
            traceparent=recording.traceparent,
        )
        self.entries.append(entry)
        for fact in filter(None, (recording.fact, recording.also)):
            self._remember(fact, now)
        return entry

    def since(self, cursor: Position, *, limit: int, max_bytes: int) -> Slice:
        """See `contract.Store.since`; what is too old has been trimmed."""
        after = cursor.seq - (self.seq - len(self.entries))
        if cursor.epoch != self.epoch or not 0 <= after <= len(self.entries):
            return Slice(resumable=False, entries=(), head=self.head)
        entries: list[Entry] = []
        size = 0
        for index in range(after, len(self.entries)):
            size += len(self.entries[index].payload)
            if entries and (size > max_bytes or len(entries) >= limit):
                break
            entries.append(self.entries[index])
        return Slice(resumable=True, entries=tuple(entries), head=self.head)

    def trim(self, now: float, *, window: float, kept_ids: int) -> None:
        """Let go of what is too old. Every entry is let go once, so the cost per event is
        constant.
        """
        while self.entries and now - self.entries[0].recorded_at > window:
            self.entries.popleft()
        while len(self.ids) > kept_ids:
            oldest, at = next(iter(self.ids.items()))
            if now - at <= window:
                break
            del self.ids[oldest]

    def newest_facts(self, now: float) -> Sequence[Fact]:
        """The facts that have not lapsed, newest first."""
        kept = [fact for at, fact in self.facts.values() if now - at <= FACT_LIFE]
        return sorted(kept, key=lambda fact: fact.occurred_at, reverse=True)

    def _remember(self, fact: Fact, now: float) -> None:
        key = (fact.kind, fact.id)
        recorded_at, old = self.facts.get(key, (now, None))
        if now - recorded_at > FACT_LIFE:
            old = None
        kept = standing(fact, old)
        if kept is None:
            return
        self.facts[key] = (now, kept)
        if len(self.facts) > FACTS_KEPT:
            self.facts = {
                key: kept for key, kept in self.facts.items() if now - kept[0] <= FACT_LIFE
            }
        if len(self.facts) > FACTS_KEPT:
            del self.facts[min(self.facts, key=lambda each: self.facts[each][1].occurred_at)]
