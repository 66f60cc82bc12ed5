"""What stands between us and one service: a deadline, a limiter, a breaker and one retry.

The request's deadline is the cancel scope around the caller, and nothing here outlives it; the
guard's own scopes end an attempt, or the wait for a place, when the caller still has time. The
limiter is no larger than the connection pool, and is held around the whole attempt: that keeps a
cancelled call from leaking its place in the pool (hazards H12), and a slow service from collecting
callers without bound. A caller that leaves hands back its place and its probe, and proves nothing
about the service.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar, TypeVarTuple

import trio

from storefront.downstream import backoff
from storefront.downstream.breaker import Breaker, Outcome, Patience
from storefront.downstream.http import CONNECTIONS
from storefront.downstream.retries import RetryBudget
from storefront.errors import (
    DownstreamAbsentError,
    DownstreamError,
    DownstreamOpenError,
    DownstreamRefusedError,
    DownstreamTimeoutError,
    DownstreamUnavailableError,
)

T = TypeVar("T")
Args = TypeVarTuple("Args")

# A gateway's word for "not reached", or a service's for "not now". A 500 would fail again.
_WORTH_ANOTHER = frozenset({502, 503, 504})
_TOO_MANY = 429


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Our patience with one service.

    Attributes:
        budget: seconds a question may take in all, where the caller's own deadline is not sooner.
        attempt: seconds of it for one attempt, from its place in the limiter on.
        command: seconds a command may take in all.
        places: attempts at the same time; no more than the pool has connections.
        retry_share: of the questions may be asked twice.
        patience: the breaker's numbers.
    """

    budget: float = 2.0
    attempt: float = 0.35
    command: float = 5.0
    places: int = CONNECTIONS
    retry_share: float = 0.1
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardStatistics:
    """How a service has been, from here.

    Attributes:
        state: closed, open or probing.
        in_flight: attempts now.
        waiting: callers who wait for a place now.
        opened: how often the breaker has.
        retries: questions asked twice.
        refused: callers turned away by the open breaker.
        outcomes: attempts by how they ended: answered, failed, unconnected, left.
    """

    state: str
    in_flight: int
    waiting: int
    opened: int
    retries: int
    refused: int
    outcomes: dict[str, int]


class Guard:
    """What every question to one service passes.

    Args:
        service: its name, for errors.
        policy: the numbers.
        uniform: chance, for pauses.
    """

    def __init__(
        self, service: str, policy: Policy, *, uniform: Callable[[float, float], float]
    ) -> None:
        self._service = service
        self._policy = policy
        self._uniform = uniform
        self._limiter = trio.CapacityLimiter(policy.places)
        self._breaker = Breaker(policy.patience, uniform)
        self._retries = RetryBudget(policy.retry_share)
        self._retried = self._refused = 0
        self._outcomes = dict.fromkeys(Outcome, 0)

    async def ask(self, question: Callable[[*Args], Awaitable[T]], *args: *Args) -> T:
        """Ask something that may be asked twice, within the budget and the caller's deadline.

        Raises:
            DownstreamTimeoutError: there was no answer in time.
            DownstreamOpenError: the service is not asked for now.
            DownstreamError: whatever `question` says went wrong.
        """
        until = min(trio.current_time() + self._policy.budget, trio.current_effective_deadline())
        self._retries.asked(trio.current_time())
        try:
            return await self._through(until, self._policy.attempt, question, *args)
        except DownstreamUnavailableError as exc:
            pause = self._pause_before_another(exc, until)
            if pause is None:
                raise
            first = exc
        await trio.sleep(pause)
        self._retried += 1
        try:
            return await self._through(until, self._policy.attempt, question, *args)
        except DownstreamOpenError as exc:
            # It opened meanwhile. What went wrong is what opened it.
            raise first from exc

    async def tell(self, command: Callable[[*Args], Awaitable[T]], *args: *Args) -> T:
        """Have something done, once: whether an attempt that failed was heard, nobody knows.

        Raises:
            DownstreamTimeoutError: there was no answer in time.
            DownstreamOpenError: the service is not asked for now.
            DownstreamError: whatever `command` says went wrong.
        """
        until = trio.current_time() + self._policy.command
        return await self._through(until, self._policy.command, command, *args)

    def statistics(self) -> GuardStatistics:
        """How the service has been."""
        limiter = self._limiter.statistics()
        return GuardStatistics(
            state=self._breaker.state(trio.current_time()).value,
            in_flight=limiter.borrowed_tokens,
            waiting=limiter.tasks_waiting,
            opened=self._breaker.opened,
            retries=self._retried,
            refused=self._refused,
            outcomes={outcome.value: count for outcome, count in self._outcomes.items()},
        )

    async def _through(
        self,
        until: float,
        patience: float,
        question: Callable[[*Args], Awaitable[T]],
        *args: *Args,
    ) -> T:
        # Before the wait, so that nobody queues for a service that is not asked; and again after
        # it, for it may have opened meanwhile. Only then is a probe claimed.
        if self._breaker.refuses(trio.current_time()):
            raise self._not_for_now()
        with trio.move_on_at(until) as waiting:
            await self._limiter.acquire()
        if waiting.cancelled_caught:
            raise DownstreamTimeoutError(self._service, "no place in time", reached=False)
        try:
            return await self._attempt(min(until, trio.current_time() + patience), question, *args)
        finally:
            self._limiter.release()

    async def _attempt(
        self, until: float, question: Callable[[*Args], Awaitable[T]], *args: *Args
    ) -> T:
        admission = self._breaker.admit(trio.current_time())
        if admission is None:
            raise self._not_for_now()
        outcome = Outcome.LEFT
        try:
            with trio.move_on_at(until):
                answer = await question(*args)
                outcome = Outcome.ANSWERED
                return answer
            outcome = Outcome.FAILED
            raise DownstreamTimeoutError(self._service, "no answer in time")
        except (DownstreamRefusedError, DownstreamAbsentError):
            outcome = Outcome.ANSWERED
            raise
        except DownstreamError as exc:
            outcome = Outcome.FAILED if exc.reached else Outcome.UNCONNECTED
            raise
        finally:
            self._outcomes[outcome] += 1
            self._breaker.settle(admission, outcome, trio.current_time())

    def _pause_before_another(self, exc: DownstreamUnavailableError, until: float) -> float | None:
        """Seconds before the one retry; None where there is none."""
        asked_back = exc.status == _TOO_MANY and exc.retry_after is not None
        if not (exc.status is None or exc.status in _WORTH_ANOTHER or asked_back):
            return None
        now = trio.current_time()
        pause = backoff.pause(until - now, exc.retry_after, self._uniform)
        return pause if pause is not None and self._retries.spend(now) else None

    def _not_for_now(self) -> DownstreamOpenError:
        self._refused += 1
        retry_in = self._breaker.retry_in(trio.current_time())
        return DownstreamOpenError(self._service, "not asked for now", retry_in=retry_in)
