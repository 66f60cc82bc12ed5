"""Messages on their way out: in order, one at a time, each until it has been taken.

A command succeeds although its message could not be published yet, as with Wolverine's outbox;
unlike there, what waits here is lost with the process.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import structlog
import trio

from storefront.demo.messages import Body, Message
from storefront.demo.refusals import OverfullError
from storefront.errors import StorefrontError

# Takes a .NET type name and a body. It returns when the message is safe, and raises a
# StorefrontError when it is not; then it is asked again.
Publish = Callable[[str, Body], Awaitable[None]]

# An hour of a busy demo. Full: commands are refused with 503 and orders stand still, until the
# broker is back; what was accepted is kept. The commands being answered at that moment may still
# add theirs.
CAPACITY = 10_000

# Seconds. The first retry is soon enough for a blip, the last rare enough for a broker that is off.
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0

# Seconds one attempt may take. An attempt given up may yet succeed: a double, never a loss.
_PATIENCE = 30.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class OutboxStatistics:
    """How the outbox is: messages waiting, taken so far, and attempts that failed."""

    waiting: int
    published: int
    failures: int


class Outbox:
    """The queue between the shop and whoever publishes."""

    def __init__(self, publish: Publish, *, capacity: int = CAPACITY) -> None:
        self._publish = publish
        self._capacity = capacity
        self._waiting: deque[Message] = deque()
        self._arrived = trio.Event()
        self._published = 0
        self._failures = 0

    @property
    def full(self) -> bool:
        return len(self._waiting) >= self._capacity

    def check_room(self) -> None:
        """Raise OverfullError if nothing new should be started."""
        if self.full:
            raise OverfullError("Messages cannot be published at the moment")

    def add(self, messages: Iterable[Message]) -> None:
        """Hand over what a command caused. Never waits, never refuses: ask `full` beforehand."""
        self._waiting.extend(messages)
        self._arrived.set()

    async def run(self) -> None:
        """Publish for ever what was added, in that order."""
        while True:
            await self._arrived.wait()
            self._arrived = trio.Event()
            while self._waiting:
                await self._deliver(self._waiting[0])
                self._waiting.popleft()
                self._published += 1

    def statistics(self) -> OutboxStatistics:
        return OutboxStatistics(len(self._waiting), self._published, self._failures)

    async def _deliver(self, message: Message) -> None:
        pause = _FIRST_PAUSE
        while not await self._taken(message):
            if pause == _FIRST_PAUSE:
                # Once for each message in trouble; the type only, for bodies hold addresses.
                log.warning("not published, trying again", type=message.type)
            await trio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _taken(self, message: Message) -> bool:
        try:
            with trio.fail_after(_PATIENCE):
                await self._publish(message.type, message.body)
        except (StorefrontError, trio.TooSlowError):
            self._failures += 1
            return False
        return True
