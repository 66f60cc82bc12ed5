"""A way into Trio for what is not async: Hypothesis's state machines call one rule after another.

Trio runs in a thread of its own as long as the block lasts, so the store stays open between calls.
"""

from __future__ import annotations

import queue
import threading
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Self

import trio


class Portal:
    """An async context manager, opened for one who cannot await. `value` is what it gave."""

    def __init__(self, resource: AbstractAsyncContextManager[Any]) -> None:
        self._resource = resource
        self._ready: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread = threading.Thread(target=trio.run, args=(self._run,))

    async def _run(self) -> None:
        try:
            async with self._resource as value:
                done = trio.Event()
                self._ready.put((value, trio.lowlevel.current_trio_token(), done))
                await done.wait()
        except BaseException as exc:
            self._ready.put(exc)
            raise

    def __enter__(self) -> Self:
        self._thread.start()
        ready = self._ready.get(timeout=30)
        if isinstance(ready, BaseException):
            raise ready
        self.value, self._token, self._done = ready
        return self

    def __exit__(self, *exc: object) -> None:
        trio.from_thread.run_sync(self._done.set, trio_token=self._token)
        self._thread.join(30)

    def call(self, name: str, *args: Any, **options: Any) -> Any:
        """Await a method of the value."""
        method = getattr(self.value, name)
        return trio.from_thread.run(partial(method, *args, **options), trio_token=self._token)
