"""One process from its first signal to its exit code.

0    asked to leave (SIGTERM, SIGINT), and everything was finished
1    a task died of a bug: traceback on standard error
2    a setting cannot be used: one line on standard error
65   the log is damaged, or of another program: one line, and the file is left as it is (EX_DATAERR)
70   asked to leave and still here five seconds after the drain: a defect (EX_SOFTWARE)
128+ asked twice: gone at once, by the number of the second signal

Of a parent of workers (workers/), the worst code of theirs; 128+ also where a worker was killed.

The signals are handled by Python and not through Trio's receiver: a loop that no longer turns would
hear of neither the first nor the second.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

import structlog
import trio

from storefront.errors import SettingsError, StoreCorruptError

log = structlog.get_logger(__name__)

LAST_RESORT_AFTER_DRAIN = 5.0
# Seconds for the last words. A pipe that nobody reads takes none, and the process leaves anyway.
LAST_WORDS = 1.0
EXIT_BUG, EXIT_SETTINGS, EXIT_LOG, EXIT_STUCK = 1, 2, 65, 70

# Objects, and collections of the younger generation; Python's own are 700, 10, 10.
COLLECTED_AFTER = (20_000, 25, 25)

Serve = Callable[[trio.Event], Awaitable[int | None]]
Tell = Callable[[SettingsError | StoreCorruptError], int]
AskedAgain = Callable[[int], object]


def refuse(error: SettingsError | StoreCorruptError) -> int:
    """One line on standard error, and the exit code that goes with it."""
    # Some words are a library's own, and of several lines.
    print(f"storefront: {' '.join(str(error).split())}", file=sys.stderr)  # noqa: T201 - for a person at a terminal
    return exit_code(error)


def exit_code(error: SettingsError | StoreCorruptError) -> int:
    """The code of a process that an operator's mistake, or misfortune, keeps from running."""
    return EXIT_LOG if isinstance(error, StoreCorruptError) else EXIT_SETTINGS


def leave_at_once(number: int) -> NoReturn:
    """What a second signal usually does."""
    os._exit(128 + number)


def stay_at_it(_number: int) -> None:
    """What a second signal does to a worker: nothing. To end all at once is its parent's to say.

    systemd sends its signal to the parent and to each worker, and the parent passes its own on:
    asked twice, without anybody being in a hurry.
    """


def run_process(
    serve: Serve,
    *,
    drain: float,
    patience: float | None = None,
    asked_again: AskedAgain = leave_at_once,
    tell: Tell = refuse,
) -> int:
    """Run `serve` until it returns; the event it is given is set by the first signal.

    Args:
        serve: returns once everybody has left, with an exit code if that is not 0.
        drain: seconds it may take from the first signal on.
        patience: seconds after the drain at which the last resort ends it; five by default.
        asked_again: called with the number of each further signal, in a signal handler.
        tell: tells the operator what only they can mend, and returns the exit code for it.

    Returns:
        the exit code.
    """
    _allow_as_many_files_as_possible()
    _collect_less()
    last_resort = drain + (LAST_RESORT_AFTER_DRAIN if patience is None else patience)
    try:
        return trio.run(_until_signalled, serve, drain, last_resort, asked_again) or 0
    except Exception as exc:
        found = _operators_business(exc)
        if found is not None:
            return tell(found)
        log.exception("a task died of a bug")
        return EXIT_BUG


def _collect_less() -> None:
    """Spare the collector what will live anyway.

    It runs after so many objects more than there were, and thousands of streams that stay are all
    growth: it stopped the loop for tens of milliseconds at a time while they opened and while they
    were written to (hazards H10). Nothing here leaves many cycles behind.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED_AFTER)


def _allow_as_many_files_as_possible() -> None:
    """Raise the soft limit to the hard one: a stream is a file, and 1,024 are soon full.

    The low default is kept by systems for programs that use select(2), which Trio does not.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Some systems call a number they do not allow; then what is stays.
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _until_signalled(
    serve: Serve, drain: float, last_resort: float, asked_again: AskedAgain
) -> int | None:
    stop = trio.Event()
    with _signals_set(stop, drain, last_resort, asked_again):
        return await serve(stop)


@contextmanager
def _signals_set(
    stop: trio.Event, drain: float, last_resort: float, asked_again: AskedAgain
) -> Iterator[None]:
    """Have the first signal set `stop` and arm the last resort, and each further one be heard."""
    loop = trio.lowlevel.current_trio_token()
    # Started now and woken then: between any two bytecodes is no place to start a thread.
    armed = threading.Event()
    _start_last_resort(armed, last_resort)

    def leave(name: str) -> None:
        again = "is not heard" if asked_again is stay_at_it else "ends at once"
        log.info("leaving", signal=name, drain=drain, again=again)
        stop.set()

    def heard(number: int, _frame: FrameType | None) -> None:
        if armed.is_set():
            asked_again(number)
            return
        armed.set()
        # Finished in this very moment: then there is nobody left to tell.
        with suppress(trio.RunFinishedError):
            loop.run_sync_soon(leave, signal.Signals(number).name)

    before = {number: signal.signal(number, heard) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _start_last_resort(armed: threading.Event, seconds: float) -> None:
    # A thread, because what it guards against may be a loop that no longer turns. Daemonic, so that
    # it never keeps a process that has finished.
    root = trio.lowlevel.current_root_task()

    def wait() -> None:
        armed.wait()
        time.sleep(seconds)
        _give_up(root)

    threading.Thread(target=wait, name="last resort", daemon=True).start()


def _give_up(root: trio.lowlevel.Task | None) -> None:
    silent = threading.Timer(LAST_WORDS, os._exit, (EXIT_STUCK,))
    silent.daemon = True
    silent.start()
    try:
        print("storefront: still here after the drain; tasks:", file=sys.stderr)  # noqa: T201 - last words
        # The tree may change while it is read: the loop, if it turns, is another thread.
        for line in task_tree(root) if root is not None else ():
            print(line, file=sys.stderr)  # noqa: T201 - as above
        faulthandler.dump_traceback(file=sys.stderr)
    finally:
        os._exit(EXIT_STUCK)


def task_tree(task: trio.lowlevel.Task, depth: int = 0) -> list[str]:
    """The tasks below one, a line each, indented, with the place where each waits."""
    lines = [f"{'  ' * depth}{task.name} at {_place(task)}"]
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            lines += task_tree(child, depth + 1)
    return lines


def _place(task: trio.lowlevel.Task) -> str:
    """The last line that is not Trio's own, and what of Trio's it waits in."""
    frames = list(task.iter_await_frames())
    last = max((n for n, (frame, _) in enumerate(frames) if not _is_trios(frame)), default=0)
    shown = (f"{frame.f_code.co_qualname}:{line}" for frame, line in frames[last : last + 2])
    return " in ".join(shown) or "?"


def _is_trios(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] in {"trio", "contextlib"}


def _operators_business(error: BaseException) -> SettingsError | StoreCorruptError | None:
    """What only the operator can mend, if that is all there is."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error if isinstance(error, SettingsError | StoreCorruptError) else None
