"""How many questions may be asked twice: PURE.

A retry helps against one broken connection and harms a service that is drowning, so it is a share
of the questions lately asked, and never more, however many fail.
"""

from __future__ import annotations

from storefront.downstream.window import Window

# Seconds over which the share is reckoned.
_LATELY = 10.0
# So many in that time are always allowed, or a quiet service's first question could never be.
_FLOOR = 3


class RetryBudget:
    """A share of the questions of the last ten seconds; a share of 0 means none at all."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._lately = Window(_LATELY)  # False: a question; True: a retry

    def asked(self, now: float) -> None:
        """A question came, whatever becomes of it."""
        self._lately.add(now, False)

    def spend(self, now: float) -> bool:
        """Whether one may be asked again; if so, it is counted."""
        questions, retries = self._lately.counts(now)
        allowed = max(_FLOOR, int(self._share * questions)) if self._share else 0
        if retries >= allowed:
            return False
        self._lately.add(now, True)
        return True
