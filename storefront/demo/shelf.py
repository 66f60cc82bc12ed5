"""A dictionary that remembers only its newest entries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from storefront.demo.refusals import NotFoundError

K = TypeVar("K")
V = TypeVar("V")

# A demo that runs for weeks must not grow; a load test of a thousand customers must not notice.
NEWEST = 10_000


class Shelf(Generic[K, V]):
    """Entries by key. When it is full the oldest entry goes, and is from then on unknown: a 404."""

    def __init__(self, what: str, capacity: int = NEWEST) -> None:
        self._what = what
        self._capacity = capacity
        self._entries: dict[K, V] = {}

    def put(self, key: K, entry: V) -> None:
        """Add a new entry; the oldest makes room. Keys are never put twice."""
        self._entries[key] = entry
        if len(self._entries) > self._capacity:
            del self._entries[next(iter(self._entries))]

    def get(self, key: K) -> V:
        """The entry.

        Raises:
            NotFoundError: there is none, or it was too old to keep.
        """
        try:
            return self._entries[key]
        except KeyError:
            raise NotFoundError(f"{self._what} not found") from None

    def find(self, key: K) -> V | None:
        return self._entries.get(key)

    def newest_first(self) -> Iterator[V]:
        return reversed(self._entries.values())

    def __contains__(self, key: K) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)
