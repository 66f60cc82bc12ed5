"""The dashboard's own stream: what was, then a picture with every look.

    event: history     the points of the last quarter of an hour
    event: picture     one a second
    event: token-expired | shutdown | busy     before a clean end

A watcher takes the newest picture when it is done with the last one, so one that reads slowly has
one frame of ours at a time, whatever comes meanwhile; one that does not read is cut by the deadline
of a write, as every stream is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import trio
from quart.wrappers.response import ResponseBody

from storefront.dashboard.sampler import Dashboard, TooManyWatchersError
from storefront.realtime import frames


class AdminStreamBody(ResponseBody):
    """One administrator's stream. An iterator by class: see realtime/body.py.

    Args:
        dashboard: whom to watch.
        lasts: seconds, to the end of the token.
        pause: seconds after which the browser may come back, if the stream breaks off.

    Raises:
        AdminStreamBody.Full: there are as many watchers as there may be.
    """

    Full = TooManyWatchersError

    def __init__(self, dashboard: Dashboard, *, lasts: float, pause: float) -> None:
        dashboard.check_room()
        self._dashboard = dashboard
        self._until = trio.current_time() + lasts
        self._opening = frames.retry(pause)
        self._shown = b""
        self._step: Callable[[], Awaitable[bytes]] = self._open
        self._watching = ExitStack()

    async def __aenter__(self) -> Self:
        try:
            self._watching.enter_context(self._dashboard.watching())
        except TooManyWatchersError:
            # Another one came between the check and the first byte.
            self._step = self._turn_away
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._watching.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        return await self._step()

    async def _open(self) -> bytes:
        await trio.lowlevel.checkpoint()
        self._step = self._next
        return self._opening + _event("history", self._dashboard.history())

    async def _next(self) -> bytes:
        """The newest picture, as soon as it is another one than the last."""
        dashboard = self._dashboard
        with trio.move_on_at(self._until) as waiting:
            while dashboard.newest is self._shown and not dashboard.closed:
                await dashboard.changed.wait()
        if waiting.cancelled_caught or trio.current_time() >= self._until:
            return self._end("token-expired")
        if dashboard.closed:
            return self._end("shutdown")
        await trio.lowlevel.checkpoint()
        self._shown = dashboard.newest
        return _event("picture", self._shown)

    async def _turn_away(self) -> bytes:
        await trio.lowlevel.checkpoint()
        return self._opening + self._end("busy")

    def _end(self, why: str) -> bytes:
        self._step = self._finish
        return frames.control(why, {"reason": "full"} if why == "busy" else {})

    async def _finish(self) -> bytes:
        await trio.lowlevel.checkpoint()
        raise StopAsyncIteration


def refused(pause: float) -> bytes:
    """A stream that is over before it began: there are too many. `pause` is in seconds."""
    return frames.retry(pause) + frames.control("busy", {"reason": "full"})


def _event(name: str, json: bytes) -> bytes:
    # JSON as msgspec writes it has no line end in it.
    return b"event: %s\ndata: %s\n\n" % (name.encode(), json)
