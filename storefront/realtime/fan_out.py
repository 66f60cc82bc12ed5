"""One task that writes to those who are ready, for thousands whose own tasks sleep.

To wake a task for every event and stream is what fan-out on Trio mostly costs, and nearly every
write of an event is one system call that the kernel takes at once. So a stream that has nothing to
do lies down here, and its task stays asleep: what comes for it is written from this one task. Only
what cannot be done at once wakes it: a browser that does not read, a log to be read, an end.

    asleep --something came--> ready --its turn--> written: it sleeps on
                                                or not: its own task goes on

A stream that several events came for before its turn writes them at once. Turns are in order, and
other tasks get theirs after each slice.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

import trio

# Streams served in a row. 32 writes are about a millisecond: the longest that anything else waits.
SLICE = 32


class Sleeper(Protocol):
    """A stream whose task sleeps."""

    def serve(self) -> None:
        """Write what has come, or wake the task if that cannot be done at once."""


class FanOut:
    """Whose turn it is."""

    def __init__(self) -> None:
        self._ready: deque[Sleeper] = deque()
        self._some = trio.Event()

    def add(self, sleeper: Sleeper) -> None:
        """Something came for it. To be called once, until it is served."""
        if not self._ready:
            self._some.set()
        self._ready.append(sleeper)

    async def run(self) -> None:
        """Serve those who are ready until cancelled."""
        while True:
            self._some = trio.Event()
            if not self._ready:
                await self._some.wait()
            for _ in range(min(SLICE, len(self._ready))):
                self._ready.popleft().serve()
            await trio.lowlevel.checkpoint()
