"""A question's outcome: a value, or a hole with its reason. Expected failures end here.

A composer asks in a nursery; a DownstreamError that left a child task would cancel its siblings and
come out as a group (hazards H7), so it becomes a `Part` inside the child.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from storefront.domain.ids import CustomerId

T = TypeVar("T")
V = TypeVar("V")

# ok: asked just now. cached, expired: from the cache, within and past its freshness. timeout,
# error, open: no answer, a wrong one, or not asked because the breaker is open. absent: nobody
# offers this question.
State = Literal["ok", "cached", "expired", "timeout", "error", "open", "absent"]

# With these a view is not whole. A service that does not exist is nothing missing.
HOLES: frozenset[State] = frozenset({"timeout", "error", "open"})


@dataclass(frozen=True, slots=True)
class Source:
    """What to say of one service's share in a view.

    Attributes:
        state: how it answered.
        age_ms: milliseconds since it was asked.
    """

    state: State
    age_ms: int = 0


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """A service's answer, or None with the reason why there is none."""

    value: T | None
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed(Generic[V]):
    """A view and what it was made of.

    Attributes:
        view: None where the owning service says that there is no such thing.
        owner: whose it is; None for what is everybody's, or nobody's.
        sources: by the service's name in the settings.
    """

    view: V | None
    owner: CustomerId | None
    sources: Mapping[str, Source]

    @property
    def complete(self) -> bool:
        """Whether nothing is missing from it."""
        return not any(source.state in HOLES for source in self.sources.values())
