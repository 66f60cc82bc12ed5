"""Pieces of a body that go out past ASGI: the same bytes, in the order of the calls, or none at all."""

from __future__ import annotations

import re

import h11
import pytest
import trio

from storefront.serving.connection import Connection, Line
from tests.serving.conftest import START, chunk, open_house, until


class App:
    """One answer that the test writes itself: it is handed `send` and the connection."""

    def __init__(self):
        self.asked = []

    async def __call__(self, scope, _receive, send):
        connection = scope["state"]["connection"]
        over, left = trio.Event(), trio.Event()
        connection.when_left(left.set)
        headers = [(b"content-length", b"10")] if scope["path"] == "/sized" else []
        await send({**START, "headers": headers})
        at_once = connection.at_once

        async def body(data, *, more=True):
            await send({"type": "http.response.body", "body": data, "more_body": more})

        self.asked.append((at_once, body, over, left, connection))
        await over.wait()


@pytest.fixture
def app():
    return App()


def decoded(raw, *, method="GET"):
    """The body of the first answer, read by h11's client."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "shop")]))
    client.send(h11.EndOfMessage())
    client.receive_data(raw)
    body = b""
    while not isinstance(event := client.next_event(), h11.EndOfMessage):
        assert event is not h11.NEED_DATA, "the answer is not whole"
        if isinstance(event, h11.Data):
            body += event.data
    return body


async def asked(app, number=1):
    await until(lambda: len(app.asked) >= number)
    return app.asked[number - 1]


async def test_both_ways_of_sending_arrive_in_the_order_of_the_calls(app):
    async with open_house(app) as house:
        client = await house.http1()
        await client.ask()
        at_once, body, over, _, _ = await asked(app)
        assert at_once(b"one ")
        await body(b"two ")
        assert at_once(b"three ")
        await body(b"", more=False)
        over.set()
        raw = await client.read_until(b"0\r\n\r\n")
    assert decoded(raw) == b"one two three "


async def test_what_the_kernel_has_no_room_for_comes_before_everything_else(app):
    sent = []
    async with open_house(app) as house:
        client = await house.http1(rcvbuf=4096)
        await client.ask()
        at_once, body, over, _, connection = await asked(app)
        while at_once(piece := chunk(len(sent), 50_000)):
            sent.append(piece)
            assert len(sent) < 1000
        # Half of the last piece is in the kernel, the other half waits, and all that comes, behind it.
        await until(lambda: connection.blocked_bytes > 0)
        assert not at_once(b"no")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(body, b"the end")
            await until(lambda: house.watch.sends_blocked == 1)
            while b"the end" not in client.seen:
                client.seen += await client.stream.receive_some(65536)
        await until(lambda: at_once(b" of it"))
        await body(b"", more=False)
        over.set()
        raw = await client.read_until(b"0\r\n\r\n")
    assert decoded(raw) == b"".join(sent) + b"the end of it"


async def test_a_browser_that_never_takes_the_other_half_is_cut_as_any_slow_one(app):
    async with open_house(app, send_timeout=0.3) as house:
        client = await house.http1(rcvbuf=4096)
        await client.ask()
        at_once, _, over, left, connection = await asked(app)
        while at_once(bytes(50_000)):
            pass
        with trio.fail_after(5):
            await left.wait()
        assert connection.slow
        assert house.watch.slow_aborts_total == 1
        assert not at_once(b"more")
        over.set()


async def test_an_answer_that_is_over_writes_nothing_into_the_next_one(app):
    async with open_house(app) as house:
        client = await house.http1()
        await client.ask("/first")
        old, body, over, left, connection = await asked(app)
        await body(b"first", more=False)
        over.set()
        await client.read_until(b"0\r\n\r\n")
        assert not old(b"too late")
        client.seen = b""
        await client.ask("/second")
        new, body, over, _, _ = await asked(app, 2)
        assert left.is_set()
        assert connection.at_once is None
        assert not old(b"too late")
        assert new(b"second")
        await body(b"", more=False)
        over.set()
        raw = await client.read_until(b"0\r\n\r\n")
    assert decoded(raw) == b"second"


@pytest.mark.parametrize(
    ("request_line", "why"),
    [
        (b"HEAD / HTTP/1.1", "an answer without a body"),
        (b"GET / HTTP/1.0", "an answer that its end delimits"),
        (b"GET /sized HTTP/1.1", "an answer of a known length"),
    ],
)
async def test_nothing_goes_out_at_once_into(app, request_line, why):
    async with open_house(app) as house:
        client = await house.http1()
        await client.stream.send_all(request_line + b"\r\nHost: shop\r\n\r\n")
        at_once, body, over, _, _ = await asked(app)
        assert not at_once(b"0123456789"), why
        await body(b"0123456789", more=False)
        over.set()
        raw = await client.read_until(b"\r\n\r\n" if b"HEAD" in request_line else b"0123456789")
    head, _, rest = raw.partition(b"\r\n\r\n")
    assert re.match(rb"HTTP/1.1 200", head)
    assert rest == (b"" if b"HEAD" in request_line else b"0123456789")


async def test_nothing_goes_out_before_the_head_or_empty():
    before = []

    async def early(scope, receive, send):
        connection = scope["state"]["connection"]
        before.append(connection.at_once(b"early"))
        await send(START)
        before.append(connection.at_once(b""))
        await send({"type": "http.response.body", "body": b"ok"})

    async with open_house(early) as house:
        client = await house.http1()
        for _ in range(2):  # the second after an answer that had chunks
            client.seen = b""
            await client.ask()
            raw = await client.read_until(b"0\r\n\r\n")
            assert decoded(raw) == b"ok"
    assert before == [False, False] * 2


async def test_http2_has_no_short_way_and_says_when_its_browser_left(app):
    async with open_house(app) as house:
        client = await house.http2()
        stream_id = await client.ask()
        at_once, _, over, left, _ = await asked(app)
        assert at_once is None
        client.h2.reset_stream(stream_id)
        await client.flush()
        with trio.fail_after(5):
            await left.wait()
        over.set()


async def test_a_browser_that_leaves_is_told_without_anybody_receiving(app):
    async with open_house(app) as house:
        client = await house.http1()
        await client.ask()
        at_once, _, over, left, _ = await asked(app)
        await client.stream.aclose()
        with trio.fail_after(5):
            await left.wait()
        assert not at_once(b"anybody?")
        over.set()


def test_who_asks_after_the_browser_left_is_told_at_once():
    connection, told = Connection("1.1", Line()), []
    connection.leave()
    connection.when_left(lambda: told.append(1))
    connection.leave()
    assert told == [1]


async def test_the_head_goes_out_with_the_first_piece_of_the_body_and_not_before(app):
    async with open_house(app) as house:
        client = await house.http1()
        await client.ask()
        _, body, over, _, _ = await asked(app)
        with trio.move_on_after(0.1):
            await client.stream.receive_some(1)
            raise AssertionError("a head without a body")
        await body(b"first")
        assert b"\r\n\r\n5\r\nfirst\r\n" in await client.stream.receive_some(65536)
        await body(b"", more=False)
        over.set()


async def test_a_head_without_any_body_goes_out_all_the_same(app):
    async with open_house(app) as house:
        client = await house.http1()
        await client.ask(method="HEAD")
        _, body, over, _, _ = await asked(app)
        await body(b"", more=False)
        over.set()
        assert (await client.read_until(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
