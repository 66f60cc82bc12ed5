"""One task that pings every stream 30 s, 60 s, 90 s after it opened, and warns of and ends what is
due.

A wheel with one entry per stream, ordered by when it is next due. `trio_util.periodic` would beat
at ticks of its own and ping up to a tick late; sleeping until the earliest entry is as cheap and
exact. Thousands due at once are served in slices with a checkpoint between them, so no event waits
behind them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from itertools import count

import trio

from storefront.realtime.stream import Stream

# 64 pings cost about a millisecond: the longest that an event waits behind a slice.
SLICE = 64


class Heartbeat:
    """The wheel. A stream that has ended is dropped when its turn comes, one period later at most,
    or when those who have left become the larger part: a client that opens streams without end
    would leave 2 kB here with each.

    Args:
        beaten: called with the streams of each slice once it has been served.
    """

    def __init__(self, beaten: Callable[[Sequence[Stream]], None] = lambda _: None) -> None:
        self._beaten = beaten
        self._wheel: list[tuple[float, int, Stream]] = []
        self._serial = count()
        self._here = 0
        self._sooner = trio.Event()

    def add(self, stream: Stream, now: float) -> None:
        """Have a stream served from now on."""
        self._here += 1
        self._schedule(stream, now)

    def remove_one(self) -> None:
        """One of those who were added has ended, and its response is over."""
        self._here -= 1
        if len(self._wheel) > 2 * self._here + SLICE:
            self._wheel = [due for due in self._wheel if due[2].ended is None]
            heapify(self._wheel)

    def look(self, stream: Stream) -> None:
        """Have now what comes with each beat: whether the stream has heard of everything."""
        self._beaten([stream])

    async def run(self) -> None:
        """Serve the wheel until cancelled."""
        while True:
            self._sooner = trio.Event()
            if not self._wheel:
                await self._sooner.wait()
                continue
            with trio.move_on_at(self._wheel[0][0]):
                await self._sooner.wait()
            await self._serve_due()

    async def _serve_due(self) -> None:
        now = trio.current_time()
        while self._wheel and self._wheel[0][0] <= now:
            served: list[Stream] = []
            while len(served) < SLICE and self._wheel and self._wheel[0][0] <= now:
                _, _, stream = heappop(self._wheel)
                self._schedule(stream, now)
                served.append(stream)
            self._beaten(served)
            await trio.lowlevel.checkpoint()

    def _schedule(self, stream: Stream, now: float) -> None:
        due = stream.beat(now)
        if due is not None:
            if not self._wheel or due < self._wheel[0][0]:
                self._sooner.set()
            heappush(self._wheel, (due, next(self._serial), stream))
