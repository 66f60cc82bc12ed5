"""When to leave a Redis alone that was in trouble. PURE: callers say what time it is.

    WORKING --trouble--> RESTING --pause over--> ONE may try --answer--> WORKING
                            ^----------------------trouble------'

A view can do without its cache, but not with waiting for one that is gone: one reader a second pays
for finding out, and the others ask the services at once. And who has keys on one server of a
cluster can do without those whose keys are on another, that is gone.
"""

from __future__ import annotations

# Seconds. A second of cold views is what the services have to bear at every start anyway.
PAUSE = 1.0
# Seconds between two tries of a server of a cluster that hangs, once it was tried in vain twice.
# Whoever asks others in the same exchange waits with it for ANSWER_WITHIN each time.
LONGEST_PAUSE = 4.0
# Seconds for which what a server said or did not say is news. Longer than any pause.
NEWS = 6.0


class Rest:
    """One Redis's trouble, as this process has met it. `longest`: what the pause may grow to."""

    def __init__(self, *, longest: float = PAUSE) -> None:
        self._longest = longest
        self._pause = PAUSE
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
        self._until, self._trying, self._pause = None, False, PAUSE

    def trouble(self, now: float) -> None:
        """It did not."""
        self.begun += self._until is None
        if self._trying:
            self._pause = min(self._pause * 2, self._longest)
        self._until, self._trying = now + self._pause, False

    def left(self) -> None:
        """Whoever asked was cancelled and knows nothing: the next one may try."""
        self._trying = False


class Standing:
    """How one server of a cluster stands; `why` is what ailed it last."""

    def __init__(self) -> None:
        self.why: BaseException | None = None
        self._rest = Rest(longest=LONGEST_PAUSE)
        self._missed = False
        self._ails_until = 0.0

    def may_ask(self, now: float) -> bool:
        """See Rest; whoever asks must tell of it with `answered`, `gone` or `left`."""
        return self._rest.may_ask(now)

    def ails(self, now: float) -> bool:
        """Whether it was of no use when it was asked last, lately."""
        return now < self._ails_until

    def answered(self) -> None:
        """It did, whatever."""
        self._rest.over()
        self._missed, self._ails_until = False, 0.0

    def said_no(self, why: BaseException, now: float) -> None:
        """It answered that it cannot, for its own sake: nothing is gained by not asking it."""
        self.why, self._ails_until = why, now + NEWS

    def gone(self, why: BaseException, now: float) -> None:
        """It did not answer. Once may be this process's own fault, which was too busy to hear it;
        twice, with no answer in between, and it is left alone.
        """
        if self._missed:
            self._rest.trouble(now)
        self._missed, self.why, self._ails_until = True, why, now + NEWS

    def left(self) -> None:
        """Whoever asked was cancelled, and knows nothing."""
        self._rest.left()
