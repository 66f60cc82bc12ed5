"""The Storefront's lives in a demo: it may be sent off and comes back, and its neighbours stay.

    live --restart()--> leaving, as at SIGTERM --> away for a moment --> live, its memory empty
    live --stop-->      leaving                --> over

The next life knows what this one wrote down.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

# Seconds between two lives: long enough to be seen.
AWAY = 2.0

# Runs the Storefront until the event is set and everybody has left.
Live = Callable[[trio.Event], Awaitable[None]]


class Lives:
    """One life after another, until `stop`."""

    def __init__(self, stop: trio.Event) -> None:
        self._stop = stop
        self._over = trio.Event()

    def restart(self) -> None:
        """Have this life end, and another one begin. While it is ending it changes nothing."""
        self._over.set()

    async def run(self, live: Live) -> None:
        """Live until `stop` is set."""
        while not self._stop.is_set():
            self._over = trio.Event()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._end_with_the_last, self._over)
                await live(self._over)
                nursery.cancel_scope.cancel()
            with trio.move_on_after(AWAY):
                await self._stop.wait()

    async def _end_with_the_last(self, over: trio.Event) -> None:
        await self._stop.wait()
        over.set()
