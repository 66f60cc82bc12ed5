"""When to stop asking a service that keeps failing, and when to try again: PURE.

    CLOSED --(half of at least 20 attempts in 10 s failed, or 5 in a row never connected)--> OPEN
    OPEN --(pause over)--> PROBING, for three callers; all others are refused
    PROBING --three answered--> CLOSED, the pause is short again
    PROBING --one failed--> OPEN, the pause doubled
    PROBING --one left--> PROBING, its probe to be had again

Nothing here waits, reads a clock or draws a lot: the caller says what time it is. That, and LEFT,
is why it is our own. Of the libraries that were tried, purgatory counts a Trio cancellation as a
failure of the service, the asynchronous parts of pybreaker and hyx do not run on Trio, and
circuitbreaker reads a clock that no test can move. None hands a probe back when its caller leaves,
and a probe kept is a service never asked again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from storefront.downstream.window import Window

# A pause is drawn from this much to either side, so that our processes do not return together.
_JITTER = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """When to lose it, and for how long.

    Attributes:
        share: of the attempts failed, at which it opens...
        calls: ... once there were so many...
        window: ... in so many seconds.
        connections: failures to connect in a row, at which it opens as well.
        pause: seconds open, give or take a fifth; doubled with every probe that fails...
        longest: ... up to this.
        probes: must be answered for it to close; no more are out at a time.
    """

    share: float = 0.5
    calls: int = 20
    window: float = 10.0
    connections: int = 5
    pause: float = 5.0
    longest: float = 60.0
    probes: int = 3


class State(Enum):
    """Whether the service is asked."""

    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"


class Outcome(Enum):
    """How an attempt ended."""

    ANSWERED = "answered"  # a 404 and any other no included
    FAILED = "failed"
    UNCONNECTED = "unconnected"  # failed before it was heard
    LEFT = "left"  # its caller did not stay to see: that says nothing about the service


@dataclass(frozen=True, slots=True)
class Admission:
    """Leave for one attempt, to be settled once. One from before a change of state counts for
    nothing.
    """

    era: int


class Breaker:
    """One service's breaker.

    Args:
        patience: the numbers.
        uniform: chance, for the pauses.
    """

    def __init__(self, patience: Patience, uniform: Callable[[float, float], float]) -> None:
        self._patience = patience
        self._uniform = uniform
        self._state = State.CLOSED
        self._era = 0
        self._attempts = Window(patience.window)
        self._unconnected = 0
        self._pause = patience.pause
        self._until = 0.0
        self._out = 0
        self._proved = 0
        self.opened = 0

    def state(self, now: float) -> State:
        """As the next caller would find it."""
        if self._state is State.OPEN and now >= self._until:
            return State.PROBING
        return self._state

    def retry_in(self, now: float) -> float:
        """Seconds until somebody may try."""
        return max(0.0, self._until - now) if self._state is State.OPEN else 0.0

    def refuses(self, now: float) -> bool:
        """Whether a caller of now would be refused; claims nothing."""
        if self._state is State.PROBING:
            return not self._probe_left()
        return self.state(now) is State.OPEN

    def admit(self, now: float) -> Admission | None:
        """Leave for an attempt that begins now; None: not now."""
        if self.refuses(now):
            return None
        if self._state is State.OPEN:
            self._turn(State.PROBING)
            self._out = self._proved = 0
        if self._state is State.PROBING:
            self._out += 1
        return Admission(self._era)

    def settle(self, admission: Admission, outcome: Outcome, now: float) -> None:
        """The attempt is over."""
        if admission.era != self._era:
            return
        if self._state is State.PROBING:
            self._out -= 1
            self._settle_probe(outcome, now)
        elif outcome is not Outcome.LEFT:
            self._settle_attempt(outcome, now)

    def _settle_attempt(self, outcome: Outcome, now: float) -> None:
        self._attempts.add(now, outcome is not Outcome.ANSWERED)
        self._unconnected = self._unconnected + 1 if outcome is Outcome.UNCONNECTED else 0
        good, bad = self._attempts.counts(now)
        often = good + bad >= self._patience.calls and bad >= self._patience.share * (good + bad)
        # Looked at after a failure only: an answer is no moment to stop asking.
        if outcome is not Outcome.ANSWERED and (
            often or self._unconnected >= self._patience.connections
        ):
            self._open(now)

    def _settle_probe(self, outcome: Outcome, now: float) -> None:
        if outcome is Outcome.ANSWERED:
            self._proved += 1
            if self._proved >= self._patience.probes:
                self._turn(State.CLOSED)
                self._pause = self._patience.pause
        elif outcome is not Outcome.LEFT:
            self._open(now)

    def _open(self, now: float) -> None:
        self._turn(State.OPEN)
        self.opened += 1
        self._until = now + self._pause * self._uniform(1 - _JITTER, 1 + _JITTER)
        self._pause = min(self._pause * 2, self._patience.longest)

    def _turn(self, state: State) -> None:
        self._state = state
        self._era += 1
        self._attempts.clear()
        self._unconnected = 0

    def _probe_left(self) -> bool:
        return self._out + self._proved < self._patience.probes
