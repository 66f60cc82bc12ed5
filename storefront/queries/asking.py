"""Several questions of one view at the same time, a bounded number of them, until its deadline.

They are noted first and then asked in that order, so that what stands at the top of a page is asked
for first; Trio would start as many tasks in any order. When the deadline comes, what has been
answered is there and the rest are holes; nothing is thrown at whoever reads the answers. Questions
beyond the bound wait for their turn within the same deadline.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Generic, TypeVar, TypeVarTuple

import trio

from storefront.queries.parts import Part, Source, settle

T = TypeVar("T")
Args = TypeVarTuple("Args")


class Asked(Generic[T]):
    """A question, and its `part` once the block is left."""

    __slots__ = ("part",)

    def __init__(self) -> None:
        self.part: Part[T] = Part(None, Source("timeout", trio.current_time()))


class Asking:
    """The questions of one view. Made by `asking`."""

    def __init__(self) -> None:
        self._noted: deque[Callable[[], Awaitable[None]]] = deque()

    def ask(
        self, question: Callable[[*Args], Awaitable[T | None]] | None, *args: *Args
    ) -> Asked[T]:
        """Ask something that may fail; where there is nobody to ask (None), that is the answer."""
        return self.take(None if question is None else partial(settle, question, *args))

    def take(
        self, question: Callable[[*Args], Awaitable[Part[T]]] | None, *args: *Args
    ) -> Asked[T]:
        """Ask somebody who settles failures himself, likewise."""
        asked: Asked[T] = Asked()
        if question is None:
            asked.part = Part(None, Source("absent", trio.current_time()))
            return asked

        async def one() -> None:
            asked.part = await question(*args)

        self._noted.append(one)
        return asked

    async def run(self, at_once: int) -> None:
        """Ask all that is noted."""
        async with trio.open_nursery() as nursery:
            for _ in range(min(at_once, len(self._noted))):
                nursery.start_soon(self._one_after_another)

    async def _one_after_another(self) -> None:
        while self._noted:
            await self._noted.popleft()()


@asynccontextmanager
async def asking(deadline: float, *, at_once: int) -> AsyncIterator[Asking]:
    """Note questions within the block, which are asked when it is left; read the parts after it.

    Args:
        deadline: when it is enough, on Trio's clock.
        at_once: questions under way at the same time.
    """
    noted = Asking()
    yield noted
    # The scope is outside the nursery: what it cancels are the questions, never the reader.
    with trio.move_on_at(deadline):
        await noted.run(at_once)
