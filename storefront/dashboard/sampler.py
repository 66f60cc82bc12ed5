"""The task that looks at this process and hears of the others, and those who watch.

Every second while somebody watches, in whichever process, and every five else: what it keeps of the
last quarter of an hour is that much coarser, and a shop that nobody watches costs nothing to speak
of. A watcher is handed the newest picture and is never waited for: whoever is slow misses pictures.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import msgspec
import trio

from storefront.dashboard import merging, reports
from storefront.dashboard.board import Board
from storefront.dashboard.pictures import Picture, Point, picture, point
from storefront.dashboard.reports import Counts, Process, Report
from storefront.errors import StorefrontError
from storefront.telemetry.metrics import Reading

# Seconds between two looks, while somebody watches and while nobody does.
QUICK, SLOW = 1.0, 5.0
# Seconds for which a report is true: until the next one, and a moment. A process that died is shown
# for so long.
LIFE = SLOW + 2.0
# The last quarter of an hour, second by second; at the bound the oldest goes. 0.3 MB.
POINTS = 900
# Looks whose histograms make up the last minute.
MINUTE = 60
# In this process, and each costs a frame of some kB a second. At the bound one more is told `busy`.
MOST_WATCHERS = 20
# Reports that are put together: of more processes there is no use in one page.
MOST_PROCESSES = 128

Chore = Callable[[], Awaitable[object]]


class TooManyWatchersError(StorefrontError):
    """There are as many as there may be."""


class Dashboard:
    """See the module. `run` must run beside it.

    Args:
        me: which process this is.
        readings: its metrics.
        board: where the other processes are heard.
        clock: seconds since 1970.
        chores: what has to be found out before the metrics are read; each bounds itself.

    Attributes:
        newest: the last picture as JSON; b"" before the first.
        changed: set, and replaced, with each picture, and at the end.
        closed: nobody is to wait for another one.
    """

    def __init__(
        self,
        me: Process,
        readings: Callable[[], Iterable[Reading]],
        board: Board,
        *,
        clock: Callable[[], float],
        chores: Sequence[Chore] = (),
    ) -> None:
        self.newest = b""
        self.changed = trio.Event()
        self.closed = False
        self._me = me
        self._readings = readings
        self._board = board
        self._clock = clock
        self._chores = chores
        self._points: deque[Point] = deque(maxlen=POINTS)
        self._minute: deque[tuple[float, Counts]] = deque(maxlen=MINUTE)
        self._before: dict[str, Report] = {}
        self._watchers = 0
        self._watched = False
        self._came = trio.Event()

    async def run(self, stopping: trio.Event) -> None:
        """Look until cancelled; from `stopping` on nobody watches any more."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._close_when, stopping)
            while True:
                looked = trio.current_time()
                await self._look()
                await trio.sleep_until(looked + QUICK)
                with trio.move_on_at(looked + SLOW):
                    while not (self._watched or self._watchers):
                        await self._came.wait()

    @property
    def worker(self) -> int:
        """The number of this process, 0 where there are none."""
        return self._me.worker

    def check_room(self) -> None:
        """Raises:
        TooManyWatchersError: there is no room for another watcher.
        """
        if self._watchers >= MOST_WATCHERS:
            raise TooManyWatchersError

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Somebody watches.

        Raises:
            TooManyWatchersError: one too many.
        """
        self.check_room()
        self._watchers += 1
        self._came.set()
        try:
            yield
        finally:
            self._watchers -= 1
            if not self._watchers:
                self._came = trio.Event()

    def history(self) -> bytes:
        """The points of the last quarter of an hour as JSON, the oldest first."""
        return msgspec.json.encode(list(self._points))

    def readings(self) -> Iterable[Reading]:
        """For /metrics."""
        yield "storefront_dashboard_watchers", "Dashboards open now.", {}, self._watchers
        words = "Processes that were heard of in the last look."
        yield "storefront_dashboard_processes", words, {}, len(self._before)

    async def _look(self) -> None:
        for chore in self._chores:
            await chore()
        now = self._clock()
        mine = reports.report(self._me, now, self._readings())
        heard = await self._board.exchange(
            reports.written(mine),
            now=now,
            life=LIFE,
            watching=self._watchers > 0,
        )
        self._watched = heard.watched
        others = [each for each in map(reports.read, heard.others[:MOST_PROCESSES]) if each]
        self._show(self._put_together(now, [mine, *others], alone=heard.away))

    def _put_together(self, at: float, told: list[Report], *, alone: bool) -> Picture:
        now = merging.together(told)
        lately = merging.since(self._before, told)
        self._before = {each.process.name: each for each in told}
        self._minute.append((at, lately.counts))
        newest = point(at, now, lately)
        self._points.append(newest)
        told.sort(key=lambda each: (each.process.worker, each.process.name))
        return picture(newest, now, self._last_minute(at), told, alone=alone)

    def _last_minute(self, at: float) -> Counts:
        found: dict[str, Counter[int]] = {}
        for moment, counts in self._minute:
            if at - moment < MINUTE:
                for key, buckets in counts.items():
                    found.setdefault(key, Counter()).update(dict(enumerate(buckets)))
        return {key: [count[n] for n in sorted(count)] for key, count in found.items()}

    def _show(self, newest: Picture) -> None:
        self.newest = msgspec.json.encode(newest)
        self._announce()

    async def _close_when(self, stopping: trio.Event) -> None:
        await stopping.wait()
        self.closed = True
        self._announce()

    def _announce(self) -> None:
        self.changed.set()
        self.changed = trio.Event()
