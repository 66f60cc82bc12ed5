"""Each fault that is corrected here, shown in the unmodified Hypercorn.

A test that fails after an upgrade is good news: it names a correction that can go (see the table in
storefront/serving/corrections.py). That our own server has none of them is shown in the other
files.
"""

from __future__ import annotations

import socket
import struct
from contextlib import asynccontextmanager, suppress

import h2.config
import h2.connection
import pytest
import trio
import trio.lowlevel
from hypercorn.config import Config
from hypercorn.events import RawData
from hypercorn.protocol.h2 import BUFFER_HIGH_WATER, StreamBuffer
from hypercorn.trio import serve
from hypercorn.trio.task_group import _handle
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import EventWrapper, WorkerContext

START = {"type": "http.response.start", "status": 200, "headers": []}
WAITS = 0.5  # seconds in which the corrected server has long done what Hypercorn never does


class Unmodified:
    def __init__(self):
        self.port = 0
        self.died_of = None
        self.ended = trio.Event()
        self.shut_down = trio.Event()
        self.cancel = None

    async def connect(self):
        return await trio.open_tcp_stream("127.0.0.1", self.port)


@asynccontextmanager
async def unmodified(app, **settings):
    """hypercorn.trio.serve as it is; whatever ends it is kept, not raised."""
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.errorlog = None
    for name, value in settings.items():
        setattr(config, name, value)
    server = Unmodified()

    async def http_only(scope, receive, send):
        if scope["type"] == "lifespan":
            raise NotImplementedError
        await app(scope, receive, send)

    async def run(*, task_status):
        try:
            with trio.CancelScope() as scope:
                server.cancel = scope.cancel
                await serve(
                    http_only,
                    config,
                    shutdown_trigger=server.shut_down.wait,
                    task_status=task_status,
                )
        except BaseException as error:
            if not isinstance(error, Exception):
                raise
            server.died_of = error
        finally:
            server.ended.set()

    async with trio.open_nursery() as nursery:
        urls = await nursery.start(run)
        server.port = int(urls[0].rsplit(":", 1)[1])
        yield server
        nursery.cancel_scope.cancel()


async def hello(scope, receive, send):
    await send(START)
    await send({"type": "http.response.body", "body": b"hello"})


async def flood(scope, receive, send):
    await send(START)
    while True:
        await send({"type": "http.response.body", "body": bytes(16384), "more_body": True})
        flood.sent += 16384
        await trio.lowlevel.checkpoint()


def frame(kind, flags, stream_id, payload=b""):
    return (
        len(payload).to_bytes(3, "big")
        + bytes([kind, flags])
        + struct.pack(">I", stream_id)
        + payload
    )


def http2():
    config = h2.config.H2Configuration(validate_outbound_headers=False)
    connection = h2.connection.H2Connection(config)
    connection.initiate_connection()
    return connection


HEAD = [(":method", "GET"), (":path", "/"), (":scheme", "http"), (":authority", "shop")]


async def read_for(stream, seconds):
    seen = b""
    with trio.move_on_after(seconds), suppress(trio.BrokenResourceError):
        while data := await stream.receive_some(65536):
            seen += data
    return seen


async def test_a_write_to_a_peer_that_does_not_read_cannot_be_cancelled():
    flood.sent = 0
    async with unmodified(flood, graceful_timeout=0.1) as server:
        async with await server.connect() as stream:
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
            await trio.sleep(0.2)
            server.shut_down.set()
            await trio.sleep(0.1)
            server.cancel()
            with trio.move_on_after(WAITS):
                await server.ended.wait()
            assert not server.ended.is_set()
        with trio.fail_after(2):  # only the peer can end it
            await server.ended.wait()


class _Nobody:
    """Stands where Hypercorn's protocol does."""

    async def handle(self, event):
        pass


@asynccontextmanager
async def bare_server():
    """Hypercorn's TCPServer on one end of a pair of sockets, and the other end."""
    one, other = (trio.SocketStream(trio.socket.from_stdlib_socket(s)) for s in socket.socketpair())
    server = TCPServer(None, Config(), WorkerContext(None), {}, one)
    server.protocol = _Nobody()  # type: ignore[assignment]  # it only needs to be told
    async with one, other:
        yield server, other


async def test_a_write_that_meets_the_end_of_the_connection_raises_in_the_application():
    raised = 0

    async def write(server):
        nonlocal raised
        try:
            await server.protocol_send(RawData(b"late"))
        except trio.BusyResourceError:
            raised += 1

    for _ in range(100):  # which of the two comes first is a matter of luck
        async with bare_server() as (server, _other), trio.open_nursery() as nursery:
            nursery.start_soon(server._close)
            nursery.start_soon(write, server)
    assert raised > 0


async def test_an_application_with_an_unread_body_is_stuck_when_its_client_leaves():
    stuck = trio.Event()

    async def unread(scope, receive, send):
        await send(START)
        while not stuck.is_set():
            with trio.move_on_after(WAITS) as attempt:
                await send({"type": "http.response.body", "body": b"event", "more_body": True})
            if attempt.cancelled_caught:
                stuck.set()
            await trio.sleep(0.01)

    async with unmodified(unread) as server:
        async with await server.connect() as stream:
            await stream.send_all(
                b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            for _ in range(30):
                await stream.send_all(b"1\r\nx\r\n")
                await trio.sleep(0.001)
        with trio.fail_after(3):
            await stuck.wait()


async def test_a_group_swallows_what_must_end_the_process():
    async def leaving(*args):
        raise BaseExceptionGroup("both", [ValueError("a bug"), SystemExit(1)])

    async def send(message):
        pass

    config = Config()
    config.errorlog = None
    await _handle(leaving, config, {}, None, send, None, None)


async def test_a_pipelined_request_hides_that_the_client_left():
    told = trio.Event()

    async def waiting(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass
        told.set()

    async with unmodified(waiting) as server:
        async with await server.connect() as stream:
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n" * 2)
        await trio.sleep(WAITS)
        assert not told.is_set()


async def test_a_head_beyond_its_limit_passes_in_one_read():
    async with (
        unmodified(hello, h11_max_incomplete_size=4096) as server,
        await server.connect() as stream,
    ):
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: shop\r\nX: %s\r\n\r\n" % (b"x" * 16000))
        assert b"200" in await read_for(stream, WAITS)


async def test_h2c_upgrades_are_always_accepted():
    async with unmodified(hello) as server, await server.connect() as stream:
        await stream.send_all(
            b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade, HTTP2-Settings\r\n"
            b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n"
        )
        assert (await read_for(stream, WAITS)).startswith(b"HTTP/1.1 101 ")


async def test_a_buffer_lets_its_producer_go_although_it_is_still_full(nursery):
    buffer = StreamBuffer(EventWrapper)
    pushed = trio.Event()

    async def push():
        await buffer.push(bytes(10 * BUFFER_HIGH_WATER))
        pushed.set()

    nursery.start_soon(push)
    await trio.sleep(0.01)
    assert not pushed.is_set()
    assert await buffer.pop(0) == b""  # no window: nothing was taken
    with trio.fail_after(WAITS):
        await pushed.wait()


async def test_a_peer_that_never_grants_window_gets_a_process_full_of_data():
    flood.sent = 0
    async with unmodified(flood) as server, await server.connect() as stream:
        client = http2()
        client.send_headers(1, HEAD, end_stream=True)
        await stream.send_all(client.data_to_send())
        await read_for(stream, WAITS)
        assert flood.sent > 20 * 65_535


async def test_a_sender_cancelled_while_it_waits_for_its_turn_loses_its_bytes(nursery):
    async with bare_server() as (server, other):
        await nursery.start(_hold, server.send_lock)
        with trio.move_on_after(0.05):
            await server.protocol_send(RawData(b"a frame that h2 has given away"))
        await trio.sleep(0.1)  # the turn has come, for nobody
        await server.protocol_send(RawData(b"the next"))
        assert await read_for(other, 0.1) == b"the next"


async def _hold(lock, *, task_status):
    async with lock:
        task_status.started()
        await trio.sleep(0.1)


def _data_after_the_answer(client):
    client.send_headers(1, [(":method", "POST"), *HEAD[1:]])
    yield client.data_to_send()
    client.send_data(1, b"more")
    yield client.data_to_send()


def _connect(client):
    client.send_headers(1, [(":method", "CONNECT"), (":authority", "shop")])
    yield client.data_to_send()


def _path_beyond_ascii(client):
    client.send_headers(1, [HEAD[0], (":path", b"/\xff"), *HEAD[2:]], end_stream=True)
    yield client.data_to_send()


def _many_priorities(client):
    frames = (frame(2, 0, n, bytes([0, 0, 0, 0, 16])) for n in range(3, 2103, 2))
    yield client.data_to_send() + b"".join(frames)


@pytest.mark.parametrize(
    "attack", [_data_after_the_answer, _connect, _path_beyond_ascii, _many_priorities]
)
async def test_one_connection_ends_the_process(attack):
    async with unmodified(hello) as server, await server.connect() as stream:
        for data in attack(http2()):
            await stream.send_all(data)
            await trio.sleep(0.1)
        with trio.fail_after(2):
            await server.ended.wait()
        assert server.died_of is not None


async def test_a_stream_goes_silent_after_the_last_request_of_its_connection():
    async def ticks(scope, receive, send):
        await send(START)
        if scope["path"] == "/ticks":
            while True:
                await send({"type": "http.response.body", "body": b"tick", "more_body": True})
                await trio.sleep(0.02)
        await send({"type": "http.response.body", "body": b"hello"})

    async with (
        unmodified(ticks, keep_alive_max_requests=2) as server,
        await server.connect() as stream,
    ):
        client = http2()
        client.send_headers(1, [HEAD[0], (":path", "/ticks"), *HEAD[2:]], end_stream=True)
        await stream.send_all(client.data_to_send())
        assert b"tick" in await read_for(stream, 0.1)
        for stream_id in (3, 5):
            client.send_headers(stream_id, HEAD, end_stream=True)
        await stream.send_all(client.data_to_send())
        await read_for(stream, 0.1)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # still connected
        assert await read_for(stream, WAITS) == b"", "neither data nor an end"
        await stream.send_all(frame(6, 0, 0, bytes(8)))  # nobody has closed it


async def test_frames_that_only_cost_are_free():
    async with unmodified(hello) as server, await server.connect() as stream:
        client = http2()
        await stream.send_all(client.data_to_send() + frame(6, 0, 0, bytes(8)) * 3000)
        answers = await read_for(stream, WAITS)
        assert answers.count(frame(6, 1, 0, bytes(8))) == 3000


async def test_a_connection_whose_stream_was_reset_never_becomes_idle():
    async with (
        unmodified(_wait, keep_alive_timeout=0.2) as server,
        await server.connect() as stream,
    ):
        client = http2()
        client.send_headers(1, HEAD, end_stream=True)
        client.reset_stream(1)
        await stream.send_all(client.data_to_send())
        with trio.move_on_after(1) as scope:
            while await stream.receive_some(65536):
                pass
        assert scope.cancelled_caught


async def _wait(scope, receive, send):
    while (await receive())["type"] != "http.disconnect":
        pass
