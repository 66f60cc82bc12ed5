"""Views on a shelf in this process, for a store whose generations are there too.

Bounded in bytes: at the bound what was not looked at for the longest goes. What lapsed goes when it
is looked at, or so.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from typing import Generic, Protocol, TypeVar

import trio

from storefront.domain.ids import CustomerId
from storefront.errors import StoreUnavailableError
from storefront.queries.cache_shelf import Keeping
from storefront.telemetry.metrics import Reading

K = TypeVar("K", bound=Hashable)

# What an entry costs beside its own bytes: two objects, a tuple and a place in a dictionary.
OVERHEAD = 400
# No single entry takes more of a shelf than this; it would push out a hundred others.
LARGEST_SHARE = 1 / 8


class Bounded(Generic[K]):
    """Bytes by key, each until its time, all of them together no more than `most` bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._entries: OrderedDict[K, tuple[bytes, float]] = OrderedDict()
        self.bytes = 0
        self.pushed_out = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K, now: float) -> bytes | None:
        """What is kept under the key, now."""
        found = self._entries.get(key)
        if found is None:
            return None
        if now >= found[1]:
            self.drop(key)
            return None
        self._entries.move_to_end(key)
        return found[0]

    def keep(self, key: K, entry: bytes, until: float) -> bool:
        """Keep it until then, in place of what there was; whether it is not too large for that."""
        self.drop(key)
        if len(entry) > self._most * LARGEST_SHARE:
            return False
        self._entries[key] = (entry, until)
        self.bytes += len(entry) + OVERHEAD
        while self.bytes > self._most:
            self.drop(next(iter(self._entries)))
            self.pushed_out += 1
        return True

    def drop(self, key: K) -> None:
        """Let it go, if it is there."""
        found = self._entries.pop(key, None)
        if found is not None:
            self.bytes -= len(found[0]) + OVERHEAD


class Generations(Protocol):
    """What the shelf asks of the store (store/contract.py)."""

    async def generation(self, customer: CustomerId) -> str: ...


class MemoryShelf:
    """See `cache_shelf.Shelf`.

    Args:
        generations: the store, whose `generation` must not wait between its answer and us: what is
            compared and kept here is one step.
        most: bytes of all entries.
    """

    def __init__(self, generations: Generations, *, most: int) -> None:
        self._generations = generations
        self._kept = Bounded[tuple[CustomerId, str]](most)

    async def look(self, customer: CustomerId, key: str) -> tuple[str | None, bytes | None]:
        """See `cache_shelf.Shelf`."""
        try:
            generation = await self._generations.generation(customer)
        except StoreUnavailableError:
            return None, None
        return generation, self._kept.get((customer, key), trio.current_time())

    async def keep(
        self, customer: CustomerId, key: str, generation: str, entry: bytes, seconds: float
    ) -> Keeping:
        """See `cache_shelf.Shelf`."""
        try:
            current = await self._generations.generation(customer)
        except StoreUnavailableError:
            return "unknown"
        if current != generation:
            return "overtaken"
        until = trio.current_time() + seconds
        fits = self._kept.keep((customer, key), entry, until)
        return "kept" if fits else "too large"

    def readings(self) -> Iterable[Reading]:
        """See `cache_shelf.Shelf`."""
        yield "storefront_cache_bytes", "Bytes of views kept in memory.", {}, self._kept.bytes
        yield "storefront_cache_entries", "Views kept in memory.", {}, len(self._kept)
        name, words = "storefront_cache_pushed_out_total", "Views that went because it was full."
        yield name, words, {}, self._kept.pushed_out
