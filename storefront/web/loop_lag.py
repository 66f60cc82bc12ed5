"""How late the loop is, and when that is too late to answer queries.

A task sleeps and looks how late it was woken: whatever else waits on this loop, a ping or an event
on its way to a browser, was as late. One long moment is none: what counts is the lag smoothed over
the samples, each of which has as much weight as all before it.

    CALM     --(smoothed lag above the limit)------> STRAINED
    STRAINED --(smoothed lag below half of it)-----> CALM

Nothing is measured while nobody wants to know: a process without queries, and whose metrics nobody
reads, sleeps. Whoever reads them every minute has them without a gap.

The half is what keeps it from being both by turns while the queries that wait come in.
"""

from __future__ import annotations

import structlog
import trio

log = structlog.get_logger(__name__)

# Seconds between samples. A loop that is always late is strained after three of them with a lag a
# fifth above the limit, and after one that is twice as late.
EVERY = 0.1
# Seconds for which the lag is measured after somebody wanted to know: the longest usual pause
# between two looks at the metrics.
WATCH = 60.0


class LoopLag:
    """Measures the lag. Before `run` there is none.

    Args:
        limit: seconds; see above.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self.seconds = 0.0  # smoothed
        self.strained = False
        self._until = 0.0
        self._wanted = trio.Event()

    def watch(self) -> None:
        """Somebody wants to know: measure for a while."""
        self._until = trio.current_time() + WATCH
        self._wanted.set()

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted = trio.Event()
            while trio.current_time() < self._until or self.strained:
                due = trio.current_time() + EVERY
                await trio.sleep_until(due)
                self.note(trio.current_time() - due)

    def note(self, late: float) -> None:
        """Take a sample: seconds by which a task was woken too late."""
        self.seconds = (self.seconds + late) / 2
        strained = self.seconds > (self._limit / 2 if self.strained else self._limit)
        if strained != self.strained:
            self.strained = strained
            log.warning("shedding queries" if strained else "answering queries", lag=self.seconds)
