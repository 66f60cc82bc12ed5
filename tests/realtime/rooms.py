"""A process in the small: a log in memory, who follows it, and browsers that read when told to."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

import trio

from storefront.domain.ids import CustomerId
from storefront.domain.positions import Position
from storefront.errors import StoreUnavailableError
from storefront.realtime.body import EventStreamBody, Visit
from storefront.realtime.fan_out import FanOut
from storefront.realtime.heads import HeadWatch
from storefront.realtime.heartbeat import Heartbeat
from storefront.realtime.hub import Hub
from storefront.realtime.pauses import Pauses
from storefront.realtime.recent import Recent
from storefront.realtime.replay import LogReader
from storefront.realtime.stream import Stream
from storefront.store.contract import Recording
from storefront.store.memory import MemoryStore

ALICE = CustomerId("11111111-1111-1111-1111-111111111111")


class Log(MemoryStore):
    """The store in memory, in which something happens just before and just after it is read."""

    def __init__(self) -> None:
        epochs = (f"e{number}" for number in count())
        super().__init__(window=300.0, kept_ids=10_000, token=epochs.__next__)
        self.serial = count(1)
        self.before = self.after = 0
        self.away = False
        self.takes = 0.0  # seconds for an answer
        self.reads = self.looks = self.at_once = self.most_at_once = 0

    async def add(self, number: int, customer: CustomerId = ALICE) -> None:
        await self.record(
            [
                Recording(
                    message_id=str(next(self.serial)),
                    customer=customer,
                    payload=b'{"eventType":"cart-updated"}',
                )
                for _ in range(number)
            ],
            now=trio.current_time(),
        )

    async def since(self, *args, **kwargs):
        self.reads += 1
        return await self._amid(super().since, *args, **kwargs)

    async def position(self, *args, **kwargs):
        return await self._amid(super().position, *args, **kwargs)

    async def heads(self, *args, **kwargs):
        self.looks += 1
        await trio.sleep(self.takes)
        return await super().heads(*args, **kwargs)

    async def _amid(self, read, *args, **kwargs):
        if self.away:
            raise StoreUnavailableError("away")
        before, self.before, after, self.after = self.before, 0, self.after, 0
        await self.add(before)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await trio.sleep(self.takes)
        self.at_once -= 1
        found = await read(*args, **kwargs)
        await self.add(after)
        return found


@dataclass
class Browser:
    """What came down one stream."""

    body: EventStreamBody
    stream: Stream
    came: bytes = b""
    writes: list[bytes] = field(default_factory=list)
    over: bool = False

    async def read(self, patience: float = 1) -> None:
        """Take what there is to take now."""
        while not self.over:
            with trio.move_on_after(patience):
                try:
                    self.writes.append(await anext(self.body))
                except StopAsyncIteration:
                    self.over = True
                else:
                    self.came += self.writes[-1]
                    continue
            return

    @property
    def numbers(self) -> list[int]:
        return [int(each) for each in re.findall(rb"id: e\d+-(\d+)\ndata", self.came)]

    @property
    def verdicts(self) -> list[bytes]:
        return re.findall(rb'"mode":"(\w+)"', self.came)


@dataclass
class Room:
    log: Log
    hub: Hub
    heads: HeadWatch
    heartbeat: Heartbeat
    recent: Recent
    reader: LogReader
    fan_out: FanOut
    deaf: bool = False  # announcements are lost

    @asynccontextmanager
    async def browser(
        self,
        cursor: Position | None = None,
        *,
        slow: bool = False,
        customer: CustomerId = ALICE,
        at_once=None,
    ):
        stream = Stream(customer, now=trio.current_time(), every=1e6)
        body = EventStreamBody(
            stream,
            Visit(
                cursor=cursor,
                returning=cursor is not None,
                was_slow=lambda: slow,
                at_once=at_once,
            ),
            hub=self.hub,
            heartbeat=self.heartbeat,
            fan_out=self.fan_out,
            log=self.reader,
            pauses=Pauses(lambda low, high: (low + high) / 2),
        )
        async with body:
            yield Browser(body, stream)

    def hear(self, entries) -> None:
        if not self.deaf:
            self.hub.publish(entries)


@asynccontextmanager
async def open_room(log: Log, recent: Recent, *, streams: int = 9):
    """A process that follows this log, whose heartbeat does not run unless a test runs it."""
    hub = Hub(max_streams=streams, max_per_customer=9, superseded_pause=lambda: 60.0, recent=recent)
    heads = HeadWatch(log, clock=trio.current_time, recent=recent)
    reader = LogReader(log, clock=trio.current_time, recent=recent)
    made = Room(log, hub, heads, Heartbeat(heads.look_at), recent, reader, FanOut())
    async with trio.open_nursery() as nursery:
        await nursery.start(log.follow, made.hear, hub.lost)
        nursery.start_soon(heads.run)
        nursery.start_soon(made.fan_out.run)
        yield made
        nursery.cancel_scope.cancel()


async def at(room: Room, seq: int) -> Position:
    head = await MemoryStore.position(room.log, ALICE, now=trio.current_time())
    return Position(head.epoch, seq)
