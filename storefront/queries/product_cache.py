"""What is the same for everybody: products, and whatever else is asked by SKU.

Known for its life (a product: 5 minutes). Past AGEING of it, whoever asks is answered at once and
the question asked again behind their back, in a nursery of ours; past all of it they wait for the
new answer, but where an old one is at hand only as long as one attempt takes, and after a failure
not at all for a while. That there is no such SKU is known for 10 s. One question per SKU is under
way, whoever wants to know; where the service takes several at once, those that are missing go
together.

In this process and not in Redis: nothing invalidates a product, so there is no truth to share; each
process asks once per SKU and life; and a round trip to Redis costs the loop about as much as the
question itself (hazards H13, H22d), at every line of every cart instead of once in 5 minutes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Generic, TypeVar

import trio

from storefront.errors import DownstreamError, DownstreamTimeoutError
from storefront.queries.parts import Part, Source, State, state_of, together
from storefront.queries.product_known import Book, Known, Terms
from storefront.queries.single_flight import Flight, Flights, twin_of
from storefront.telemetry.metrics import Reading

V = TypeVar("V")

# Questions asked again at the same time; at the bound an answer ages until the next who wants it.
REFRESHES = 10
# Seconds without another question after one that failed, where an old answer is at hand.
LEFT_ALONE = 1.0

# What a flight brings. A failure is settled in it, for one that nobody waits for fails as well.
_Landed = Mapping[str, Known[V]] | DownstreamError


@dataclass(frozen=True, slots=True)
class _Said(Generic[V]):
    """What is said to one who asks: an answer, or why there is none."""

    known: Known[V] | None
    state: State
    trouble: DownstreamError | None = None


@dataclass(slots=True)
class ProductCacheCounts:
    """Counters since the start, by SKU asked for; `refreshes` and `failures` are questions."""

    hits: int = 0
    misses: int = 0
    expired: int = 0
    refreshes: int = 0
    failures: int = 0
    forgotten: int = 0
    known: int = 0
    under_way: int = 0


AskMany = Callable[[Sequence[str]], Awaitable[Mapping[str, V]]]


def one_by_one(ask: Callable[[str], Awaitable[V | None]]) -> AskMany[V]:
    """For a service that takes one SKU to a question."""

    async def answers(skus: Sequence[str]) -> Mapping[str, V]:
        found = {sku: await ask(sku) for sku in skus}
        return {sku: value for sku, value in found.items() if value is not None}

    return answers


class ProductCache(Generic[V]):
    """Answers by SKU. `run` must run beside it.

    Args:
        ask: asks the service; what it knows nothing of is left out.
        terms: how long what.
    """

    def __init__(self, ask: AskMany[V], terms: Terms) -> None:
        self._ask = ask
        self._terms = terms
        self._known: Book[V] = Book(terms)
        self._flights: Flights[str, _Landed[V]] = Flights()
        self._counts = ProductCacheCounts()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry the questions until cancelled."""
        await self._flights.run(task_status=task_status)

    async def part(self, sku: str) -> Part[V]:
        """What is known of it, as a part of a view: never raises for a service that fails."""
        asked_at = trio.current_time()
        return _part((await self._learn([sku]))[sku], asked_at)

    async def parts(self, skus: Iterable[str]) -> Part[Mapping[str, V]]:
        """What is known of them, as one part of a view: what there is not, or nobody says for now,
        is left out, and the worst that is said of any is said of all.
        """
        asked_at = trio.current_time()
        learnt = await self._learn(list(dict.fromkeys(skus)))
        parts = {sku: _part(said, asked_at) for sku, said in learnt.items()}
        known = {sku: part.value for sku, part in parts.items() if part.value is not None}
        said = together(part.source for part in parts.values())
        return Part(known, said or Source("ok", asked_at))

    async def one(self, sku: str) -> V | None:
        """What is known of it; None for no such SKU.

        Raises:
            DownstreamError: the service let us down, and there is no old answer.
        """
        return (await self.many([sku])).get(sku)

    async def many(self, skus: Iterable[str]) -> Mapping[str, V]:
        """What is known of them; what there is not is left out.

        Raises:
            DownstreamError: of one of them nothing is known, and the service let us down.
        """
        found: dict[str, V] = {}
        for sku, said in (await self._learn(list(dict.fromkeys(skus)))).items():
            if said.trouble is not None:
                # One failure may be said to several who ask.
                raise twin_of(said.trouble)
            if said.known is not None and said.known.value is not None:
                found[sku] = said.known.value
        return found

    def statistics(self) -> ProductCacheCounts:
        """How it has been."""
        under_way = self._flights.statistics().under_way
        return replace(
            self._counts,
            forgotten=self._known.forgotten,
            known=len(self._known),
            under_way=under_way,
        )

    def readings(self) -> Iterable[Reading]:
        """The same for /metrics."""
        now, labels = self.statistics(), {"of": self._terms.name}
        for what in ("hits", "misses", "expired", "refreshes", "failures", "forgotten"):
            words = f"Of the caches by SKU: {what}."
            yield f"storefront_products_{what}_total", words, labels, getattr(now, what)
        yield "storefront_products_known", "SKUs that something is known of.", labels, now.known

    async def _learn(self, skus: Sequence[str]) -> Mapping[str, _Said[V]]:
        """Something about each of them."""
        await trio.lowlevel.checkpoint_if_cancelled()
        now = trio.current_time()
        book = self._known
        said = {sku: _Said(known, "cached") for sku in skus if (known := book.fresh(sku, now))}
        self._counts.hits += len(said)
        self._refresh([sku for sku in said if self._ages(sku, now)], now)
        lapsed = [sku for sku in skus if sku not in said]
        if lapsed:
            said |= await self._learn_anew(lapsed, now)
        else:
            await trio.lowlevel.cancel_shielded_checkpoint()
        return said

    async def _learn_anew(self, skus: Sequence[str], now: float) -> Mapping[str, _Said[V]]:
        old = {sku: known for sku in skus if (known := self._known.old(sku, now))}
        asked = [sku for sku in skus if sku not in old or now >= old[sku].left_alone_until]
        answers = await self._asked(asked, now, in_a_hurry=all(sku in old for sku in asked))
        said = {sku: self._said(answers.get(sku), old.get(sku)) for sku in skus}
        self._counts.misses += sum(each.state == "ok" for each in said.values())
        self._counts.expired += sum(each.state == "expired" for each in said.values())
        return said

    def _said(self, answer: Known[V] | DownstreamError | None, old: Known[V] | None) -> _Said[V]:
        if isinstance(answer, Known):
            return _Said(answer, "ok")
        if old is not None:
            return _Said(old, "expired")
        trouble = answer or DownstreamTimeoutError(self._terms.name, "no answer in time")
        return _Said(None, state_of(trouble), trouble)

    async def _asked(
        self, skus: Sequence[str], now: float, *, in_a_hurry: bool
    ) -> Mapping[str, Known[V] | DownstreamError]:
        """What the service says of each; nothing of one that it does not say in time."""
        # With an old answer at hand the question goes on when we do not wait for it any longer.
        flights = self._flying(skus, now, pinned=in_a_hurry)
        answers: dict[str, Known[V] | DownstreamError] = {}
        with ExitStack() as all_of_them:
            for flight in flights.values():
                all_of_them.enter_context(flight.held())
            with trio.move_on_after(self._terms.patience if in_a_hurry else inf):
                for sku, flight in flights.items():
                    with suppress(trio.TooSlowError):
                        landed = await flight.wait()
                        answers[sku] = (
                            landed if isinstance(landed, DownstreamError) else landed[sku]
                        )
        return answers

    def _ages(self, sku: str, now: float) -> bool:
        return not self._flights.under_way(sku) and self._known.ages(sku, now)

    def _refresh(self, skus: Sequence[str], now: float) -> None:
        asked = skus[: (REFRESHES - self._flights.pinned) * self._terms.together]
        if asked:
            self._counts.refreshes += len(asked)
            self._flying(asked, now, pinned=True)

    def _flying(
        self, skus: Sequence[str], now: float, *, pinned: bool
    ) -> Mapping[str, Flight[_Landed[V]]]:
        """A flight for each: one that is under way, or a new one."""
        flights = {sku: flight for sku in skus if (flight := self._flights.find(sku))}
        missing = [sku for sku in skus if sku not in flights]
        for start in range(0, len(missing), self._terms.together):
            chunk = missing[start : start + self._terms.together]
            pinned = pinned and self._flights.pinned < REFRESHES
            fly = partial(self._fetch, chunk, pinned=pinned)
            flight = self._flights.launch(chunk, fly, until=now + self._terms.within, pinned=pinned)
            flights |= dict.fromkeys(chunk, flight)
        return flights

    async def _fetch(self, skus: Sequence[str], *, pinned: bool) -> _Landed[V]:
        asked_at = trio.current_time()
        try:
            values = await self._ask(skus)
        except DownstreamError as exc:
            self._leave_alone(skus)
            return exc
        except trio.Cancelled:
            # Nobody cancels one that is pinned but its own deadline. Of another those who waited
            # have left, which proves nothing.
            if pinned:
                self._leave_alone(skus)
            raise
        answers = {sku: Known(values.get(sku), asked_at) for sku in skus}
        self._known.learn(answers)
        return answers

    def _leave_alone(self, skus: Sequence[str]) -> None:
        self._counts.failures += 1
        self._known.leave_alone(skus, trio.current_time() + LEFT_ALONE)


def _part(said: _Said[V], asked_at: float) -> Part[V]:
    if said.known is None:
        return Part(None, Source(said.state, asked_at))
    return Part(said.known.value, Source(said.state, said.known.asked_at))
