"""A program of the harness as a child: told what to do in lines of JSON, an answer to each in
order.

The child's half is `Orders` and `answer`; the parent's is `open_child`. A child ends when its
standard input does, and is killed with the process that started it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self, TextIO

import trio

REPOSITORY = Path(__file__).parents[1]
LAST_PATIENCE = 5.0  # seconds for a child to end by itself
POLL = 0.02  # seconds between two looks whether it has


class ChildError(Exception):
    """A program of the harness ended, or refused; nothing it measured counts."""


class Orders:
    """What the parent says, without waiting for it."""

    def __init__(self, source: TextIO) -> None:
        self._fd = source.fileno()
        self._rest = b""
        self.ended = False

    def __enter__(self) -> Self:
        os.set_blocking(self._fd, False)
        return self

    def __exit__(self, *_: object) -> None:
        os.set_blocking(self._fd, True)

    def fileno(self) -> int:
        return self._fd

    def take(self) -> list[dict[str, Any]]:
        """Whole lines that have come."""
        try:
            data = os.read(self._fd, 65536)
        except BlockingIOError:
            return []
        self.ended = not data
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]


def answer(found: dict[str, Any]) -> None:
    """Tell the parent."""
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


class Child:
    """A running program of the harness."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.name = name
        self._process = process
        self._to = trio.lowlevel.FdStream(os.dup(process.stdin.fileno()))
        self._from = trio.lowlevel.FdStream(os.dup(process.stdout.fileno()))
        self._log = log
        self._rest = b""

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, do: str, *, within: float = 30.0, **order: Any) -> dict[str, Any]:
        """Have it do something; its answer.

        Raises:
            ChildError: it ended, did not answer in time, or could not do it.
        """
        line = json.dumps({"do": do, **order}).encode() + b"\n"
        try:
            with trio.fail_after(within):
                await self._to.send_all(line)
                found: dict[str, Any] = json.loads(await self._line())
        except (trio.TooSlowError, trio.BrokenResourceError) as exc:
            raise ChildError(f"{self.name} did not answer to {do!r}: {self._last_words()}") from exc
        if "error" in found:
            raise ChildError(f"{self.name} on {do!r}: {found['error']}")
        return found

    async def _line(self) -> bytes:
        while b"\n" not in self._rest:
            more = await self._from.receive_some(65536)
            if not more:
                raise ChildError(f"{self.name} ended: {self._last_words()}")
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    async def end(self) -> None:
        """Have it end by itself, or else kill it."""
        await self._to.aclose()
        await self._from.aclose()
        with trio.move_on_after(LAST_PATIENCE):
            while self._process.poll() is None:  # noqa: ASYNC110 - waitpid sets no event
                await trio.sleep(POLL)
        self._process.kill()
        self._process.wait()

    def _last_words(self) -> str:
        return self._log.read_text(errors="replace")[-2000:] if self._log.exists() else ""


@asynccontextmanager
async def open_child(name: str, module: str, folder: Path, *arguments: str) -> AsyncIterator[Child]:
    """A module of the bench, as a program of its own for the time of the block."""
    log = folder / f"{name}.log"
    # Not through Trio, which would start it from a thread that goes when it is idle: setpriv has
    # the program killed with the thread that started it, so that has to be the main one.
    with log.open("ab") as errors:
        process = subprocess.Popen(  # noqa: ASYNC220 - see above; a few milliseconds
            ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=REPOSITORY,
        )
    with process:
        child = Child(name, process, log)
        assert process.stdin is not None
        process.stdin.close()
        try:
            yield child
        finally:
            with trio.CancelScope(shield=True):
                await child.end()
