"""What a service was asked: so that a test can say "exactly once"."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

# Requests kept. Beyond, the oldest are forgotten; `total` goes on counting.
NEWEST = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request as it arrived. Header names are lower case; the query has no question mark."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


class Ledger:
    """The newest 10,000 requests of one service, preflights and its own knobs left out."""

    def __init__(self) -> None:
        self.requests: deque[Asked] = deque(maxlen=NEWEST)
        self.total = 0
        self.in_flight = 0
        self.most_at_once = 0

    @contextmanager
    def writing(self, asked: Asked) -> Iterator[None]:
        """Note a request, and that it is being answered until the block ends."""
        self.requests.append(asked)
        self.total += 1
        self.in_flight += 1
        self.most_at_once = max(self.most_at_once, self.in_flight)
        try:
            yield
        finally:
            self.in_flight -= 1

    def asked(self, path: str, method: str = "GET") -> int:
        """How often this path was asked for, whatever its query."""
        return sum(1 for a in self.requests if a.path == path and a.method == method)

    def forget(self) -> None:
        """Start counting anew; what is in flight stays so."""
        self.requests.clear()
        self.total = 0
        self.most_at_once = self.in_flight
