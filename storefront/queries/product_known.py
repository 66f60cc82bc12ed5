"""What is known of each SKU, and how good it still is. PURE: callers say what time it is.

Fresh for its life; past AGEING of it it is as good, and may be asked for again; past all of it an
answer is an old one, until it is too old to be shown. That there is no such SKU has a life of its
own, and is no old answer.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Generic, TypeVar

V = TypeVar("V")

# The share of its life after which an answer is asked for again before anybody has to wait.
AGEING = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How long what is known.

    Attributes:
        name: of what is asked for, for errors and metrics.
        fresh: seconds for which an answer is as good as a new one.
        kept: seconds for which it is shown where there is no new one, from when it was asked for.
        negative: seconds for which there is no such SKU.
        within: seconds one question may take.
        patience: seconds to wait for a new answer where an old one is at hand.
        together: SKUs to a question.
        most: SKUs known at once; beyond that what was not wanted for the longest is forgotten.
    """

    name: str
    fresh: float = 300.0
    kept: float = 600.0
    negative: float = 10.0
    within: float = 1.0
    patience: float = 0.25
    together: int = 1
    most: int = 10_000


@dataclass(slots=True)
class Known(Generic[V]):
    """An answer: None for no such SKU. Moments are on Trio's clock."""

    value: V | None
    asked_at: float
    left_alone_until: float = -inf


class Book(Generic[V]):
    """The answers, up to a number of them. Beyond it what was not wanted for the longest is
    forgotten, which costs a question.
    """

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._known: OrderedDict[str, Known[V]] = OrderedDict()
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self._known)

    def fresh(self, sku: str, now: float) -> Known[V] | None:
        """The answer, where it is as good as a new one; it counts as wanted."""
        known = self._known.get(sku)
        if known is None or now - known.asked_at >= self._life(known):
            return None
        self._known.move_to_end(sku)
        return known

    def old(self, sku: str, now: float) -> Known[V] | None:
        """The answer, where it can be shown instead of a new one."""
        known = self._known.get(sku)
        if known is None or known.value is None or now - known.asked_at >= self._terms.kept:
            return None
        return known

    def ages(self, sku: str, now: float) -> bool:
        """Whether what is known of it should be asked for again."""
        known = self._known[sku]
        ages_at = known.asked_at + AGEING * self._life(known)
        return now >= max(ages_at, known.left_alone_until)

    def learn(self, answers: Mapping[str, Known[V]]) -> None:
        """Take answers in place of those before."""
        for sku, known in answers.items():
            self._known[sku] = known
            self._known.move_to_end(sku)
        while len(self._known) > self._terms.most:
            self._known.popitem(last=False)
            self.forgotten += 1

    def leave_alone(self, skus: Iterable[str], until: float) -> None:
        """Ask nobody about these until then, where something is known of them."""
        for sku in skus:
            if sku in self._known:
                self._known[sku].left_alone_until = until

    def _life(self, known: Known[V]) -> float:
        return self._terms.negative if known.value is None else self._terms.fresh
