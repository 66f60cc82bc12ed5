"""One worker as a process, seen from its parent."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Self

import trio

# Bytes of a worker's last words; a line of an operator's error is never as long.
MOST_WORDS = 4096


def worker_command() -> list[str]:
    """This program as a worker; the arguments of the command `worker` are to follow."""
    # With -m alone, a process looks for modules in its working folder first. It does so where we
    # did so ourselves, for there the package may be in that folder; and nowhere else.
    by_module = getattr(sys.modules["__main__"], "__spec__", None) is not None
    return [sys.executable, *([] if by_module else ["-P"]), "-m", "storefront", "worker"]


class WorkerProcess:
    """A running worker and our end of its lifeline.

    Attributes:
        words: what it said of its end, once `wait` has returned.
    """

    def __init__(self, process: trio.Process, lifeline: socket.socket) -> None:
        self.words = ""
        self._process = process
        self._lifeline = lifeline

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        environ: Mapping[str, str],
        listening: socket.socket,
        number: int,
    ) -> Self:
        """Start worker `number`: `command NUMBER LISTENING LIFELINE`, the last two as descriptors.

        Raises:
            OSError: the system lets us have no process, no memory or no descriptor.
        """
        ours, theirs = socket.socketpair()
        try:
            # A copy: a process is started in a thread, and meanwhile all may begin to leave and
            # `listening` be closed.
            with theirs, listening.dup() as handed:
                process = await trio.lowlevel.open_process(
                    [*command, str(number), str(handed.fileno()), str(theirs.fileno())],
                    env=environ,
                    stdin=subprocess.DEVNULL,
                    pass_fds=(handed.fileno(), theirs.fileno()),
                    # Ctrl+C is the parent's to hear, and to pass on in its own words: a process
                    # that is still importing would answer it with a traceback.
                    process_group=0,
                )
        except BaseException:
            ours.close()
            raise
        return cls(process, ours)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait(self) -> int:
        code = await self._process.wait()
        with self._lifeline, suppress(OSError):
            said = self._lifeline.recv(MOST_WORDS, socket.MSG_DONTWAIT)
            self.words = said.decode(errors="replace")
        return code

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()
