"""The set of keys in force, and when another one is fetched.

Verifying never waits: it looks at the set in memory, which a task of the back office renews. What
the identity service does wrong (it hangs, answers nonsense, points elsewhere, is not there) leaves
the old set as it was; where there is none yet, nobody can be told from anybody, and nobody is let
in. A key that is not in the set has it fetched again, at most every HOLD seconds, for a rotation
must not need a restart, and a stranger who makes up names of keys must not make us ask.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Never

import structlog
import trio

from storefront.errors import AuthenticationError, DownstreamError, KeysAwayError
from storefront.telemetry.metrics import Reading
from storefront.web.keys_set import KeySet, read_key_set

log = structlog.get_logger(__name__)

# Seconds between two fetches that went well, give or take a tenth so that replicas spread. A key
# that was withdrawn is believed for so long; a new one is asked for when its first token comes.
REFRESH = 300.0
# Seconds between two fetches for the sake of an unknown key (design.md, "Who you are"), and at most
# between two while they fail.
HOLD = 30.0
# Seconds after the first fetch that failed while there is no set at all; doubled up to HOLD.
FIRST_PAUSE = 1.0
# Seconds one fetch may take in all. Nobody waits for it but the task, and ...
FETCH_WITHIN = 5.0
# ... for so many seconds from its beginning those who brought a key that it may hold: a service
# that answers does so in a few hundredths. A fetch that takes longer delays nobody, and after one
# that failed nobody waits at all.
PATIENCE = 0.5


class KeyRing:
    """See the module's docstring. `run` renews; all else looks.

    Args:
        fetch: the set as it is published now; raises DownstreamError. Ended after FETCH_WITHIN.
        algorithms: the signatures that are believed.
    """

    def __init__(self, fetch: Callable[[], Awaitable[bytes]], algorithms: Sequence[str]) -> None:
        self.algorithms = algorithms
        self._fetch = fetch
        self._set: KeySet | None = None
        self._fetched_at = -math.inf
        # One that was never begun counts as about to.
        self._began, self._under_way, self._failures = -math.inf, True, 0
        self._outcomes: Counter[str] = Counter(fetched=0, failed=0)
        # The first wakes the task, the second those who wait for what it fetches.
        self._wanted, self._done = trio.Event(), trio.Event()

    def find(self, kid: str | None, algorithm: str) -> Any:
        """See `Keys.find`."""
        if self._set is None:
            raise KeysAwayError
        key = self._set.find(kid, algorithm)
        if key is not None:
            return key
        if not self._set.knows(kid) and (self._under_way or self._failures):
            # It may be in the set that we have not got.
            raise KeysAwayError
        raise AuthenticationError("the token cannot be verified")

    async def know(self, kid: str | None) -> None:
        """Have a key that is not known fetched, and wait a moment for it where that may help."""
        if self._set is not None and self._set.knows(kid):
            return
        now = trio.current_time()
        if not self._under_way:
            if now - self._began < HOLD:
                return
            # From here on it counts as under way, so that one caller wakes the task and not many.
            self._began, self._under_way = now, True
            self._wanted.set()
        if not self._failures:
            first = now if self._began == -math.inf else self._began
            with trio.move_on_at(first + PATIENCE):
                await self._done.wait()

    async def run(self, *, uniform: Callable[[float, float], float]) -> Never:
        """Fetch, now and then, until cancelled; `uniform` is the chance in it."""
        while True:
            await self._renew()
            with trio.move_on_after(self._pause(uniform)):
                await self._wanted.wait()

    def condition(self) -> str:
        """The keys, for readiness."""
        if self._set is None:
            return "none fetched yet"
        age = trio.current_time() - self._fetched_at
        last = ", the last fetch failed" if self._failures else ""
        return f"{len(self._set.keys)} known, fetched {age:.0f} s ago{last}"

    def readings(self) -> Iterable[Reading]:
        """What is counted, for /metrics."""
        known = 0 if self._set is None else len(self._set.keys)
        yield "storefront_keys", "Keys that a token may be signed with.", {}, known
        name, words = "storefront_keys_fetches_total", "Fetches of the set of keys, by outcome."
        for outcome, count in self._outcomes.items():
            yield name, words, {"outcome": outcome}, count

    async def _renew(self) -> None:
        self._began, self._under_way, self._wanted = trio.current_time(), True, trio.Event()
        try:
            with trio.fail_after(FETCH_WITHIN):
                body = await self._fetch()
            fetched = read_key_set(body, self.algorithms)
        except (DownstreamError, trio.TooSlowError, ValueError) as exc:
            self._failures += 1
            self._outcomes["failed"] += 1
            why = "too slow" if isinstance(exc, trio.TooSlowError) else str(exc)
            log.warning("keys not fetched", reason=why, in_force=self.condition())
        else:
            self._failures = 0
            self._outcomes["fetched"] += 1
            self._settle(fetched)
        finally:
            self._under_way = False
            self._done.set()
            self._done = trio.Event()

    def _settle(self, fetched: KeySet) -> None:
        before = None if self._set is None else {each.kid for each in self._set.keys}
        self._set, self._fetched_at = fetched, trio.current_time()
        if before != {each.kid for each in fetched.keys}:
            log.info("keys", known=len(fetched.keys))

    def _pause(self, uniform: Callable[[float, float], float]) -> float:
        if not self._failures:
            return uniform(0.9 * REFRESH, 1.1 * REFRESH)
        if self._set is not None:
            return HOLD
        return min(HOLD, FIRST_PAUSE * 2.0 ** min(self._failures - 1, 8))
