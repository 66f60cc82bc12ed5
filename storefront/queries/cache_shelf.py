"""What the view cache asks of a shelf, whichever it is: in this process (memory_shelf.py), for what
is everybody's too, or in Redis (store/redis_shelf.py). No shelf is made here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Protocol

import trio

from storefront.domain.ids import CustomerId
from storefront.telemetry.metrics import Reading

# What became of an entry that was to be kept. `too large` for the shelf: the generation is the one
# its reading began under, and nothing is kept. `overtaken`: it is another. `unknown`: nobody can
# say, and nothing is known to be kept. Words and no Enum, for the shelf in Redis is in a room that
# knows nothing of this one.
Keeping = Literal["kept", "too large", "overtaken", "unknown"]


def stands_after(keeping: Keeping) -> bool | None:
    """Whether no event came since the reading began; None where nobody can say."""
    return None if keeping == "unknown" else keeping != "overtaken"


class Shelf(Protocol):
    """Where entries lie.

    It never raises for trouble of its own: a shelf that is away is one on which nothing lies.
    """

    async def look(self, customer: CustomerId, key: str) -> tuple[str | None, bytes | None]:
        """The customer's generation, and what is kept under the key; a generation of None is not
        known, and then there is no entry either.
        """
        ...

    async def keep(
        self, customer: CustomerId, key: str, generation: str, entry: bytes, seconds: float
    ) -> Keeping:
        """Keep an entry so long, if the customer's generation is the one its reading began under,
        and say what became of it.
        """
        ...

    def readings(self) -> Iterable[Reading]:
        """What it counts, for /metrics."""
        ...


class Still:
    """The generation of what no event is about."""

    async def generation(self, _customer: CustomerId) -> str:
        await trio.lowlevel.checkpoint()
        return ""
