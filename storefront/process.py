"""One process from its first signal to its exit code.

0    asked to leave (SIGTERM, SIGINT), and everything was finished
1    a task died of a bug: traceback on standard error
2    a setting cannot be used: one line on standard error
70   asked to leave and still here five seconds after the drain: a defect (EX_SOFTWARE)
128+ asked twice: gone at once, by the number of the second signal
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar, TypeVarTuple

import structlog
import trio

from storefront.errors import SettingsError

log = structlog.get_logger(__name__)

LAST_RESORT_AFTER_DRAIN = 5.0
EXIT_BUG, EXIT_SETTINGS, EXIT_STUCK = 1, 2, 70

Args = TypeVarTuple("Args")
T = TypeVar("T")
Serve = Callable[[trio.Event], Awaitable[None]]


def run_process(serve: Serve, *, drain: float) -> int:
    """Run `serve` until it returns; the event it is given is set by the first signal.

    Args:
        serve: returns once everybody has left.
        drain: seconds it may take from the first signal on; five more and the last resort ends it.

    Returns:
        the exit code.
    """
    try:
        trio.run(_until_signalled, serve, drain)
    except Exception as exc:
        found = _settings_error(exc)
        if found is not None:
            return refuse(found)
        log.exception("a task died of a bug")
        return EXIT_BUG
    return 0


def refuse(error: BaseException) -> int:
    """One line for the operator, and the exit code that goes with it."""
    print(f"storefront: {error}", file=sys.stderr)  # noqa: T201 - for a person at a terminal
    return EXIT_SETTINGS


async def _until_signalled(serve: Serve, drain: float) -> None:
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(_listen_to_signals, stop, drain)
        await serve(stop)
        nursery.cancel_scope.cancel()


async def _listen_to_signals(
    stop: trio.Event, drain: float, *, task_status: trio.TaskStatus[None]
) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            if stop.is_set():
                log.warning("asked twice; leaving at once", signal=signal.Signals(number).name)
                os._exit(128 + number)
            log.info("leaving", signal=signal.Signals(number).name, drain=drain)
            stop.set()
            _arm_last_resort(drain + LAST_RESORT_AFTER_DRAIN)


def _arm_last_resort(seconds: float) -> None:
    # A thread, because what it guards against may be a loop that no longer turns. Daemonic, so that
    # it never keeps a process that has finished.
    root = trio.lowlevel.current_root_task()
    timer = threading.Timer(seconds, _give_up, args=(root,))
    timer.daemon = True
    timer.start()


def _give_up(root: trio.lowlevel.Task | None) -> None:
    print("storefront: still here after the drain; tasks:", file=sys.stderr)  # noqa: T201 - last words
    if root is not None:
        for line in task_tree(root):
            print(line, file=sys.stderr)  # noqa: T201 - as above
    faulthandler.dump_traceback(file=sys.stderr)
    os._exit(EXIT_STUCK)


def task_tree(task: trio.lowlevel.Task, depth: int = 0) -> list[str]:
    """The tasks below one, a line each, indented, with the place where each waits."""
    frames = list(task.iter_await_frames())
    where = f"{frames[-1][0].f_code.co_qualname}:{frames[-1][1]}" if frames else "?"
    lines = [f"{'  ' * depth}{task.name} at {where}"]
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            lines += task_tree(child, depth + 1)
    return lines


def _settings_error(error: BaseException) -> SettingsError | None:
    """The operator's mistake, if that is all there is."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error if isinstance(error, SettingsError) else None
