"""How often two things happened lately: PURE, and of one size however often they did."""

from __future__ import annotations

from collections import deque

# The window moves on in so many steps; what leaves it leaves a step at a time.
_STEPS = 10


class Window:
    """Counts of two kinds over the last so many seconds, the kind being False or True."""

    def __init__(self, seconds: float) -> None:
        self._step = seconds / _STEPS
        self._counts: deque[tuple[int, list[int]]] = deque()

    def add(self, now: float, kind: bool) -> None:
        """It happened."""
        step = self._forget(now)
        if not self._counts or self._counts[-1][0] != step:
            self._counts.append((step, [0, 0]))
        self._counts[-1][1][kind] += 1

    def counts(self, now: float) -> tuple[int, int]:
        """How often each happened."""
        self._forget(now)
        return sum(one[0] for _, one in self._counts), sum(one[1] for _, one in self._counts)

    def clear(self) -> None:
        """Nothing ever happened."""
        self._counts.clear()

    def _forget(self, now: float) -> int:
        step = int(now // self._step)
        while self._counts and self._counts[0][0] <= step - _STEPS:
            self._counts.popleft()
        return step
