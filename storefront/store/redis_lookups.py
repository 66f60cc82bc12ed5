"""Looking up names on the asyncio loop without being held by it.

A look-up is a thread that waits for the resolver, as many seconds as the machine's settings say.
trio-asyncio waits for such a thread even when whoever asked is cancelled, so a name server that is
down would hold every operation far beyond its deadline, and the shutdown too (measured: the whole
look-up instead of 0.5 s). Trio's own look-up lets go of the thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import trio
from trio_asyncio import current_loop, trio_as_aio


@contextmanager
def cancellable_lookups() -> Iterator[None]:
    """As long as the block lasts, a cancelled look-up on this loop is over at once."""
    loop: asyncio.AbstractEventLoop = current_loop.get()
    before = loop.getaddrinfo
    loop.getaddrinfo = _getaddrinfo_aio  # type: ignore[method-assign] # see the module's docstring
    try:
        yield
    finally:
        loop.getaddrinfo = before  # type: ignore[method-assign] # as above


async def _getaddrinfo_aio(host: Any, port: Any, **kind: int) -> list[tuple[Any, ...]]:
    # Both shores have the standard library's names for what is asked.
    found: list[tuple[Any, ...]] = await trio_as_aio(trio.socket.getaddrinfo)(host, port, **kind)
    return found
