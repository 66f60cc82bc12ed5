"""The crowd and the askers, as a scenario speaks to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from bench.children import Child
from bench.measure.samples import Column, read
from bench.measure.sequence import Faults
from bench.servers.subject import Subject

OPEN_WITHIN = 120.0  # seconds for all of a crowd to be answered
TRIES = 10
PAUSE = 0.5  # seconds before somebody who was sent away comes again
POLL = 0.05  # seconds between two looks at how many have arrived


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramp:
    """How the streams came in: `waits` in nanoseconds from connect to the first frame."""

    answered: int
    seconds: float
    waits: Column
    ended: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """What arrived since the mark: stream, number, moment; and what all of it came to."""

    who: Column
    what: Column
    when: Column
    faults: Faults
    summary: dict[str, Any] = field(default_factory=dict)


class Crowd:
    """The streams of one subject."""

    def __init__(self, child: Child, folder: Path) -> None:
        self._child = child
        self._folder = folder
        self._files = 0
        self._subject: Subject | None = None
        self._receive_buffer = 0
        self.streams = 0
        self.customers = 0
        self.complaints: list[str] = []

    async def enter(
        self, subject: Subject, streams: int, *, customers: int, receive_buffer: int = 0
    ) -> None:
        """Who they are, before any connects."""
        self._subject, self.streams, self.customers = subject, streams, customers
        self._receive_buffer = receive_buffer
        requests = self._folder / "requests"
        lines = (request.hex() for request in subject.requests(streams, customers))
        requests.write_text("\n".join(lines) + "\n")
        found = await self._child.ask("enter", count=streams, requests=str(requests))
        self.complaints = [found["complaint"]] if found["complaint"] else []

    async def settle(self, *, within: float = OPEN_WITHIN) -> None:
        """Connect everybody, and those who were sent away again, as browsers do. A complaint tells
        that it was needed.
        """
        ramp = await self.open(within=within)
        sent_away = 0
        for _ in range(TRIES):
            await trio.sleep(PAUSE)
            missing = self.streams - (await self._child.ask("count"))["open"]
            if not missing:
                break
            sent_away += missing
            ramp = await self.open(within=within)
        if sent_away:
            words = f"sent away at first, and came again: {sent_away} ({ramp.ended})"
            self.complaints.append(words)

    async def open(self, *, window: int = 500, within: float = OPEN_WITHIN) -> Ramp:
        """Connect those who are not; those who were here before come with their cursors."""
        assert self._subject is not None
        file = self._file("opened")
        found = await self._child.ask(
            "open",
            within=within + 10,
            host=self._subject.host,
            port=self._subject.port,
            opening_frame=self._subject.opening_frame,
            receive_buffer=self._receive_buffer,
            window=window,
            patience=within,
            file=file,
        )
        columns = read(file)
        return Ramp(
            answered=found["answered"],
            seconds=found["seconds"],
            waits=columns["opened"] - columns["begun"],
            ended=found["ended"],
        )

    async def mark(self) -> None:
        """Arrivals count from here."""
        await self._child.ask("mark")

    async def until(self, events: int, *, within: float) -> bool:
        """Wait until so many have arrived since the mark; False where they did not."""
        ends_at = trio.current_time() + within
        # No scope around the question: an answer that nobody waits for any more would be the next
        # one's.
        while (await self._child.ask("count"))["events"] < events:
            if trio.current_time() > ends_at:
                return False
            await trio.sleep(POLL)
        return True

    async def collect(self, due: int | Sequence[int]) -> Arrivals:
        """What arrived, held against what each stream was due in all."""
        file = self._file("arrived")
        listed = due if isinstance(due, int) else list(due)
        found = await self._child.ask("collect", within=60, due=listed, file=file)
        faults = Faults(found["lost"], found["doubled"], found["disordered"])
        columns = read(file)
        return Arrivals(
            who=columns["who"],
            what=columns["what"],
            when=columns["when"],
            faults=faults,
            summary=found,
        )

    async def stop_reading(self, every: int) -> int:
        """Have each n-th stream read no more; how many that is."""
        return int((await self._child.ask("stop-reading", every=every))["stopped"])

    async def leave(self) -> None:
        """Hang up, all of them; they keep their cursors and what they have seen."""
        await self._child.ask("leave", within=60)

    def due(self, total: int) -> list[int]:
        """How many of `total` messages, one customer after the other, each stream is due."""
        return [
            (total + self.customers - 1 - n % self.customers) // self.customers
            for n in range(self.streams)
        ]

    def share(self, total: int) -> int:
        """Arrivals of `total` messages from the first on, over all streams."""
        return sum(self.due(total))

    def _file(self, name: str) -> str:
        self._files += 1
        return str(self._folder / f"{name}-{self._files}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a run of questions came to; the columns are of one row each, in order of their
    answers.
    """

    which: Column
    due: Column
    asked: Column
    done: Column
    statuses: dict[str, int]
    said: dict[str, int]
    seconds: float
    sample: str


class Askers:
    """Connections that ask for views."""

    def __init__(self, child: Child, folder: Path) -> None:
        self._child = child
        self._folder = folder
        self._files = 0

    async def connect(self, port: int, requests: Sequence[bytes], *, connections: int) -> None:
        """Connect, and learn what will be asked, in turns."""
        file = self._folder / "requests"
        file.write_text("\n".join(request.hex() for request in requests) + "\n")
        await self._child.ask(
            "connect",
            host="127.0.0.1",
            port=port,
            connections=connections,
            requests=str(file),
        )

    async def ask(
        self,
        *,
        rate: float | None = None,
        count: int | None = None,
        seconds: float | None = None,
        first: int = 0,
        within: float = 300.0,
    ) -> Asked:
        """Ask so many, or for so long; open loop with a rate, closed without."""
        self._files += 1
        file = str(self._folder / f"asked-{self._files}")
        found = await self._child.ask(
            "ask", within=within, rate=rate, count=count, seconds=seconds, first=first, file=file
        )
        columns = read(file)
        return Asked(
            which=columns["which"],
            due=columns["due"],
            asked=columns["asked"],
            done=columns["done"],
            statuses=found["statuses"],
            said=found["said"],
            seconds=found["seconds"],
            sample=found["sample"],
        )
