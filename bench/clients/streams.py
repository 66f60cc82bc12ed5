"""The streams of a crowd on one epoll: connecting so many at a time, reading all, counting each.

The moment of a reading is the kernel's (SO_TIMESTAMPNS): when the bytes reached the socket, not
when this process came round to it. So the crowd may look at its sockets in turns, every few
milliseconds, without a figure becoming worse by it, and takes little of the machine that it
measures. Where bytes of several writes are read at once they all carry the moment of the last, so
a figure errs to the slow side, by one turn at most.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
import time
from array import array
from collections import Counter
from collections.abc import Iterator
from typing import Any

from bench.clients.browser import Browser
from bench.clients.wire import Ear, WireError, read_head
from bench.measure.clock import SO_TIMESTAMPNS, real_minus_monotonic, stamp
from bench.measure.sequence import Faults

READ = 16 * 1024
ANCILLARY = 64  # bytes: one timespec with its head
# Linux gives a client address some 28,000 ports; one address per so many streams is safe.
STREAMS_PER_ADDRESS = 20_000
IP_BIND_ADDRESS_NO_PORT = 24  # the port is chosen at connect, where both ends are known


class Crowd:
    """The browsers, and what they were told to do."""

    def __init__(self) -> None:
        self.browsers: list[Browser] = []
        self.poll = select.epoll()
        self.by_fd: dict[int, Browser] = {}
        self.ears = {chunked: Ear(chunked=chunked) for chunked in (True, False)}
        self.who, self.what, self.when = array("I"), array("I"), array("q")
        self.waiting: Iterator[Browser] = iter(())
        self.opening = 0
        self.window = 0
        self.address: tuple[str, int] = ("", 0)
        self.opening_frame = True
        self.receive_buffer = 0
        self.unstamped = 0
        self.errors: Counter[str] = Counter()
        self.offset = 0
        self.count = 0
        # The kernel stamps only while some socket wants it, and begins a little after the first
        # has said so: this one says it for all of them, for as long as the crowd lives.
        self._stamping = socket.socket()
        self._stamping.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)

    # --- opening

    def open(self, order: dict[str, Any], browsers: list[Browser]) -> None:
        """Have these connect, so many at a time; `opening_done` tells when all are answered."""
        self.address = (order["host"], order["port"])
        self.window = order.get("window", 500)
        self.opening_frame = order.get("opening_frame", True)
        self.receive_buffer = order.get("receive_buffer", 0)
        self.waiting = iter(browsers)
        self.opening = 0
        self._let_in()

    def _let_in(self) -> None:
        while self.opening < self.window:
            browser = next(self.waiting, None)
            if browser is None:
                return
            self._connect(browser)

    def _connect(self, browser: Browser) -> None:
        browser.forget_connection()
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        if self.receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
        if self.address[0].startswith("127."):
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((f"127.0.0.{1 + browser.number // STREAMS_PER_ADDRESS}", 0))
        browser.sock = sock
        browser.begun = time.monotonic_ns()
        self.opening += 1
        self.by_fd[sock.fileno()] = browser
        if sock.connect_ex(self.address) not in {0, errno.EINPROGRESS}:
            self._lose(browser, "connect")
            return
        # Writable once: the connection stands. Then only to read.
        self.poll.register(sock.fileno(), select.EPOLLOUT)

    def _connected(self, browser: Browser) -> None:
        sock = browser.sock
        if sock is None:
            return
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._lose(browser, "connect")
            return
        # A request is a few hundred bytes: an empty send buffer takes it whole.
        sock.send(browser.asks())
        self.poll.modify(sock.fileno(), select.EPOLLIN)

    def opened(self, browser: Browser, at: int) -> None:
        browser.opened = at
        browser.wants_first = False
        self.opening -= 1

    # --- reading

    def turn(self, timeout: float) -> None:
        """Look at every socket that has something."""
        ready = self.poll.poll(timeout, 8192)
        if ready:
            self.offset = real_minus_monotonic()
        for fd, what in ready:
            browser = self.by_fd.get(fd)
            if browser is None:
                continue
            if what & select.EPOLLOUT:
                self._connected(browser)
            else:
                self.read(browser)
        self._let_in()

    def read(self, browser: Browser) -> None:
        """Take what is there."""
        assert browser.sock is not None
        try:
            data, ancillary, _, _ = browser.sock.recvmsg(READ, ANCILLARY)
        except BlockingIOError:
            return
        except OSError:
            self._lose(browser, "reset")
            return
        if not data:
            self._lose(browser, browser.ended or "closed")
            return
        stamped = stamp(ancillary)
        if stamped is None:
            self.unstamped += 1
            at = time.monotonic_ns()
        else:
            at = stamped - self.offset
        browser.bytes += len(data)
        try:
            self.take(browser, browser.rest + data if browser.rest else data, at)
        except WireError as exc:
            self._lose(browser, f"nonsense: {exc}")

    def take(self, browser: Browser, data: bytes, at: int) -> None:
        """Understand bytes of a browser, with what was left of the last ones before them."""
        if browser.ear is None:
            data = self._take_head(browser, data, at)
        if browser.ear is None or not data:
            return
        heard = browser.ear.hear(data)
        browser.rest = data[len(data) - heard.rest :] if heard.rest else b""
        if browser.wants_first and heard.rest < len(data):
            self.opened(browser, at)
        for number in heard.numbers:
            browser.heard.take(number)
            self.who.append(browser.number)
            self.what.append(number)
            self.when.append(at)
        self.count += len(heard.numbers)
        if heard.cursor is not None:
            browser.cursor = heard.cursor
        if heard.controls:
            browser.controls.update(heard.controls)
        browser.pings += heard.pings
        if heard.finished:
            # As a browser does, whether or not the server leaves the connection open.
            self._lose(browser, "finished")

    def _take_head(self, browser: Browser, data: bytes, at: int) -> bytes:
        """What follows the head; it all waits while the head is not whole."""
        head = read_head(data)
        if head is None:
            browser.rest = data
            return b""
        browser.rest = b""
        if head.status != 200:
            self._lose(browser, f"status {head.status}")
            return b""
        browser.ear = self.ears[head.chunked]
        if not self.opening_frame:
            self.opened(browser, at)
        return data[head.size :]

    def _lose(self, browser: Browser, why: str) -> None:
        if browser.sock is None:
            return
        self.errors[why] += 1
        opening = not browser.opened
        self.drop(browser)
        browser.ended = why
        if opening and browser.begun:
            self.opening -= 1

    def drop(self, browser: Browser) -> None:
        """Close a browser's connection."""
        if browser.sock is not None:
            self.by_fd.pop(browser.sock.fileno(), None)
            browser.sock.close()
            browser.sock = None

    def stop_reading(self, every: int) -> int:
        """Have each n-th stream read no more; how many that is."""
        chosen = [each for each in self.browsers if each.number % every == 0]
        for each in chosen:
            if each.sock is not None:
                self.poll.unregister(each.sock.fileno())
        return len(chosen)

    def leave(self) -> None:
        """Hang up, all of them. A reset leaves no port in TIME_WAIT: the next round needs it."""
        for each in self.browsers:
            if each.sock is not None:
                each.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.drop(each)
        self.errors.clear()

    # --- what is told

    def mark(self) -> None:
        """Samples from here on."""
        self.who, self.what, self.when = array("I"), array("I"), array("q")
        self.count = 0
        for browser in self.browsers:
            browser.pings = 0

    def summary(self, due: list[int] | int) -> dict[str, Any]:
        """What all of it came to, if each browser (or browser n) should be at number `due` by
        now.
        """
        faults, by_browser = Faults(), 0
        for browser in self.browsers:
            wanted = due if isinstance(due, int) else due[browser.number]
            found = browser.heard.faults(wanted)
            faults += found
            by_browser += found.any
        controls: Counter[str] = Counter()
        for browser in self.browsers:
            controls.update(browser.controls)
        return {
            "lost": faults.lost,
            "doubled": faults.doubled,
            "disordered": faults.disordered,
            "streams_with_faults": by_browser,
            "events": self.count,
            "bytes": sum(browser.bytes for browser in self.browsers),
            "fewest_bytes": min((b.bytes for b in self.browsers), default=0),
            "most_bytes": max((b.bytes for b in self.browsers), default=0),
            "pings": sum(browser.pings for browser in self.browsers),
            "open": len(self.by_fd),
            "controls": dict(controls),
            "ended": dict(self.errors),
            "unstamped": self.unstamped,
        }
