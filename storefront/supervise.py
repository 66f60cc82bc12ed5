"""Keep one task running through the errors it is expected to meet.

Trio leaves supervisors to us and forbids only orphans. What is not named goes up and ends the
process: an orchestrator restarts processes better than we restart half of one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
import trio

log = structlog.get_logger(__name__)

# Seconds. The first pause is short because most ends are a broker's restart or a cut connection.
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 5.0
# A task that ran this long had recovered: its next failure is a new one.
STEADY_AFTER = 10.0


async def keep_running(
    name: str,
    run: Callable[[], Awaitable[None]],
    *,
    on: type[Exception] | tuple[type[Exception], ...],
    stopping: trio.Event,
) -> None:
    """Run a task again whenever it ends with one of the errors `on`; return when it returns.

    The pauses between are 0.5 s, doubling to 5 s; they start anew once a run lasted for 10 s.
    Set, `stopping` ends a pause, and with it all of this; a run has to hear of it by itself.
    """
    pause = FIRST_PAUSE
    while True:
        began = trio.current_time()
        try:
            await run()
        except on as exc:
            if trio.current_time() - began >= STEADY_AFTER:
                pause = FIRST_PAUSE
            log.warning("restarting", task=name, error=str(exc), pause=pause)
        else:
            return
        with trio.move_on_after(pause):
            await stopping.wait()
            return
        pause = min(pause * 2, LONGEST_PAUSE)
