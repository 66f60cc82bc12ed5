"""Running the application: one task per request, inside the connection's nursery.

In place of Hypercorn's TaskGroup, for three things it does not do: it gives each request a mailbox
that nobody can be stuck at, it makes every `send` a place where an application can be cancelled and
others get their turn, and it knows how many applications are running, those whose answer was cut
included.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Self, cast

import trio
from hypercorn.config import Config
from hypercorn.typing import (
    AppWrapper,
    ASGIReceiveEvent,
    ASGISendCallable,
    ASGISendEvent,
    Scope,
)

from storefront.serving.connection import Connection
from storefront.serving.mailbox import Mailbox
from storefront.serving.watch import ServingWatch

logger = logging.getLogger(__name__)

# Sends in a row before other tasks get a turn. A write that need not wait is no checkpoint, and an
# application that does nothing but write would keep the loop: 16 small writes are about a
# millisecond.
SENDS_IN_A_ROW = 16

Send = Callable[[ASGISendEvent | None], Awaitable[None]]
Put = Callable[[ASGIReceiveEvent], Awaitable[None]]


class Apps:
    """Hypercorn's TaskGroup for one connection, over a nursery that the connection owns."""

    def __init__(self, nursery: trio.Nursery, watch: ServingWatch) -> None:
        self._nursery = nursery
        self._watch = watch
        self.running = 0

    async def spawn_app(self, app: AppWrapper, config: Config, scope: Scope, send: Send) -> Put:
        del config
        return self.run(app, scope, send, Mailbox(left=_connection(scope).leave))

    def run(self, app: AppWrapper, scope: Scope, send: Send, mailbox: Mailbox) -> Put:
        """Start the application for one request; returns where to put what the client sends."""
        self.running += 1
        self._watch.requests += 1
        self._nursery.start_soon(self._run, app, scope, send, mailbox)
        return mailbox.put

    def spawn(self, func: Callable[..., Awaitable[object]], *args: Any) -> None:
        self._nursery.start_soon(func, *args)

    async def __aenter__(self) -> Self:
        """Nothing to open: the nursery, which is the context manager here, is the connection's."""
        return self

    async def __aexit__(self, *exc: object) -> None: ...

    async def _run(self, app: AppWrapper, scope: Scope, send: Send, mailbox: Mailbox) -> None:
        try:
            await _call(app, scope, mailbox, send)
        finally:
            self.running -= 1
            self._watch.requests -= 1
        # Not when cancelled: then the whole connection is being torn down, and there is nobody to
        # tell.
        await mailbox.close()
        await send(None)


class StreamApps(Apps):
    """The same, for one HTTP/2 stream: what its application reads gives window back to the peer."""

    def __init__(self, apps: Apps, consumed: Callable[[int], Awaitable[None]]) -> None:
        self._apps = apps
        self._consumed = consumed

    async def spawn_app(self, app: AppWrapper, config: Config, scope: Scope, send: Send) -> Put:
        del config
        mailbox = Mailbox(self._consumed, left=_connection(scope).leave)
        return self._apps.run(app, scope, send, mailbox)


def _connection(scope: Scope) -> Connection:
    """The request's own, which its protocol put there."""
    return cast(Connection, scope["state"]["connection"])


async def _call(app: AppWrapper, scope: Scope, mailbox: Mailbox, send: Send) -> None:
    """Call the application; its own failures end its request and nothing else.

    Cancellation and the errors that are nobody's request (SystemExit, KeyboardInterrupt) go up,
    also out of a group that holds both.
    """
    try:
        await app(
            scope,
            mailbox.receive,
            _yielding(send),
            trio.to_thread.run_sync,
            trio.from_thread.run,
        )
    except Exception:
        logger.exception("the application failed")
    except BaseExceptionGroup as group:
        failures, others = group.split(Exception)
        if failures is not None:
            logger.exception("the application failed", exc_info=failures)
        if others is not None:
            raise others from None


def _yielding(send: Send) -> ASGISendCallable:
    """ASGI's send, cancellable before the message touches a protocol's state."""
    sends = 0

    async def yielding(message: ASGISendEvent) -> None:
        nonlocal sends
        sends += 1
        if sends % SENDS_IN_A_ROW:
            await trio.lowlevel.checkpoint_if_cancelled()
        else:
            await trio.lowlevel.checkpoint()
        await send(message)

    return yielding
