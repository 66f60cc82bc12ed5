"""A publisher that never stops: paced, confirmed, and back with what was not confirmed when the broker was away.

It is asyncio's (aiormq), in a thread and on a loop of its own. A message that was handed to a connection and not
confirmed on it is published again on the next one, before anything new, in the order in which all of them were posted,
under its own message id. What the broker had taken after all then stands in the queue twice, but always a run of
messages from the first that was not confirmed on: whoever drops repetitions keeps each customer's order.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import aiormq
import trio

from tests.ledger.judge import Posted
from tests.ledger.post import Letter
from tests.system.shopfloor import QUEUE, wolverine_properties

# Handed over and not confirmed; at the bound nothing new is posted. RabbitMQ confirms what it has written to disk in
# groups, up to 200 ms together.
IN_FLIGHT = 300
TICK = 0.01  # seconds between two looks at what is due
CONNECT_WITHIN = 5.0
CONFIRM_WITHIN = 20.0  # seconds; a broker that is silent for so long is taken to be gone
PAUSE = 0.1  # seconds between two attempts to connect


class Publisher:
    """Runs in a thread; its figures may be read from any.

    Attributes:
        book: every message that was ever handed to a broker, by its event.
        confirmed: those that it has taken, in the order of the confirms.
        connections: how many were opened.
        repeated: how many messages were published once more.
        rate: new messages a second; may be changed meanwhile.
    """

    def __init__(self, url: str, letters: Iterator[Letter], *, rate: float) -> None:
        self.book: dict[str, Posted] = {}
        self.confirmed: list[Posted] = []
        self.connections = 0
        self.repeated = 0
        self.rate = rate
        self._url = url
        self._letters = letters
        self._unconfirmed: dict[str, Letter] = {}  # by message id, in the order of posting
        self._stopping = False

    def stop(self) -> None:
        """Post nothing new; `run` returns once everything is confirmed."""
        self._stopping = True

    def abandon(self) -> None:
        """Return without waiting for confirms."""
        self._unconfirmed.clear()
        self.stop()

    def run(self) -> None:
        """Publish until stopped, whatever becomes of the broker."""
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._live())

    async def _live(self) -> None:
        while self._unconfirmed or not self._stopping:
            try:
                async with asyncio.timeout(CONNECT_WITHIN):
                    connection = await aiormq.connect(self._url)
            except Exception:  # noqa: BLE001 - whatever aiormq says of a broker that is not there
                await asyncio.sleep(PAUSE)
                continue
            self.connections += 1
            try:
                await self._publish_on(connection)
            except (Exception, asyncio.CancelledError):  # noqa: BLE001 - or of one that went
                await asyncio.sleep(PAUSE)
            finally:
                with suppress(Exception, asyncio.CancelledError):
                    async with asyncio.timeout(CONNECT_WITHIN):
                        await connection.close()

    async def _publish_on(self, connection: aiormq.abc.AbstractConnection) -> None:
        """Publish on one connection until it breaks or all is done."""
        channel = await connection.channel(publisher_confirms=True)
        broken = asyncio.Event()
        again = list(self._unconfirmed.values())
        self.repeated += len(again)
        # Tasks start in the order of their making, and aiormq's lock keeps it.
        tasks = {self._start(channel, letter, broken) for letter in again}
        looked, due = time.monotonic(), 0.0
        while not broken.is_set() and (self._unconfirmed or not self._stopping):
            now = time.monotonic()
            # The broker may set the pace: what it was too slow for is not made up for afterwards.
            due = min(due + (now - looked) * self.rate, IN_FLIGHT - len(self._unconfirmed))
            looked = now
            while due >= 1 and not self._stopping:
                due -= 1
                letter = next(self._letters)
                self.book[letter.event] = Posted(letter.customer, letter.number)
                self._unconfirmed[letter.message_id] = letter
                tasks.add(self._start(channel, letter, broken))
            tasks = {task for task in tasks if not task.done()}
            with suppress(TimeoutError):
                await asyncio.wait_for(broken.wait(), TICK)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(
        self, channel: aiormq.abc.AbstractChannel, letter: Letter, broken: asyncio.Event
    ) -> asyncio.Task[None]:
        task = asyncio.ensure_future(self._publish(channel, letter))
        task.add_done_callback(partial(_note_break, broken))
        return task

    async def _publish(self, channel: aiormq.abc.AbstractChannel, letter: Letter) -> None:
        properties = wolverine_properties(letter.kind, letter.message_id)
        await channel.basic_publish(
            letter.body,
            routing_key=QUEUE,
            properties=aiormq.spec.Basic.Properties(**properties),
            mandatory=True,
            timeout=CONFIRM_WITHIN,
        )
        if self._unconfirmed.pop(letter.message_id, None) is not None:
            self.confirmed.append(Posted(letter.customer, letter.number))


def _note_break(broken: asyncio.Event, task: asyncio.Task[None]) -> None:
    if task.cancelled() or task.exception() is not None:
        broken.set()


@asynccontextmanager
async def open_publisher(publisher: Publisher) -> AsyncIterator[Publisher]:
    """Run it in a thread meanwhile; leaving waits until what was posted is confirmed, unless an error leaves."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, publisher.run)
        try:
            yield publisher
        except BaseException:
            publisher.abandon()
            raise
        publisher.stop()
