"""One serial queue per key with work in hand: in order per key, keys in parallel.

A queue exists only while it has work, so an idle customer costs nothing. What bounds them all
together is the dispatcher, which takes no more deliveries than it may have in hand.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import trio

K = TypeVar("K")
Job = Callable[[], Awaitable[None]]


class SerialQueues(Generic[K]):
    """Jobs, one after the other per key. A job settles its expected errors itself; what it lets
    out is a bug, and takes the process down.
    """

    def __init__(self) -> None:
        self._waiting: dict[K, deque[Job]] = {}
        self._nursery: trio.Nursery

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Work until cancelled."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await trio.sleep_forever()

    def busy(self, key: K) -> bool:
        """Whether something of this key is in hand; then what comes must queue behind it."""
        return key in self._waiting

    def put(self, key: K, job: Job) -> None:
        """Have the job done after all that was put before under its key."""
        if key in self._waiting:
            self._waiting[key].append(job)
        else:
            self._waiting[key] = deque([job])
            self._nursery.start_soon(self._serve, key)

    async def _serve(self, key: K) -> None:
        jobs = self._waiting[key]
        while jobs:
            await jobs[0]()
            jobs.popleft()
        del self._waiting[key]
