"""Ending every stream before the process leaves, evenly over the drain window.

Each gets its own pause: with the ends spread over the window and the returns over the pauses, the
replica that takes over sees a slope instead of a wall.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from storefront.realtime import frames
from storefront.realtime.hub import Hub


async def end_streams(hub: Hub, *, over: float, pause: Callable[[], float]) -> None:
    """End all streams of a hub, the first now, the last before `over` seconds have passed."""
    hub.close()
    leaving = hub.streams()
    began = trio.current_time()
    for number, stream in enumerate(leaving):
        await trio.sleep_until(began + over * number / len(leaving))
        stream.end("shutdown", frames.retry(pause()) + frames.control("shutdown", {}))
