"""A server on a real socket of the loopback, and clients that do as badly as a test wants.

Real sockets, so the real clock: budgets are short, and every wait has a bound above it.
"""

from __future__ import annotations

import hashlib
import logging
import socket
from contextlib import asynccontextmanager, suppress

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import pytest
import trio
from hyperframe.frame import GoAwayFrame

from storefront.serving import Drain, Limits, ServingWatch, open_listening_socket, serve_http

SHORT = Limits(idle_seconds=1, head_seconds=1, linger_seconds=0.3)
START = {"type": "http.response.start", "status": 200, "headers": []}

# An application that can do what the tests need, chosen by path.


def chunk(number, size=1000):
    """Bytes that differ everywhere, so that a lost or doubled piece shows."""
    seed = hashlib.sha256(str(number).encode()).digest()
    return (seed * (size // len(seed) + 1))[:size]


class RawApp:
    """An ASGI application without a framework; it remembers what became of its requests."""

    def __init__(self):
        self.scopes = []
        self.sent = {}  # path -> bytes handed to send
        self.ends = {}  # path -> why the request ended
        self.received = {}  # path -> request body
        self.opened = {}  # path -> trio.Event: may go on

    async def __call__(self, scope, receive, send):
        assert scope["type"] == "http"
        self.scopes.append(scope)
        path = scope["path"]
        self.sent.setdefault(path, 0)
        name = path.strip("/").split("/")[0] or "hello"
        await getattr(self, name)(scope, receive, send)

    async def hello(self, _scope, _receive, send):
        await send({**START, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"hello"})

    async def late(self, scope, receive, send):
        await trio.sleep(0.2)
        await self.hello(scope, receive, send)

    async def fail(self, _scope, _receive, _send):
        raise ValueError("a bug in the application")

    async def half(self, _scope, _receive, send):
        await send(START)
        await send({"type": "http.response.body", "body": b"half of it", "more_body": True})
        raise ValueError("a bug in the application")

    async def unread(self, scope, _receive, send):
        """Answer without looking at the request's body; /unread/late when it has arrived."""
        if scope["path"].endswith("late"):
            await trio.sleep(0.05)
        await send({**START, "status": 413})
        await send({"type": "http.response.body", "body": b"no"})

    async def echo(self, scope, receive, send):
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.ends[scope["path"]] = "disconnect"
                return
            body += message["body"]
            if not message["more_body"]:
                break
        self.received[scope["path"]] = body
        await send(START)
        await send({"type": "http.response.body", "body": body})

    async def big(self, scope, _receive, send):
        """/big/<bytes>: one body in one message."""
        await send(START)
        size = int(scope["path"].split("/")[2])
        await send({"type": "http.response.body", "body": chunk(size, size)})

    async def wait(self, scope, receive, send):
        """Answer nothing until the client leaves."""
        await send(START)
        await send({"type": "http.response.body", "body": b"waiting", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        self.ends[scope["path"]] = "disconnect"

    async def deaf(self, _scope, _receive, send):
        """Wait without ever asking what the client does."""
        await send(START)
        await send({"type": "http.response.body", "body": b"waiting", "more_body": True})
        await trio.sleep_forever()

    async def flood(self, scope, receive, send):
        """Send without end, until told to stop; remember why."""
        await self._stream(scope, receive, send, size=16 * 1024, pause=0)

    async def ticks(self, scope, receive, send):
        """A small event every 20 ms."""
        await self._stream(scope, receive, send, size=100, pause=0.02)

    async def steady(self, scope, receive, send):
        """As much as the client takes, 4 KiB at a time."""
        await self._stream(scope, receive, send, size=4096, pause=0)

    async def _stream(self, scope, receive, send, *, size, pause):
        path = scope["path"]
        connection = scope["state"]["connection"]
        await send({**START, "headers": [(b"content-type", b"text/event-stream")]})

        async def produce():
            number = 0
            while True:
                await send(
                    {"type": "http.response.body", "body": chunk(number, size), "more_body": True}
                )
                number += 1
                self.sent[path] += size
                await trio.sleep(pause)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(produce)
            while (await receive())["type"] != "http.disconnect":
                pass
            nursery.cancel_scope.cancel()
        self.ends[path] = "slow" if connection.slow else "left"


class Http1Client:
    """Bytes out, bytes in."""

    def __init__(self, stream):
        self.stream = stream
        self.seen = b""

    async def ask(self, path="/", *, method="GET", headers="", body=b""):
        head = f"{method} {path} HTTP/1.1\r\nHost: shop\r\n{headers}\r\n"
        await self.stream.send_all(head.encode() + body)

    async def read_until(self, needle, *, within=5):
        with trio.fail_after(within):
            while needle not in self.seen:
                data = await self.stream.receive_some(65536)
                if not data:
                    raise EOFError(self.seen[-200:])
                self.seen += data
        return self.seen

    async def read_to_end(self, *, within=5):
        """All that comes until the connection ends, by FIN or by RST."""
        with trio.fail_after(within):
            try:
                while data := await self.stream.receive_some(65536):
                    self.seen += data
            except trio.BrokenResourceError:
                pass
        return self.seen


class Http2Client:
    """The h2 package over a Trio stream; grants window only when told to."""

    def __init__(self, stream, *, granting=True):
        config = h2.config.H2Configuration(
            client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self.h2 = h2.connection.H2Connection(config)
        self.stream = stream
        self.granting = granting
        self.bodies = {}
        self.statuses = {}
        self.ended = set()
        self.resets = {}  # stream id -> error code
        self.goaway = None  # error code
        self.gone = False
        self._changed = trio.Event()
        self._sending = trio.Lock()
        self._reading = trio.Event()
        self._reading.set()
        # h2 takes a GOAWAY for the end; a browser reads on what it was promised (RFC 9113 section
        # 6.8).
        self.h2._frame_dispatch_table[GoAwayFrame] = self._note_goaway

    def _note_goaway(self, frame):
        self.goaway = frame.error_code
        return [], []

    def pause(self):
        """Read no more than has been asked for already."""
        self._reading = trio.Event()

    def go_on(self):
        self._reading.set()

    async def begin(self, settings=None):
        if settings:
            self.h2.local_settings = h2.settings.Settings(client=True, initial_values=settings)
        self.h2.initiate_connection()
        await self.flush()

    async def flush(self):
        async with self._sending:
            if data := self.h2.data_to_send():
                await self.stream.send_all(data)

    async def send_raw(self, data):
        """Bytes that h2 would not send, or not know of; as far as the server takes them."""
        try:
            async with self._sending:
                await self.stream.send_all(data)
        except trio.BrokenResourceError:
            pass

    async def ask(self, path="/", *, method="GET", end=True, extra=()):
        stream_id = self.h2.get_next_available_stream_id()
        head = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "shop")]
        self.h2.send_headers(stream_id, [*head, *extra], end_stream=end)
        self.bodies[stream_id] = b""
        await self.flush()
        return stream_id

    async def run(self):
        """Read for as long as the connection lives."""
        try:
            while data := await self.stream.receive_some(65536):
                await self._reading.wait()
                for event in self.h2.receive_data(data):
                    self._note(event)
                self._changed.set()
                self._changed = trio.Event()
                await self.flush()
        except (trio.BrokenResourceError, trio.ClosedResourceError, h2.exceptions.ProtocolError):
            pass
        self.gone = True
        self._changed.set()

    def _note(self, event):
        match event:
            case h2.events.ResponseReceived():
                self.statuses[event.stream_id] = int(dict(event.headers)[b":status"])
            case h2.events.DataReceived():
                self.bodies[event.stream_id] += event.data
                if (
                    self.granting == "each" and event.data
                ):  # as the simplest clients do: two frames for each of ours
                    self.h2.increment_flow_control_window(event.flow_controlled_length)
                    with suppress(h2.exceptions.StreamClosedError):  # that was its last frame
                        self.h2.increment_flow_control_window(
                            event.flow_controlled_length, event.stream_id
                        )
                elif self.granting:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.StreamEnded():
                self.ended.add(event.stream_id)
            case h2.events.StreamReset():
                self.resets[event.stream_id] = event.error_code

    async def wait(self, condition, *, within=5):
        with trio.fail_after(within):
            while not condition():
                if self.gone:
                    raise EOFError("the connection ended first")
                await self._changed.wait()


class House:
    """A running server."""

    def __init__(self, app, drain, watch, nursery):
        self.app = app
        self.drain = drain
        self.watch = watch
        self.nursery = nursery
        self.urls = []
        self.returned = trio.Event()
        self.ended = trio.Event()  # returned or cancelled
        self.cancel = lambda: None
        self.port = 0
        self._clients = []

    def keep(self, stream):
        """Close it with the server, not before: a client that helps by leaving proves nothing."""
        self._clients.append(stream)
        return stream

    async def close_clients(self):
        for stream in self._clients:
            await trio.aclose_forcefully(stream)

    async def connect(self, *, rcvbuf=None):
        sock = trio.socket.socket()
        if rcvbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        stream = self.keep(trio.SocketStream(sock))
        await sock.connect(("127.0.0.1", self.port))
        return stream

    async def http1(self, **options):
        return Http1Client(await self.connect(**options))

    def http1_over(self, stream):
        return Http1Client(self.keep(stream))

    async def http2(self, *, granting=True, settings=None, stream=None, **options):
        client = Http2Client(stream or await self.connect(**options), granting=granting)
        await client.begin(settings)
        self.nursery.start_soon(client.run)
        return client


async def until(condition, *, within=5):
    """Poll for what no event tells: another side's counters."""
    with trio.fail_after(within):
        while not condition():
            await trio.sleep(0.005)


@asynccontextmanager
async def open_house(app=None, *, bind="127.0.0.1:0", limits=None, tls=None, send_timeout=0.5):
    """Serve until the block is left; then the server must be gone at once."""
    app = app or RawApp()
    drain, watch = Drain(), ServingWatch()
    listening = open_listening_socket(bind)
    async with trio.open_nursery() as nursery:
        house = House(app, drain, watch, nursery)

        async def run(*, task_status):
            try:
                with trio.CancelScope() as scope, listening:
                    house.cancel = scope.cancel
                    await serve_http(
                        app,
                        listening,
                        send_timeout=send_timeout,
                        drain=drain,
                        tls=tls,
                        watch=watch,
                        limits=limits or SHORT,
                        task_status=task_status,
                    )
                house.returned.set()
            finally:
                house.ended.set()

        house.urls = await nursery.start(run)
        if ":0" in bind:
            house.port = int(house.urls[0].rsplit(":", 1)[1])
        try:
            yield house
            house.cancel()  # leaving with grace has tests of its own
            with trio.fail_after(2):
                await house.ended.wait()
        finally:
            await house.close_clients()
        nursery.cancel_scope.cancel()


@pytest.fixture
def house():
    """Opens a server: `async with house(...) as served`."""
    return open_house


@pytest.fixture
def eventually():
    return until


@pytest.fixture(name="chunk")
def _chunk():
    return chunk


@pytest.fixture
def http2_client():
    """The client alone, for a stream of the test's own."""
    return Http2Client


@pytest.fixture(autouse=True)
def _loud(caplog):
    caplog.set_level(logging.DEBUG, logger="storefront.serving")
