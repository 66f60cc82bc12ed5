"""Browsers that come and go, and keep every frame that they saw.

A reader does what an EventSource does: it carries the id of the last complete block, takes it along to whichever
process it finds, and takes nothing else from one connection to the next. It leaves at a random moment, now and then
inside a frame; what was cut does not count, for a browser would not have dispatched it either. It drops no repetition and fills no gap: that is the judge's business.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import trio

from tests.ledger.judge import Account, Frame
from tests.system import shopfloor as shop
from tests.system.servers.sse_client import SseClient
from tests.system.servers.sse_wire import SseEvent, SseParser

CONNECT_WITHIN = (
    3.0  # seconds to a connection; a process that is frozen or gone is left for another
)
# Seconds a stream may be silent: the heartbeat comes every 30.
SILENCE = 60.0
STAY = 8.0  # seconds, on average, until a reader who leaves by himself does
HEAD_WITHIN = 30.0  # seconds; a busy machine, and a log that is read first
READ = 4096  # bytes at once
FEW = 64  # of one who leaves inside a frame
MIDWAY = 0.3  # share of those who wait for that
MIDWAY_WITHIN = 2.0  # seconds; then they leave as the others do
FAITHFUL = 5  # every so many-th reader leaves only when the process does
USUALLY_BACK_WITHIN = 0.5  # seconds
LATE = 0.1  # share of the returns that take longer than usual, up to LATE_BY seconds
LATE_BY = 4.0


@dataclass(slots=True)
class Figures:
    """Over all readers."""

    connections: int = 0
    refused: int = 0  # connections that nobody accepted
    cut_midway: int = 0  # connections left inside a frame
    busy: int = 0  # streams that were not opened, or were ended because the log did not answer


class Reader:
    """One browser of one customer.

    Attributes:
        account: what it saw.
        cursor: the id it would come back with, "" for none.
        returns: how often it came back with one.
    """

    def __init__(
        self,
        account: Account,
        urls: Callable[[], Sequence[str]],
        figures: Figures,
        *,
        chance: random.Random,
        faithful: bool,
    ) -> None:
        self.account = account
        self.cursor = ""
        self.returns = 0
        self._urls = urls
        self._figures = figures
        self._chance = chance
        self._faithful = faithful
        self._headers = shop.bearer(account.customer)

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            for url in self._chance.sample(self._urls(), k=len(self._urls())):
                client = await self._connect(url)
                if client is not None:
                    async with client:
                        await self._stay(client)
                    break
                self._figures.refused += 1
            late = self._chance.random() < LATE
            await trio.sleep(self._chance.uniform(0.02, LATE_BY if late else USUALLY_BACK_WITHIN))

    async def _connect(self, url: str) -> SseClient | None:
        cursor = {"Last-Event-ID": self.cursor} if self.cursor else {}
        with trio.move_on_after(CONNECT_WITHIN):
            try:
                client = await SseClient.connect(
                    f"{url}/sse/storefront", headers=self._headers | cursor
                )
            except (OSError, trio.BrokenResourceError):
                return None  # refused, or reset before the request was out
            # An EventSource keeps its last id over a reconnection, also where the new stream sends none.
            client.sse = SseParser(last_event_id=self.cursor, _id=self.cursor)
            return client
        return None

    async def _stay(self, client: SseClient) -> None:
        """Read one stream until it ends, or until it is time to leave."""
        self._figures.connections += 1
        self.returns += bool(self.cursor)
        with trio.CancelScope() as staying:
            try:
                await self._read(client, staying)
            except EOFError:
                pass  # cut before the head was there
            except trio.TooSlowError:
                self.account.refusals.append("silence")
            except ValueError as exc:
                self.account.refusals.append(f"no HTTP: {exc}")
        if client.ended is None:
            self._figures.cut_midway += inside_a_frame(client)
            if self._chance.random() < 0.5:
                client.reset()

    async def _read(self, client: SseClient, staying: trio.CancelScope) -> None:
        given, leave_at = 0, math.inf
        midway = not self._faithful and self._chance.random() < MIDWAY
        size = FEW if midway else READ
        with trio.fail_after(HEAD_WITHIN):
            if await client.read_head(size) != 200:
                self.account.refusals.append(f"status {client.status}")
                return
        while True:
            self._look(client.sse.events[given:], client.sse)
            given = len(client.sse.events)
            # Who has no cursor yet would miss what comes while he is away, as a browser would.
            if self.cursor and not self._faithful and leave_at == math.inf:
                leave_at = trio.current_time() + self._chance.expovariate(1 / STAY)
                staying.deadline = leave_at + (MIDWAY_WITHIN if midway else 0)
            if trio.current_time() >= leave_at and inside_a_frame(client):
                return
            with trio.fail_after(SILENCE):
                if not await client.read_some(size):
                    break
        self._look(client.sse.events[given:], client.sse)

    def _look(self, events: Sequence[SseEvent], parser: SseParser) -> None:
        for event in events:
            match event.type:
                case "message":
                    self.account.frames.append(Frame(event.id, event.data))
                case "stream":
                    self._verdict(json.loads(event.data)["mode"])
                case "busy":
                    self._figures.busy += 1
                case "shutdown":
                    pass  # it comes back, and finds another process
                case other:
                    self.account.refusals.append(other)
        if parser.last_event_id and not self.cursor:
            self.account.start = parser.last_event_id
        self.cursor = parser.last_event_id

    def _verdict(self, mode: str) -> None:
        # Without a cursor there was nothing to resume.
        if self.cursor:
            self.account.modes.append(mode)


def inside_a_frame(client: SseClient) -> bool:
    """Whether it has read the beginning of a block, and not its end."""
    return bool(client.sse._line or client.sse._data)


def readers_of(
    customers: Sequence[str],
    urls: Callable[[], Sequence[str]],
    figures: Figures,
    *,
    seed: int,
    every_second: int,
) -> list[Reader]:
    """A reader for each customer, and another for every so many-th."""
    found: list[Reader] = []
    for number, customer in enumerate(customers):
        for _ in range(2 if number % every_second == 0 else 1):
            name = f"reader {len(found)}"
            found.append(
                Reader(
                    Account(name, customer),
                    urls,
                    figures,
                    chance=random.Random(f"{seed} {name}"),
                    faithful=len(found) % FAITHFUL == 0,
                )
            )
    return found
