"""Exchanges with Redis that all who ask at the same time share.

One command per exchange costs this process's one thread about 0.7 ms, one of fifty a tenth of that
(hazards H22d); with five hundred readers at once that is the difference between a cache that helps
and one that is too slow to be asked. So a few carriers go back and forth, each with all that waits
when it leaves. What is asked again while it waits is asked once; what has left already is not
joined, for its answer may be from before the one who asks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Sequence

import trio

from storefront.store.redis_scripts import Command
from storefront.store.redis_server import Reply
from storefront.telemetry import tracing

Replies = Sequence[Reply]
Exchange = Callable[[Sequence[Command]], Awaitable[Replies | None]]

# Exchanges under way at once: one on the wire while the next is written.
CARRIERS = 2
# Questions to an exchange: more cost as much each, and delay the first of them.
LOAD = 64
# Questions that wait for a carrier; whoever comes then is told that there is no answer.
MOST_WAITING = 2000


class _Waiting:
    """A question and its answer, for any number who ask it."""

    __slots__ = ("answered", "cause", "commands", "left", "replies")

    def __init__(self, commands: Sequence[Command]) -> None:
        self.commands = commands
        self.left = trio.Event()
        self.answered = trio.Event()
        self.replies: Replies | None = None
        # Of the first who asks; the carriers are tasks of nobody's request.
        self.cause = tracing.here()


class Batcher:
    """Questions of one kind. `run` must run beside it.

    Args:
        exchange: brings the replies; None for trouble, and raises for none.
        within: seconds to wait for an answer once a question has left.
        patience: seconds to wait in all. More than a few are under way only where this process has
            too much to do; if it is Redis's fault, an exchange ends and all that wait are told.
    """

    def __init__(self, exchange: Exchange, *, within: float, patience: float) -> None:
        self._exchange = exchange
        self._within = within
        self._patience = patience
        self._waiting: dict[Hashable, _Waiting] = {}
        self._idle = trio.lowlevel.ParkingLot()

    async def run(self) -> None:
        """Carry until cancelled."""
        async with trio.open_nursery() as nursery:
            for _ in range(CARRIERS):
                nursery.start_soon(self._carry)

    async def ask(self, name: Hashable, commands: Sequence[Command]) -> Replies | None:
        """The replies; None where there are none in time.

        Args:
            name: who asks the same at the same time, asks it once.
            commands: the question.
        """
        question = self._waiting.get(name)
        if question is None:
            if len(self._waiting) >= MOST_WAITING:
                await trio.lowlevel.checkpoint()
                return None
            question = self._waiting[name] = _Waiting(commands)
            self._idle.unpark()
        with trio.move_on_after(self._patience):
            await question.left.wait()
            with trio.move_on_after(self._within):
                await question.answered.wait()
        return question.replies

    async def _carry(self) -> None:
        while True:
            while not self._waiting:
                await self._idle.park()
            names = list(self._waiting)[:LOAD]
            load = [self._waiting.pop(name) for name in names]
            for question in load:
                question.left.set()
            try:
                commands = [command for question in load for command in question.commands]
                with tracing.within(*(question.cause for question in load)):
                    replies = await self._exchange(commands)
                if replies is not None:
                    _hand_out(load, replies)
            finally:
                for question in load:
                    question.answered.set()


def _hand_out(load: Sequence[_Waiting], replies: Replies) -> None:
    start = 0
    for question in load:
        end = start + len(question.commands)
        question.replies = replies[start:end]
        start = end
