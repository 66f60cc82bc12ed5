"""Up to the rate at which a subject falls behind, and back between the last two for a closer look.

A rate is kept up with when, of the second half of its messages, 99 % arrive within half a second of
being due. One who falls behind by a tenth has a queue of that length after a few seconds, and never
gets rid of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import numpy as np

from bench.scenarios.measuring import Stretch

WITHIN = 500_000_000  # nanoseconds
SHARE = 0.99

Step = Callable[[float], Awaitable[Stretch]]


def kept_up(found: Stretch, expected: int) -> bool:
    """Whether a stretch was kept up with; what never came counts as late."""
    count = len(found.published.due)
    half = int(found.published.due[count // 2])
    due = found.arrivals.when - found.delays
    later = found.delays[due >= half]
    wanted = expected * (count - count // 2) / count
    return bool(np.count_nonzero(later <= WITHIN) >= SHARE * wanted)


async def climb(
    step: Step, rates: Sequence[float], expected: Callable[[Stretch], int], *, looks: int
) -> tuple[float, list[tuple[float, bool, Stretch]]]:
    """The highest rate kept up with (0 for none), and every step: rate, kept up, what was found."""
    steps: list[tuple[float, bool, Stretch]] = []
    best, too_much = 0.0, 0.0
    for rate in rates:
        found = await step(rate)
        held = kept_up(found, expected(found))
        steps.append((rate, held, found))
        if not held:
            too_much = rate
            break
        best = rate
    for _ in range(looks if best and too_much else 0):
        rate = (best * too_much) ** 0.5
        found = await step(rate)
        held = kept_up(found, expected(found))
        steps.append((rate, held, found))
        best, too_much = (rate, too_much) if held else (best, rate)
    return best, steps
