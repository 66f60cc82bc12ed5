"""A deadline and a limiter around every question to one service.

The limiter is no larger than the connection pool, and is held around the whole call: that keeps a
cancelled call from leaking its place in the pool (hazards H12), and a slow service from collecting
callers without bound. A caller that leaves proves nothing about the service.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar, TypeVarTuple

import trio

from storefront.downstream.http import CONNECTIONS
from storefront.errors import DownstreamTimeoutError

T = TypeVar("T")
Args = TypeVarTuple("Args")


class Guard:
    """What every question to one service passes.

    Args:
        service: its name, for errors.
        budget: seconds a question may take, waiting for the limiter included.
    """

    def __init__(self, service: str, *, budget: float) -> None:
        self._service = service
        self._budget = budget
        self._limiter = trio.CapacityLimiter(CONNECTIONS)

    async def call(self, ask: Callable[[*Args], Awaitable[T]], *args: *Args) -> T:
        """Ask, within the budget.

        Raises:
            DownstreamTimeoutError: there was no answer in time.
            DownstreamError: whatever `ask` says went wrong.
        """
        try:
            with trio.fail_after(self._budget):
                async with self._limiter:
                    return await ask(*args)
        except trio.TooSlowError as exc:
            raise DownstreamTimeoutError(
                self._service, f"no answer within {self._budget:g} s"
            ) from exc

    @property
    def waiting(self) -> int:
        """How many callers wait for a place."""
        return self._limiter.statistics().tasks_waiting
