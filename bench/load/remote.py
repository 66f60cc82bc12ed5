"""The publisher, as a scenario speaks to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.children import Child
from bench.measure.samples import Column, read
from bench.servers.subject import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Messages `first` and following: when each was due, sent, confirmed; in hand, where a peer
    said so.
    """

    first: int
    due: Column
    sent: Column
    in_hand: Column | None
    refused: int
    unconfirmed: int
    latest: float  # ms that the most belated message was sent after it was due

    @property
    def count(self) -> int:
        return len(self.due)


class Publisher:
    """A connection to one subject."""

    def __init__(self, child: Child, folder: Path) -> None:
        self._child = child
        self._folder = folder
        self._files = 0
        self.published = 0

    async def connect(self, subject: Subject, customers: int, **more: object) -> None:
        """Publish to this one from now on, its customers in turn."""
        self.published = 0
        await self._child.ask("connect", **(subject.trigger(customers).order | more))

    async def publish(self, count: int, *, rate: float) -> Published:
        """So many more messages, evenly spread."""
        self._files += 1
        file = str(self._folder / f"published-{self._files}")
        first = self.published
        found = await self._child.ask(
            "run", within=count / rate + 60, first=first, count=count, rate=rate, file=file
        )
        self.published += count
        columns = read(file)
        return Published(
            first=first,
            due=columns["due"],
            sent=columns["sent"],
            in_hand=columns.get("in_hand"),
            refused=found["refused"],
            unconfirmed=count - found["confirmed"],
            latest=found["latest"],
        )


__all__ = ["Published", "Publisher"]
