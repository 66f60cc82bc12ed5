"""A question's outcome: a value, or a hole with its reason. Expected failures end here.

A composer asks in a nursery; a DownstreamError that left a child task would cancel its siblings and
come out as a group (hazards H7), so it becomes a `Part` inside the child.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar, TypeVarTuple

import trio

from storefront.domain.ids import CustomerId
from storefront.errors import (
    DownstreamAbsentError,
    DownstreamError,
    DownstreamOpenError,
    DownstreamTimeoutError,
    StoreUnavailableError,
)

T = TypeVar("T")
V = TypeVar("V")
Args = TypeVarTuple("Args")

# ok: asked just now. cached, expired: from the cache, within and past its freshness. timeout,
# error, open: no answer, a wrong one, or not asked because the breaker is open. absent: nobody
# offers this question.
State = Literal["ok", "cached", "expired", "timeout", "error", "open", "absent"]

# With these a view is not whole. A service that does not exist is nothing missing.
HOLES: frozenset[State] = frozenset({"timeout", "error", "open"})

# Where a service was asked several questions, the worst answer is what is said of it.
_FROM_GOOD_TO_BAD: tuple[State, ...] = (
    "ok",
    "cached",
    "expired",
    "absent",
    "open",
    "timeout",
    "error",
)


@dataclass(frozen=True, slots=True)
class Source:
    """What to say of one service's share in a view.

    Attributes:
        state: how it answered.
        asked_at: when, on Trio's clock; of an answer from a cache, when that was asked for.
    """

    state: State
    asked_at: float


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """A service's answer, or None with the reason why there is none."""

    value: T | None
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed(Generic[V]):
    """A view and what it was made of.

    Attributes:
        view: None where there is no such thing, or none for the reader.
        owner: whose it is; None for what is everybody's, or nobody's. An owner without a view is
            somebody whose it is and who is not the reader.
        sources: by the service's name in the settings.
    """

    view: V | None
    owner: CustomerId | None
    sources: Mapping[str, Source]

    @property
    def complete(self) -> bool:
        """Whether nothing is missing from it."""
        return not any(source.state in HOLES for source in self.sources.values())


async def settle(question: Callable[[*Args], Awaitable[T | None]], *args: *Args) -> Part[T]:
    """Ask, and take a failure for what it is worth: a hole. None is an answer."""
    asked_at = trio.current_time()
    try:
        return Part(await question(*args), Source("ok", asked_at))
    except (DownstreamError, StoreUnavailableError) as exc:
        return Part(None, Source(state_of(exc), asked_at))


async def insist(
    deadline: float, service: str, question: Callable[[*Args], Awaitable[T]], *args: *Args
) -> tuple[T, Source]:
    """Ask the service without which there is no view.

    Args:
        deadline: until when, on Trio's clock.
        service: its name in the settings.
        question: what, and `args` of what.
        args: the question's.

    Raises:
        DownstreamError: it let us down.
    """
    asked_at = trio.current_time()
    with trio.move_on_at(deadline):
        return await question(*args), Source("ok", asked_at)
    raise DownstreamTimeoutError(service, "no answer before the view's deadline")


def state_of(error: DownstreamError | StoreUnavailableError) -> State:
    """What a failure says of its source."""
    if isinstance(error, DownstreamTimeoutError):
        return "timeout"
    if isinstance(error, DownstreamOpenError):
        return "open"
    if isinstance(error, DownstreamAbsentError):
        return "absent"
    return "error"


def together(sources: Iterable[Source]) -> Source | None:
    """What to say of a service that was asked several questions: the worst state, the oldest
    moment; None of one that was asked nothing.
    """
    said = list(sources)
    if not said:
        return None
    worst = max(said, key=lambda source: _FROM_GOOD_TO_BAD.index(source.state))
    return Source(worst.state, min(source.asked_at for source in said))
