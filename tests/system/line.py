"""The line between a browser and the service, for tests that cut it: a TCP proxy that alters nothing and hears all.

    accepting --refuse()--> refusing --accept()--> accepting       what is open stays open
    open --break_off("fin" | "rst")--> gone                        as a proxy that restarts, or one that crashes
    open --swallow()--> silent                                     as a cable that was pulled: nobody hears of an end

It lives in a thread of its own, for a browser test belongs to Playwright, which has the main thread; its methods may be
called from there and return when it is done.
"""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import trio

from tests.system.servers.ports import LOOPBACK, free_port

T = TypeVar("T")

READ = 65_536
PATIENCE = 5.0  # seconds for a word to the line's thread, which does nothing that takes long
# Closing at once and without the queue's rest is what sends RST instead of FIN (socket(7), SO_LINGER).
RESET = struct.pack("ii", 1, 0)
CURSOR = re.compile(rb"^last-event-id: *([^\r\n]*)\r$", re.IGNORECASE | re.MULTILINE)


@dataclass(eq=False)
class Call:
    """One connection of the browser, and every byte in both directions."""

    browser: trio.SocketStream
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    asked: bytearray = field(default_factory=bytearray)
    answered: bytearray = field(default_factory=bytearray)
    over: bool = False
    silent: bool = False

    @property
    def cursors(self) -> list[str]:
        """What it said it had seen last, for each request that said so."""
        return [found.decode() for found in CURSOR.findall(bytes(self.asked))]


class Line:
    """A port that leads to an address.

    Attributes:
        port: on the loopback; it stays its own while the line refuses.
        calls: every connection so far, the oldest first.
    """

    def __init__(self, target: tuple[str, int], port: int | None = None) -> None:
        self.port = free_port() if port is None else port
        self.calls: list[Call] = []
        self._target = target
        self._ready = threading.Event()
        self._token: trio.lowlevel.TrioToken
        self._nursery: trio.Nursery
        self._door = trio.CancelScope()

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def open_calls(self) -> list[Call]:
        return [call for call in self.calls if not call.over]

    def refuse(self) -> None:
        """Nobody gets through any more: connections are refused."""
        self._do(self._door.cancel)

    def accept(self) -> None:
        """Listen again, on the same port."""
        self._do(self._listen)

    def break_off(self, how: Literal["fin", "rst"]) -> None:
        """End every open connection, towards the browser in this way."""

        def break_off() -> None:
            for call in self.open_calls:
                if how == "rst":
                    call.browser.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                call.scope.cancel()

        self._do(break_off)

    def swallow(self) -> None:
        """Nothing passes any more on what is open, either way, not even its end; what comes later does."""

        def swallow() -> None:
            for call in self.open_calls:
                call.silent = True

        self._do(swallow)

    def run(self) -> None:
        """Live until `close`, in the thread that calls."""
        trio.run(self._live)

    def wait_until_ready(self) -> None:
        assert self._ready.wait(PATIENCE), "the line did not start"

    def close(self) -> None:
        self._do(self._nursery.cancel_scope.cancel)

    def _do(self, what: Callable[[], T]) -> T:
        return trio.from_thread.run_sync(what, trio_token=self._token)

    async def _live(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as self._nursery:
            self._listen()
            self._ready.set()
            await trio.sleep_forever()

    def _listen(self) -> None:
        listening = socket.create_server((LOOPBACK, self.port))
        listening.setblocking(False)
        self._door = trio.CancelScope()
        self._nursery.start_soon(self._serve, trio.socket.from_stdlib_socket(listening), self._door)

    async def _serve(self, listening: trio.socket.SocketType, door: trio.CancelScope) -> None:
        with listening, door:
            while True:
                accepted, _ = await listening.accept()
                self._nursery.start_soon(self._carry, Call(trio.SocketStream(accepted)))

    async def _carry(self, call: Call) -> None:
        self.calls.append(call)
        try:
            with call.scope:
                service = await trio.open_tcp_stream(*self._target)
                # Where one side hangs up, the other is hung up on.
                async with service, trio.open_nursery() as nursery:
                    nursery.start_soon(_pump, call, call.browser, service, call.asked)
                    nursery.start_soon(_pump, call, service, call.browser, call.answered)
        except OSError:
            pass  # nobody is there: the browser is told by the end of its connection
        finally:
            call.browser.socket.close()
            call.over = True


async def _pump(
    call: Call, source: trio.SocketStream, sink: trio.SocketStream, heard: bytearray
) -> None:
    try:
        while data := await source.receive_some(READ):
            if not call.silent:
                heard += data
                await sink.send_all(data)
    except trio.BrokenResourceError:
        pass  # a killed service's kernel may send RST where its end was expected
    if call.silent:
        await trio.sleep_forever()
    call.scope.cancel()


@contextmanager
def open_line(target: tuple[str, int], port: int | None = None) -> Iterator[Line]:
    """A line to this address, accepting; all its connections end with the block."""
    line = Line(target, port)
    thread = threading.Thread(target=line.run, name="line")
    thread.start()
    line.wait_until_ready()
    try:
        yield line
    finally:
        line.close()
        thread.join(PATIENCE)
