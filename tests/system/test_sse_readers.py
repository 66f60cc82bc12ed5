"""The readers of streams that the system tests trust: a parser by the book, and clients that read as they are told."""

from __future__ import annotations

import socket

import pytest
import trio

from tests.system.servers.ports import LOOPBACK
from tests.system.servers.sse_client import SseClient, open_httpx_stream
from tests.system.servers.sse_wire import ChunkedBody, SseParser, body_of, parse_head


@pytest.mark.parametrize("ending", ["\n", "\r", "\r\n"], ids=["LF", "CR", "CRLF"])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_an_event_stream_is_read_alike_with_every_line_ending_and_cut(ending, size):
    stream = ending.join(
        ["retry: 2837", "", ":ping", "event: stream", 'data: {"a":1}', "", "id: e-1", "", "data: x",
         "data:  y", "id: e-2", "", "data", "", "", "data: unfinished"]
    ).encode()  # fmt: skip
    parser = SseParser()
    for at in range(0, len(stream), size):
        parser.feed(stream[at : at + size], now=float(at))
    assert [(e.type, e.data, e.id) for e in parser.events] == [
        ("stream", '{"a":1}', ""),
        ("message", "x\n y", "e-2"),
        ("message", "", "e-2"),
    ]
    assert parser.retry == 2837
    assert [text for _, text in parser.comments] == ["ping"]
    assert parser.last_event_id == "e-2"


def test_a_block_of_only_an_id_moves_the_cursor_and_fires_nothing():
    parser = SseParser()
    assert parser.feed(b"id: k3x9-15\n\n", now=0.0) == []
    assert parser.last_event_id == "k3x9-15"
    assert parser.feed(b"data: next\n\n", now=1.0)[0].id == "k3x9-15"


def test_an_id_counts_only_with_the_end_of_its_block():
    parser = SseParser()
    parser.feed(b"id: whole\n\nid: cut off\ndata: x\n", now=0.0)
    assert parser.last_event_id == "whole"


def test_only_cr_and_lf_end_a_line():
    text = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg"
    (event,) = SseParser().feed(f"data: {text}\n\n".encode(), now=0.0)
    assert event.data == text


def test_what_the_standard_says_to_ignore_is_ignored():
    parser = SseParser()
    parser.feed(b"\xef\xbb\xbfid: first\nunknown: x\nretry: 12a\nid: a\0b\n\n", now=0.0)
    parser.feed(b"event: lonely\n\n", now=0.0)
    (event,) = parser.feed(b"data: x\n\n", now=7.5)
    assert (event.type, event.id, event.received) == ("message", "first", 7.5)
    assert parser.retry is None


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_a_chunked_body_is_put_together_and_its_end_is_seen(size):
    wire = b"5\r\nhello\r\n1;ext=1\r\n\r\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"
    body, seen = ChunkedBody(), b""
    for at in range(0, len(wire), size):
        assert not body.complete
        seen += body.feed(wire[at : at + size])
    assert seen == b"hello\r0123456789"
    assert body.complete


@pytest.mark.parametrize("wire", [b"2\r\nabc\r\n", b"x\r\n", b"0\r\n\r\nmore"])
def test_what_is_no_chunked_body_is_refused(wire):
    with pytest.raises(ValueError):
        ChunkedBody().feed(wire)


def test_a_head_is_read_with_its_repeated_headers():
    status, headers = parse_head(
        b"HTTP/1.1 204 No Content\r\nVary: Origin\r\nVARY: Cookie\r\nX: a:b"
    )
    assert (status, headers) == (204, {"vary": "Origin, Cookie", "x": "a:b"})
    assert body_of(status, headers).complete


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


@pytest.fixture
async def wire(nursery):
    """A server on real sockets that hands every connection to the test: (its URL, connections)."""
    (listener,) = await trio.open_tcp_listeners(0, host=LOOPBACK)
    accepted, connections = trio.open_memory_channel[trio.SocketStream](10)

    async def hand_over(stream: trio.SocketStream) -> None:
        accepted.send_nowait(stream)
        await trio.sleep_forever()

    nursery.start_soon(trio.serve_listeners, hand_over, [listener])
    return f"http://{LOOPBACK}:{listener.socket.getsockname()[1]}", connections


async def test_a_client_reads_events_as_they_come_and_sees_a_clean_end(wire):
    url, connections = wire
    async with await SseClient.connect(f"{url}/sse?x=1", headers={"Cookie": "a=b"}) as client:
        server = await connections.receive()
        request = await server.receive_some()
        assert request.startswith(b"GET /sse?x=1 HTTP/1.1\r\nHost: 127.0.0.1:")
        assert request.endswith(b"\r\nAccept: text/event-stream\r\nCookie: a=b\r\n\r\n")
        await server.send_all(HEAD + chunk(b"event: stream\ndata: {}\n\nid: 1\nda"))
        assert await client.read_head() == 200
        assert (await client.read_event()).type == "stream"
        await server.send_all(chunk(b"ta: one\n\n") + b"0\r\n\r\n")
        assert (await client.read_event("message")).data == "one"
        with pytest.raises(EOFError, match="clean"):
            await client.read_event()
        assert client.headers["content-type"] == "text/event-stream"
        assert client.raw.startswith(b"HTTP/1.1 200 OK")


async def test_a_client_tells_a_cut_from_a_clean_end(wire):
    url, connections = wire
    async with await SseClient.connect(url) as client:
        server = await connections.receive()
        await server.send_all(HEAD + chunk(b"data: 1\n\n"))
        await server.aclose()
        await client.read_to_end()
    assert client.ended == "cut"
    assert [event.data for event in client.sse.events] == ["1"]


async def test_a_client_that_never_reads_takes_only_its_small_buffer(wire):
    url, connections = wire
    async with await SseClient.connect(url, receive_buffer=4096):
        server = await connections.receive()
        server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        taken = 0
        with trio.move_on_after(0.5) as scope:
            while taken < 1_000_000:
                taken += await server.socket.send(bytes(1000))
        assert scope.cancelled_caught
        assert taken < 50_000


async def test_a_client_reads_at_the_pace_that_was_asked_for(wire):
    url, connections = wire
    async with await SseClient.connect(url) as client:
        server = await connections.receive()
        await server.send_all(HEAD + chunk(bytes(20_480)) + b"0\r\n\r\n")
        began = trio.current_time()
        await client.read_to_end(kib_per_second=40)
    assert 0.4 < trio.current_time() - began < 2
    assert client.ended == "clean"


async def test_a_client_leaves_as_it_was_asked_to(wire):
    url, connections = wire
    polite = await SseClient.connect(url)
    server = await connections.receive()
    await server.receive_some()
    await polite.aclose()
    assert await server.receive_some() == b""

    rude = await SseClient.connect(url)
    server = await connections.receive()
    await server.receive_some()
    rude.reset()
    with pytest.raises(trio.BrokenResourceError):
        await server.receive_some()


async def test_httpx_reads_the_same_stream(wire):
    url, connections = wire

    async def serve() -> None:
        server = await connections.receive()
        await server.receive_some()
        await server.send_all(HEAD + chunk(b"id: 1\ndata: one\n\n") + b"0\r\n\r\n")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        async with open_httpx_stream(url) as source:
            seen = [(event.id, event.data) async for event in source.aiter_sse()]
    assert seen == [("1", "one")]
