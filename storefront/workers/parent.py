"""The parent of the workers: a small Trio program that serves nobody itself.

worker's end                      parent's answer
killed, or any code but 2 and 65  a new one, after 0.5 s doubling to 5 s (supervise.py)
2, 65                             no other would fare better: all leave, and their code is ours
any, once all are leaving         the worst of their codes is ours
"""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NoReturn, Protocol

import structlog
import trio

from storefront import process
from storefront.errors import SettingsError, StoreCorruptError, StorefrontError
from storefront.supervise import keep_running

log = structlog.get_logger(__name__)

# Seconds between the workers' own last resort, which leaves their tasks on record, and their end
# by SIGKILL; and again between that and the parent's last resort.
MARGIN = 1.0
# Seconds after the drain at which a parent that is still here is ended.
PATIENCE = process.LAST_RESORT_AFTER_DRAIN + 2 * MARGIN


class WorkerEndedError(StorefrontError):
    """A worker ended that nobody had asked to, or could not be started."""


class Worker(Protocol):
    """One worker, from its start to its end.

    Attributes:
        pid: of its process.
        words: what it said of its end, once it has ended: one line or nothing.
    """

    @property
    def pid(self) -> int: ...

    @property
    def words(self) -> str: ...

    async def wait(self) -> int:
        """Wait for its end; the exit code, or the negative number of the signal that killed it."""
        ...

    def terminate(self) -> None:
        """Ask it to leave (SIGTERM); harmless when it has."""

    def kill(self) -> None:
        """End it at once; harmless when it has ended."""


Start = Callable[[int], Awaitable[Worker]]


class Workers:
    """A number of workers, kept running until all leave.

    Args:
        start: starts the worker of this number, from 1; raises OSError if it cannot.
        release: gives up what the parent holds for them, the listening socket. Called once, when
            all are leaving: from then on the port is free as soon as the last worker lets go of it.
    """

    def __init__(self, start: Start, release: Callable[[], object]) -> None:
        self._start = start
        self._release = release
        self._running: dict[int, Worker] = {}
        self._refusal: SettingsError | StoreCorruptError | None = None
        self._worst = 0

    async def run(self, amount: int, drain: float, stop: trio.Event) -> int:
        """Keep that many workers running until `stop` is set and all have left.

        Args:
            amount: how many.
            drain: seconds they have to leave; what is left of them six more later is killed.
            stop: set by the first signal, and by the first worker that cannot start.

        Returns:
            the worst of their exit codes.

        Raises:
            SettingsError: a worker found that a setting cannot be used.
            StoreCorruptError: a worker found that the log is damaged.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._see_out, drain, stop)
            async with trio.open_nursery() as workers:
                for number in range(1, amount + 1):
                    live = partial(self._live, number, stop)
                    keep = partial(keep_running, on=WorkerEndedError, stopping=stop)
                    workers.start_soon(keep, f"worker {number}", live)
            nursery.cancel_scope.cancel()
        if self._refusal is not None:
            raise self._refusal
        return self._worst

    def end_at_once(self, number: int) -> NoReturn:
        """What the second signal does: nobody waits for anybody. Safe in a signal handler."""
        # Their lifelines end with us, and so would they; but not one whose threads cannot run,
        # for a function in C that keeps the interpreter's lock.
        for worker in list(self._running.values()):
            worker.kill()
        os._exit(128 + number)

    async def _live(self, number: int, stop: trio.Event) -> None:
        """One life of a worker, from its start to its end.

        Raises:
            WorkerEndedError: it ended, and another one is wanted.
        """
        if stop.is_set():
            return
        try:
            worker = await self._start(number)
        except OSError as exc:
            raise WorkerEndedError(f"cannot be started: {exc}") from exc
        self._running[number] = worker
        log.info("worker started", worker=number, pid=worker.pid)
        if stop.is_set():  # while it was being started
            worker.terminate()
        try:
            code = await worker.wait()
        except BaseException:
            worker.kill()
            raise
        finally:
            del self._running[number]
        self._judge(number, worker.words, code, stop)

    def _judge(self, number: int, words: str, code: int, stop: trio.Event) -> None:
        if code in {process.EXIT_SETTINGS, process.EXIT_LOG}:
            words = words or f"worker {number} could not start"
            kind = StoreCorruptError if code == process.EXIT_LOG else SettingsError
            # The first one's words: the others found the same.
            self._refusal = self._refusal or kind(words)
            stop.set()
        elif not stop.is_set():
            # A worker that somebody asked to leave (0) is replaced too: it is how workers are
            # exchanged one by one, and a service must not shrink unnoticed.
            raise WorkerEndedError(_told(code))
        elif code != -signal.SIGTERM:
            # By our own SIGTERM a worker dies only where it does not handle it: before its first
            # connection, or after its last.
            self._worst = max(self._worst, code if code >= 0 else 128 - code)

    async def _see_out(self, drain: float, stop: trio.Event) -> None:
        await stop.wait()
        self._release()
        for worker in self._running.values():
            worker.terminate()
        await trio.sleep(drain + process.LAST_RESORT_AFTER_DRAIN + MARGIN)
        for number, worker in self._running.items():
            log.error("worker killed: still here after its last resort", worker=number)
            worker.kill()


def _told(code: int) -> str:
    return f"it left with {code}" if code >= 0 else f"killed by signal {-code}"
