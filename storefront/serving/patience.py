"""How long a write waits for its browser.

A write is at most SLICE bytes; larger bodies are several, each with its own deadline. So the
deadline asks for a rate, not for a size: 16 KiB in 10 s is a browser at 1.6 KiB/s, and one that is
slower than that, or grants a byte now and then, is treated like one that does not read at all. From
the moment a drain begins no deadline lies beyond its end, those of the writes already waiting
included.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from storefront.serving.drain import Drain
from storefront.serving.watch import ServingWatch

# One HTTP/2 frame, one TLS record, and what Trio's TCP_NOTSENT_LOWAT lets wait in the kernel.
SLICE = 16 * 1024


class Patience:
    """The deadlines of all waits of one server's writes; a write that need not wait has none."""

    def __init__(self, seconds: float, drain: Drain, watch: ServingWatch) -> None:
        self.seconds = seconds
        self._drain = drain
        self._watch = watch
        self._waits: set[trio.CancelScope] = set()

    @contextmanager
    def waiting(
        self, seconds: float | None = None, *, shield: bool = False, counted: bool = True
    ) -> Iterator[trio.CancelScope]:
        """A scope for one wait; `cancelled_caught` afterwards means that patience ran out.

        Not `counted` when it is not known that there is anything to wait for.
        """
        seconds = self.seconds if seconds is None else seconds
        deadline = min(trio.current_time() + seconds, self._drain.ends_at)
        self._watch.sends_blocked += counted
        self._watch.sends_blocked_total += counted
        with trio.CancelScope(deadline=deadline, shield=shield) as scope:
            self._waits.add(scope)
            try:
                yield scope
            finally:
                self._waits.discard(scope)
                self._watch.sends_blocked -= counted

    def hurry(self) -> None:
        """Bring every wait inside the drain; to be called whenever its end moves."""
        for scope in self._waits:
            scope.deadline = min(scope.deadline, self._drain.ends_at)
