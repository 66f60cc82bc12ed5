"""Leaving, as one small object between those who decide it and those who write to browsers.

    serving --begin(seconds)--> draining --close_listeners()--> closing

`begin` is the moment from which no write may outlast the drain and no connection is used again;
`close_listeners` the one from which nobody new comes in. Both never wait, and both may come twice.
"""

from __future__ import annotations

import math

import trio
from trio_util import AsyncValue


class Drain:
    """When the service must be gone, and who waits to hear of it. Needs a running Trio."""

    def __init__(self) -> None:
        self._ends_at: AsyncValue[float] = AsyncValue(math.inf)
        self._closing = trio.Event()

    def __repr__(self) -> str:
        state = "closing" if self.closing else "draining" if self.begun else "serving"
        return f"<Drain {state}>"

    @property
    def begun(self) -> bool:
        return self.ends_at < math.inf

    @property
    def closing(self) -> bool:
        return self._closing.is_set()

    @property
    def ends_at(self) -> float:
        """The end on Trio's clock; infinite while nobody has begun."""
        return float(self._ends_at.value)

    def begin(self, seconds: float) -> None:
        """Give every write at most `seconds` from now.

        A later call may bring the end nearer (a second SIGTERM: `begin(0)`), never push it away.
        """
        self._ends_at.value = min(self.ends_at, trio.current_time() + max(0.0, seconds))

    def close_listeners(self) -> None:
        """Let nobody new in. Without a `begin` before it, no time is left for anything else."""
        if not self.begun:
            self.begin(0)
        self._closing.set()

    async def wait_begun(self) -> None:
        await self.wait_nearer(math.inf)

    async def wait_closing(self) -> None:
        await self._closing.wait()

    async def wait_nearer(self, known: float) -> float:
        """Wait until the end is nearer than `known`; returns the new end."""
        return float(await self._ends_at.wait_value(lambda end: end < known))
