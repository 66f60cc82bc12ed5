"""One question on its way for all who want its answer.

The first to ask starts a flight, the others wait for the same one. A flight lives in a nursery of
its own (`run`) and under its own deadline, so whoever asked first may leave without failing those
who came later: nobody has to notice that the lead has passed on. The last to leave ends it, and
what is being asked is cancelled: nobody pays for an answer that nobody waits for. A follower that
has less time than the flight is ended by its own scope.

There are never more flights than callers and `launch`es, both of which their callers bound. Where
nobody runs the flights (before the start, and while the process leaves) everybody asks for himself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog
import trio

from storefront.errors import DownstreamError

log = structlog.get_logger(__name__)

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
E = TypeVar("E", bound=Exception)

Fly = Callable[[], Awaitable[T]]


class Flight(Generic[T]):
    """One question under way. Made by `Flights`."""

    def __init__(
        self, fly: Fly[T], until: float, *, pinned: bool, leave: Callable[[], None]
    ) -> None:
        self._fly = fly
        self._until = until
        self._leave = leave
        self._scope = trio.CancelScope(deadline=until)
        self._landed = trio.Event()
        self._waiting = 0
        self._pinned = pinned
        # One of the three where it has landed; else it was cancelled from above.
        self._answers: list[T] = []
        self._error: Exception | None = None
        self._too_slow = False

    async def fly(self) -> None:
        """Ask, and keep whatever comes of it for those who wait."""
        try:
            with self._scope:
                self._answers.append(await self._fly())
            self._too_slow = not self._answers
        except Exception as exc:  # those who wait raise its like, each in his own task
            self._error = exc
            if not (self._waiting or isinstance(exc, DownstreamError)):
                log.exception("a question that nobody waited for died of a bug")
        finally:
            self._land()

    def abandon(self) -> None:
        """Nobody will fly it."""
        self._land()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Count as one who waits for it; the last to leave ends it."""
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            if not (self._waiting or self._pinned or self._landed.is_set()):
                # Nobody may join it any more: it ends without an answer.
                self._leave()
                self._scope.cancel()

    async def wait(self) -> T:
        """The answer.

        Raises:
            TooSlowError: the flight's own deadline came first.
            Exception: whatever went wrong under way.
        """
        with self.held():
            await self._landed.wait()
        if self._answers:
            return self._answers[0]
        if self._error is not None:
            raise twin_of(self._error)
        if self._too_slow:
            raise trio.TooSlowError
        # Cancelled with the nursery. Within the time that is left, everybody for himself.
        with trio.fail_at(self._until):
            return await self._fly()

    def _land(self) -> None:
        self._leave()
        self._landed.set()


def twin_of(error: E) -> E:
    """The same error for one more who raises it, with the traceback it has so far.

    Raised by several, one and the same would have the frames of them all on its traceback, the
    context of whoever raised it last, and everybody's notes.
    """
    try:
        twin = copy(error)
    except Exception:  # noqa: BLE001 - whatever its maker says to arguments that are none of its own
        # What it is, is in these two.
        twin = type(error).__new__(type(error), *error.args)
        twin.__dict__.update(error.__dict__)
    # What its maker made of them may be more words than they were.
    twin.args = error.args
    if hasattr(error, "__notes__"):
        twin.__notes__ = list(error.__notes__)
    twin.__cause__, twin.__context__ = error.__cause__, error.__context__
    twin.__suppress_context__ = error.__suppress_context__
    return twin.with_traceback(error.__traceback__)


@dataclass(frozen=True, slots=True)
class FlightStatistics:
    """How it has been. `flights` were started, `joined` callers found one under way."""

    under_way: int
    flights: int
    joined: int


class Flights(Generic[K, T]):
    """The questions under way, by what is asked; so many of them `pinned`."""

    def __init__(self) -> None:
        self._by_key: dict[K, Flight[T]] = {}
        self._nursery: trio.Nursery | None = None
        self._started = self._joined = 0
        self.pinned = 0

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry the flights until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._nursery = None

    def find(self, key: K) -> Flight[T] | None:
        """The flight that answers this, if there is one to join."""
        flight = self._by_key.get(key)
        self._joined += flight is not None
        return flight

    def under_way(self, key: K) -> bool:
        """Whether this is being asked."""
        return key in self._by_key

    def launch(
        self, keys: Sequence[K], fly: Fly[T], *, until: float, pinned: bool = False
    ) -> Flight[T]:
        """Start one; nobody may be waiting for it yet.

        Args:
            keys: what it answers, at least one; none of them is under way.
            fly: asks.
            until: its deadline, on Trio's clock.
            pinned: whether it goes on although nobody waits.
        """

        def leave() -> None:
            if self._by_key.get(keys[0]) is flight:
                self.pinned -= pinned
                for key in keys:
                    del self._by_key[key]

        flight = Flight(fly, until, pinned=pinned, leave=leave)
        self._started += 1
        self.pinned += pinned
        self._by_key |= dict.fromkeys(keys, flight)
        if self._nursery is None:
            flight.abandon()
        else:
            self._nursery.start_soon(flight.fly)
        return flight

    def statistics(self) -> FlightStatistics:
        """How it has been."""
        return FlightStatistics(len(set(self._by_key.values())), self._started, self._joined)
