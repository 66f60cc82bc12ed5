"""A server of streams that does wrong on purpose: what the crowd must find out. A thread, on real sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from bench.load import messages

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class Faulty:
    """Sends each stream the numbers it was told to, in that order, once `go` is set."""

    def __init__(self, numbers: Sequence[int], end: bytes = b"") -> None:
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listening.getsockname()[1]
        self.go = threading.Event()
        self.heads: list[bytes] = []
        self._numbers = numbers
        self._end = end
        self._threads: list[threading.Thread] = []

    def accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self.listening.accept()
                thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
                thread.start()

    def _serve(self, sock: socket.socket) -> None:
        with sock, suppress(OSError):
            self.heads.append(sock.recv(4096))
            sock.sendall(HEAD + chunk(b'event: stream\ndata: {"mode":"fresh"}\n\n'))
            self.go.wait(10)
            for number in self._numbers:
                sock.sendall(chunk(messages.frame(0, number)))
            sock.sendall(self._end)
            if not self._end:
                sock.recv(1)


@contextmanager
def open_faulty(numbers: Sequence[int], end: bytes = b"") -> Iterator[Faulty]:
    server = Faulty(numbers, end)
    thread = threading.Thread(target=server.accept, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.go.set()
        server.listening.shutdown(socket.SHUT_RDWR)
        server.listening.close()
        thread.join(5)
