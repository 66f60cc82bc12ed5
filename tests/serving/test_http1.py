from __future__ import annotations

import pytest
import trio

from storefront.serving import Limits

SMALL = Limits(head_bytes=4096, idle_seconds=1, head_seconds=1, linger_seconds=0.3)


async def test_an_oversized_head_in_one_read_is_answered_431(house):
    async with house(limits=SMALL) as served:
        client = await served.http1()
        await client.ask(headers=f"X-Large: {'x' * 5000}\r\n")
        assert (await client.read_to_end()).startswith(b"HTTP/1.1 431 ")
        assert served.watch.heads_refused_total == 1
        assert served.app.scopes == []


async def test_an_oversized_head_is_refused_before_it_is_complete(house):
    async with house(limits=SMALL) as served:
        client = await served.http1()
        await client.stream.send_all(b"GET / HTTP/1.1\r\nX-Large: " + b"x" * 5000)
        assert (await client.read_to_end()).startswith(b"HTTP/1.1 431 ")


async def test_the_answer_to_a_refused_head_is_read_by_a_client_that_is_still_sending(house):
    async with house(limits=SMALL) as served:
        client = await served.http1()
        # Our close must not become a reset that overtakes the answer.
        await client.stream.send_all(b"GET / HTTP/1.1\r\nX-Large: " + b"x" * 200_000)
        assert (await client.read_to_end()).startswith(b"HTTP/1.1 431 ")


async def test_a_head_of_the_usual_size_passes(house):
    async with house() as served:
        client = await served.http1()
        await client.ask(headers=f"Authorization: Bearer {'x' * 8192}\r\n")
        await client.read_until(b"hello")


@pytest.mark.parametrize(
    "bytes_sent",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
    ],
)
async def test_what_is_not_http_is_refused(house, bytes_sent):
    async with house() as served:
        client = await served.http1()
        await client.stream.send_all(bytes_sent)
        answer = await client.read_to_end()
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
        neighbour = await served.http1()
        await neighbour.ask()
        await neighbour.read_until(b"hello")


async def test_requests_sent_ahead_are_answered_in_their_order(house):
    async with house() as served:
        client = await served.http1()
        many = b"".join(b"GET /big/%d HTTP/1.1\r\nHost: shop\r\n\r\n" % n for n in (1, 2, 3))
        await client.stream.send_all(many)
        await client.read_until(b"\r\n3\r\n")
        assert [s["path"] for s in served.app.scopes] == ["/big/1", "/big/2", "/big/3"]


async def test_http2_begins_a_connection_or_not_at_all(house):
    async with house() as served:
        client = await served.http1()
        await client.stream.send_all(
            b"GET / HTTP/1.1\r\nHost: shop\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        )
        answers = await client.read_to_end()
        assert answers.startswith(b"HTTP/1.1 200 ")
        assert b"HTTP/1.1 400 " in answers


async def test_this_is_no_proxy(house):
    async with house() as served:
        client = await served.http1()
        await client.stream.send_all(b"CONNECT shop:443 HTTP/1.1\r\nHost: shop\r\n\r\n")
        assert (await client.read_to_end()).startswith(b"HTTP/1.1 405 ")
        assert served.app.scopes == []


async def test_a_client_that_leaves_after_sending_ahead_is_noticed_at_once(house, eventually):
    async with house() as served:
        client = await served.http1()
        await client.ask("/wait")
        await client.read_until(b"waiting")
        await client.ask("/hello")
        await trio.sleep(0.05)
        await client.stream.aclose()
        await eventually(lambda: served.app.ends == {"/wait": "disconnect"}, within=1)


async def test_far_too_much_sent_ahead_is_left_in_the_kernel(house):
    async with house(limits=SMALL) as served:
        client = await served.http1()
        await client.ask("/wait")
        await client.read_until(b"waiting")
        ahead = b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n" * 10_000
        for _ in range(100):  # 30 MB, more than two kernels hold
            with trio.move_on_after(0.3) as scope:
                await client.stream.send_all(ahead)
            if scope.cancelled_caught:
                break
        assert scope.cancelled_caught, "the sender is held back"


@pytest.mark.parametrize(
    "upgrade",
    [
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
    ],
    ids=["websocket", "h2c"],
)
async def test_an_upgrade_is_ignored_and_the_request_answered(house, upgrade):
    async with house() as served:
        client = await served.http1()
        for _ in range(2):
            client.seen = b""
            await client.ask(headers=upgrade)
            await client.read_until(b"hello")
            assert client.seen.startswith(b"HTTP/1.1 200 ")
        assert served.app.scopes[0]["type"] == "http"


async def test_a_body_arrives_whole_however_it_is_cut(house):
    body = b"".join(b"%d," % n for n in range(20_000))
    async with house() as served:
        client = await served.http1()
        head = b"POST /echo HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n"
        await client.stream.send_all(head)
        for start in range(0, len(body), 777):
            piece = body[start : start + 777]
            await client.stream.send_all(b"%x\r\n%s\r\n" % (len(piece), piece))
        await client.stream.send_all(b"0\r\n\r\n")
        await client.read_until(body[-100:])
        assert served.app.received["/echo"] == body


async def test_a_client_that_asks_first_is_told_to_go_on(house):
    async with house() as served:
        client = await served.http1()
        await client.ask(
            "/echo", method="POST", headers="Content-Length: 4\r\nExpect: 100-continue\r\n"
        )
        await client.read_until(b"100 ")
        await client.stream.send_all(b"body")
        await client.read_until(b"body")


async def test_an_answer_before_the_body_was_read_ends_the_connection(house):
    async with house() as served:
        client = await served.http1()
        await client.ask(
            "/unread", method="POST", headers="Content-Length: 500000\r\n", body=bytes(100_000)
        )
        assert b" 413 " in await client.read_to_end()


async def test_a_client_that_leaves_behind_an_unread_body_is_noticed(house, eventually):
    """Hypercorn's queue of ten messages would keep the reader from it, and the application from
    being told.
    """

    async def late(scope, receive, send):
        await go_on.wait()
        served.app_heard = await receive()

    go_on = trio.Event()
    async with house(late) as served:
        client = await served.http1()
        await client.ask("/", method="POST", headers="Transfer-Encoding: chunked\r\n")
        for _ in range(50):
            await client.stream.send_all(b"1\r\nx\r\n")
            await trio.sleep(0.001)
        await client.stream.aclose()
        await trio.sleep(0.1)
        go_on.set()
        await eventually(lambda: served.watch.connections == 0, within=1)
        assert served.app_heard == {"type": "http.disconnect"}


async def test_a_failing_application_is_a_500_and_the_server_lives(house, caplog):
    async with house() as served:
        client = await served.http1()
        await client.ask("/fail")
        await client.read_until(b"HTTP/1.1 500 ")
        other = await served.http1()
        await other.ask()
        await other.read_until(b"hello")
    assert "a bug in the application" in caplog.text


async def test_an_answer_that_fails_halfway_is_visibly_cut(house):
    async with house() as served:
        client = await served.http1()
        await client.ask("/half")
        answer = await client.read_to_end()
        assert answer.endswith(b"half of it\r\n"), "no last chunk: the client can tell"


async def test_a_failure_among_several_in_a_group_is_a_500_too(house):
    async def groups(scope, receive, send):
        raise BaseExceptionGroup("several", [ValueError("one"), OSError("two")])

    async with house(groups) as served:
        client = await served.http1()
        await client.ask()
        await client.read_until(b"HTTP/1.1 500 ")


async def test_head_has_no_body_and_the_connection_goes_on(house):
    async with house() as served:
        client = await served.http1()
        await client.ask(method="HEAD")
        assert (await client.read_until(b"\r\n\r\n")).endswith(b"\r\n\r\n")
        client.seen = b""
        await client.ask()
        await client.read_until(b"hello")
        assert b"server:" not in client.seen.lower()


async def test_a_connection_ends_after_its_last_request(house):
    async with house(limits=Limits(requests=2)) as served:
        client = await served.http1()
        for _ in range(3):
            await client.ask()
        answers = await client.read_to_end()
        assert answers.count(b"hello") == 2
        assert answers.endswith(b"connection: close\r\n\r\nhello")


async def test_a_client_of_http_1_0_gets_its_answer_and_the_end(house):
    async with house() as served:
        client = await served.http1()
        await client.stream.send_all(b"GET /big/10 HTTP/1.0\r\n\r\n")
        assert (await client.read_to_end()).startswith(b"HTTP/1.1 200 ")
        assert served.app.scopes[0]["state"]["connection"].http_version == "1.0"
