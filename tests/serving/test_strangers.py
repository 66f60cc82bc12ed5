"""Whatever a stranger sends, no more ends than the stranger's own connection."""

from __future__ import annotations

import socket
import struct

import hpack
import trio
import trio.lowlevel
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext
from hypothesis import given, settings
from hypothesis import strategies as st

from storefront.serving import Drain, Limits, ServingWatch
from storefront.serving.patience import Patience
from storefront.serving.peer import Peer

LIMITS = Limits(idle_seconds=0.2, head_seconds=0.2, linger_seconds=0.05)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


async def answering(scope, receive, send):
    """Reads on odd paths, answers on all."""
    if len(scope["path"]) % 2:
        while (await receive()).get("more_body"):
            pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]})
    await send({"type": "http.response.body", "body": bytes(3000), "more_body": True})
    await send({"type": "http.response.body", "body": b"end"})


async def _meet(pieces):
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    watch = ServingWatch()
    with theirs:
        peer = Peer(
            ASGIWrapper(answering),
            Config(),
            WorkerContext(None),
            trio.SocketStream(trio.socket.from_stdlib_socket(ours)),
            patience=Patience(0.2, Drain(), watch),
            limits=LIMITS,
            watch=watch,
        )
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(peer.run)
                for piece in pieces:
                    try:
                        theirs.send(piece)
                    except OSError:  # the peer has had enough
                        break
                    await trio.lowlevel.checkpoint()
                    await trio.lowlevel.checkpoint()
                theirs.close()
    assert watch.requests == 0
    assert watch.sends_blocked == 0


def _frame(kind, flags, stream_id, payload):
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags])
    return head + struct.pack(">I", stream_id) + payload


def _block(fields):
    return hpack.Encoder().encode(fields)


values = st.sampled_from(
    [b"/", b"/a", b"GET", b"POST", b"CONNECT", b"http", b"shop", b"\xff", b"", b"*", b"/?\xc3"]
)
names = st.sampled_from(
    [
        b":method",
        b":path",
        b":scheme",
        b":authority",
        b":protocol",
        b"host",
        b"te",
        b"x",
        b"",
        b"content-length",
    ]
)
odd_heads = st.lists(st.tuples(names, values), max_size=6).map(_block)
good_heads = st.tuples(st.sampled_from([b"GET", b"POST", b"HEAD", b"CONNECT"]), values).map(
    lambda v: _block(
        [(b":method", v[0]), (b":path", v[1]), (b":scheme", b"http"), (b":authority", b"a")]
    )
)
payloads = st.one_of(
    st.binary(max_size=24),
    good_heads,
    good_heads,
    odd_heads,
    st.sampled_from(
        [bytes(4), bytes(8), b"\x00\x00\x00\x08", b"\x7f\xff\xff\xff", b"\x00\x04\x00\x00\x00\x05"]
    ),
    st.integers(0, 20_000).map(bytes),
)
frames = st.builds(
    _frame,
    st.sampled_from([0, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 200]),
    st.sampled_from([0, 1, 4, 5, 5, 8, 0x20, 0x25, 0xFF]),
    st.sampled_from([0, 1, 1, 3, 3, 5, 7, 2, 2**31 - 1]),
    payloads,
)
lines = st.sampled_from(
    [
        b"GET / HTTP/1.1\r\n",
        b"POST /a HTTP/1.1\r\n",
        b"GET http://a/ HTTP/1.1\r\n",
        b"CONNECT a:1 HTTP/1.1\r\n",
        b"GET /\xff HTTP/1.1\r\n",
        b"OPTIONS * HTTP/1.0\r\n",
        b"PRI * HTTP/2.0\r\n\r\n",
        b"Host: a\r\n",
        b"Host: a\r\n\r\n",
        b"\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: -1\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
        b"Connection: upgrade\r\nUpgrade: websocket\r\n",
        b"5\r\nhello\r\n",
        b"0\r\n\r\n",
        b"zz\r\n",
        b"hello",
        b"\x00",
        b"\xff" * 30,
        b"X: " + b"y" * 20_000 + b"\r\n",
    ]
)


@given(st.lists(frames, max_size=12))
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
def test_http2(pieces):
    trio.run(_meet, [PREFACE, *pieces])


@given(st.lists(frames, max_size=12))
@settings(max_examples=50, deadline=None, derandomize=True, database=None)
def test_http2_in_one_read(pieces):
    trio.run(_meet, [PREFACE + b"".join(pieces)[:15_000]])


@given(st.lists(st.one_of(lines, lines, lines, st.binary(max_size=20)), max_size=12))
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
def test_http1(pieces):
    trio.run(_meet, pieces)
