"""When to leave a Redis alone that was in trouble. PURE: callers say what time it is.

    WORKING --trouble--> RESTING --pause over--> ONE may try --answer--> WORKING
                            ^----------------------trouble------'

A view can do without its cache, but not with waiting for one that is gone: one reader a second pays
for finding out, and the others ask the services at once.
"""

from __future__ import annotations

# Seconds. A second of cold views is what the services have to bear at every start anyway.
PAUSE = 1.0


class Rest:
    """One Redis's trouble, as this process has met it."""

    def __init__(self) -> None:
        self._until: float | None = None
        self._trying = False
        self.begun = 0

    def may_ask(self, now: float) -> bool:
        """Whether to ask it; of those who come after a pause only the first may, and must tell of
        it with `over`, `trouble` or `left`.
        """
        if self._until is None:
            return True
        if now < self._until or self._trying:
            return False
        self._trying = True
        return True

    def over(self) -> None:
        """It answered."""
        self._until, self._trying = None, False

    def trouble(self, now: float) -> None:
        """It did not."""
        self.begun += self._until is None
        self._until, self._trying = now + PAUSE, False

    def left(self) -> None:
        """Whoever asked was cancelled and knows nothing: the next one may try."""
        self._trying = False
