"""One child program: started in a session of its own, watched, and ended with everything that it started.

    written down --start()--> running --stop(), kill()--> ended --start()--> running

Its output goes to one file, which is what a failed test shows. Every wait has a bound; at the bound of a stop the
group is killed and the caller is told.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import trio

POLL = (
    0.02  # seconds between two looks at a child: waitpid cannot be awaited across two runs of Trio
)
KILL_PATIENCE = 5.0  # seconds: a killed process only waits for the kernel
TAIL = 4000  # characters of log that a failure shows


class ServerError(Exception):
    """A server did not start, stop or answer in time; the message carries the end of its log."""


class ServerProcess:
    """A child program and its helpers, as one thing that can be started again.

    `ready` says whether the running program answers its own protocol; it is asked until it does.
    """

    start_within = 10.0  # seconds, each class with its own measure
    stop_within = 10.0

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        folder: Path,
        ready: Callable[[], bool],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._command = command
        self._folder = folder
        self._ready = ready
        self._environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            **(environment or {}),
        }
        self._child: subprocess.Popen[bytes] | None = None
        self._group_ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def __repr__(self) -> str:
        return (
            f"<{self.name}: {self._child.pid if self._child and self.running else 'not running'}>"
        )

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int:
        """The program's own process id, for /proc and for signals."""
        if self._child is None:
            raise ServerError(f"{self.name} was never started")
        return self._child.pid

    async def start(self, *, within: float | None = None) -> float:
        """Start and wait until ready; the seconds it took.

        Raises:
            ServerError: it ended, or was not ready in time; it is not running then.
        """
        began = time.monotonic()
        bound = self.start_within if within is None else within
        self.spawn()
        try:
            with trio.fail_after(bound):
                await self._wait_until_ready()
        except trio.TooSlowError as exc:
            self.kill()
            raise self.failure(f"was not ready within {bound:g} s") from exc
        except BaseException:
            self.kill()
            raise
        return time.monotonic() - began

    async def _wait_until_ready(self) -> None:
        # A question on a socket may block for a second, and must not hold the test's loop meanwhile.
        while not await trio.to_thread.run_sync(self._ready, abandon_on_cancel=True):
            if not self.running:
                raise self.failure(f"ended with {self.returncode} before it was ready")
            await trio.sleep(POLL)

    def spawn(self) -> None:
        """Start, and do not wait. Called from the main thread (see the package's docstring)."""
        if self.running:
            raise ServerError(f"{self.name} runs already")
        with self.log.open("ab") as log:
            # setpriv replaces itself by the program, which is killed if this test run is.
            self._child = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *self._command],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._group_ended = False

    async def wait(self, *, within: float) -> int:
        """Wait for the end of the program, and end what it left behind; its exit code, negative for a signal.

        Raises:
            ServerError: it still runs after `within` seconds, and goes on.
        """
        child = self._child
        if child is None:
            raise ServerError(f"{self.name} was never started")
        with trio.move_on_after(within):
            while child.poll() is None:
                await trio.sleep(POLL)
        if child.returncode is None:
            raise self.failure(f"still runs after {within:g} s")
        self.kill()
        return child.returncode

    async def stop(self, *, within: float | None = None) -> int:
        """Ask it to end (SIGTERM), wait, and reap its group; its exit code.

        Raises:
            ServerError: it did not end in time; it was killed.
        """
        self.send(signal.SIGTERM)
        try:
            return await self.wait(within=self.stop_within if within is None else within)
        finally:
            self.kill()

    def send(self, number: signal.Signals) -> None:
        """Send the program, not its group, a signal; one that has ended does not mind."""
        if self._child is not None:
            self._child.send_signal(number)

    def kill(self) -> None:
        """SIGKILL for the whole group, as when the machine fails; harmless when nothing runs."""
        if self._child is None or self._group_ended:
            return
        self._signal_group(signal.SIGKILL)
        self._child.wait(KILL_PATIENCE)
        # Never again: the number of an ended group may be given to somebody else.
        self._group_ended = True

    def freeze(self) -> None:
        """Stop its clock (SIGSTOP): connections stay, answers do not come."""
        self._signal_group(signal.SIGSTOP)

    def thaw(self) -> None:
        """Undo `freeze`."""
        self._signal_group(signal.SIGCONT)

    @property
    def returncode(self) -> int | None:
        return self._child.poll() if self._child else None

    def output(self) -> str:
        """All that it wrote so far, over all its starts."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def logs(self) -> Iterator[tuple[str, str]]:
        """What a failed test shows: (title, end of the log)."""
        yield f"end of {self.log.name}", self.output()[-TAIL:]

    def failure(self, what: str) -> ServerError:
        return ServerError("\n".join([f"{self.name} {what}", *(text for _, text in self.logs())]))

    def _signal_group(self, number: signal.Signals) -> None:
        if self._child is not None and not self._group_ended:
            with suppress(ProcessLookupError):
                os.killpg(self._child.pid, number)
