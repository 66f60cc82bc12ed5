from __future__ import annotations

from itertools import pairwise

import pytest
import trio

from storefront.serving import Limits


async def _arrivals(client, *, during):
    """The times at which a stream's bytes arrive."""
    times = []
    with trio.move_on_after(during):
        while await client.stream.receive_some(65536):
            times.append(trio.current_time())
    return times


async def test_a_browser_that_never_reads_is_cut_off_and_its_neighbour_notices_nothing(
    house, eventually
):
    async with house(send_timeout=0.5) as served:
        stuck = await served.http1(rcvbuf=4096)
        neighbour = await served.http1()
        await stuck.ask("/flood")
        await neighbour.ask("/ticks")
        began = trio.current_time()
        times = await _arrivals(neighbour, during=1.2)
        assert served.app.ends == {"/flood": "slow"}
        assert max(after - before for before, after in pairwise(times)) < 0.3
        assert times[-1] - began > 1.1, "the neighbour still receives"
        # The kernels' share: what a small receiver and TCP_NOTSENT_LOWAT let through.
        assert served.app.sent["/flood"] <= 128 * 1024
        counted = served.watch.statistics()
        assert (counted.slow_aborts_total, counted.sends_blocked, counted.connections) == (1, 0, 1)
        with pytest.raises(trio.BrokenResourceError):  # a reset: nothing of it stays in our kernel
            while await stuck.stream.receive_some(65536):
                pass


async def test_a_blocked_write_shows_while_it_lasts(house, eventually):
    async with house(send_timeout=1) as served:
        stuck = await served.http1(rcvbuf=4096)
        await stuck.ask("/flood")
        await eventually(lambda: served.watch.sends_blocked == 1)
        connection = served.app.scopes[0]["state"]["connection"]
        facts = connection.statistics()
        assert facts.http_version == "1.1"
        assert 0 < facts.blocked_bytes <= 17 * 1024
        assert (facts.slow, facts.closed) == (False, False)
        await eventually(lambda: connection.slow)
        assert connection.closed
        assert connection.blocked_bytes == 0
        assert repr(connection) == "<Connection HTTP/1.1 slow>"


async def test_a_slow_but_steady_reader_lives(house):
    async with house(send_timeout=1.2) as served:
        client = await served.http1(rcvbuf=4096)
        await client.ask("/steady")
        for _ in range(60):  # 20 KiB/s for three seconds
            assert await client.stream.receive_some(1024)
            await trio.sleep(0.05)
        assert served.app.ends == {}
        assert served.watch.sends_blocked_total > 0, "it was slow enough to be waited for"
        assert served.watch.slow_aborts_total == 0


async def test_a_large_body_may_take_longer_than_one_write_and_arrives_whole(house, chunk):
    size = 160 * 1024
    async with house(send_timeout=0.7) as served:
        client = await served.http1(rcvbuf=4096)
        began = trio.current_time()
        await client.ask(f"/big/{size}")
        while not client.seen.endswith(b"0\r\n\r\n"):
            client.seen += await client.stream.receive_some(4096)
            await trio.sleep(0.04)
        assert trio.current_time() - began > 1
        body = client.seen.split(b"\r\n\r\n", 1)[1]
        length, rest = body.split(b"\r\n", 1)
        assert int(length, 16) == size
        assert rest[: size + 2] == chunk(size, size) + b"\r\n"


async def test_a_stream_whose_browser_has_nothing_to_say_is_left_alone(house):
    async with house(limits=Limits(idle_seconds=0.2, head_seconds=0.2)) as served:
        client = await served.http1()
        await client.ask("/ticks")
        times = await _arrivals(client, during=1)
        assert times[-1] - times[0] > 0.9
        assert served.app.ends == {}


async def test_a_connection_serves_one_request_after_the_other(house):
    async with house() as served:
        client = await served.http1()
        for _ in range(3):
            client.seen = b""
            await client.ask()
            await client.read_until(b"hello")
        assert served.watch.connections_total == 1


async def test_an_idle_connection_is_closed_after_its_time(house):
    async with house(limits=Limits(idle_seconds=0.3)) as served:
        fresh, used = await served.http1(), await served.http1()
        await used.ask()
        await used.read_until(b"hello")
        began = trio.current_time()
        await fresh.read_to_end(within=1)
        await used.read_to_end(within=1)
        assert 0.2 < trio.current_time() - began < 0.6
        assert served.watch.heads_refused_total == 0


@pytest.mark.parametrize("pause", [0.05, 10], ids=["trickling", "stopped"])
async def test_a_head_that_is_not_finished_in_time_is_cut(house, pause, nursery):
    async with house(limits=Limits(head_seconds=0.5, idle_seconds=0.3)) as served:
        client = await served.http1()

        async def trickle():
            try:
                await client.stream.send_all(b"GET / HTTP/1.1\r\nHost: shop\r\n")
                while True:
                    await trio.sleep(pause)
                    await client.stream.send_all(b"X: y\r\n")
            except trio.BrokenResourceError:
                pass

        nursery.start_soon(trickle)
        began = trio.current_time()
        assert await client.read_to_end(within=2) == b""
        # Half a second from the first byte: longer than an idle connection, and no longer for each
        # byte more.
        assert 0.4 < trio.current_time() - began < 0.8
        assert served.watch.heads_refused_total == 1
        assert served.app.scopes == []
        nursery.cancel_scope.cancel()


async def test_a_client_that_leaves_is_noticed_at_once(house, eventually):
    async with house() as served:
        client = await served.http1()
        await client.ask("/wait")
        await client.read_until(b"waiting")
        await client.stream.aclose()
        await eventually(lambda: served.app.ends == {"/wait": "disconnect"}, within=1)
        await eventually(lambda: served.watch.connections == 0, within=1)


async def test_a_browser_that_left_is_not_called_slow(house, eventually):
    async with house() as served:
        client = await served.http1()
        await client.ask("/ticks")
        await client.read_until(b"200")
        await client.stream.aclose()
        await eventually(lambda: served.app.ends == {"/ticks": "left"})
        assert served.watch.slow_aborts_total == 0


async def test_the_end_is_heard_before_what_is_left_of_a_body(house, eventually):
    """Also when the reader, who would notice, waits for room in the mailbox."""
    heard = []

    async def unread(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not scope["state"]["connection"].closed:
            await send({"type": "http.response.body", "body": bytes(9000), "more_body": True})
        heard.append(await receive())

    async with house(unread, send_timeout=0.5) as served:
        client = await served.http1(rcvbuf=4096)
        await client.ask(method="POST", headers="Content-Length: 200000\r\n", body=bytes(200_000))
        await eventually(lambda: heard)
        assert heard == [{"type": "http.disconnect"}]
        assert served.watch.slow_aborts_total == 1


async def test_writes_of_two_tasks_do_not_mix(house):
    """An application may send from two tasks; the second waits while the first is blocked halfway."""
    size = 64 * 1024

    async def pair(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

        async def write(letter):
            body = letter * size
            await send({"type": "http.response.body", "body": body, "more_body": True})

        async with trio.open_nursery() as nursery:
            for letter in (b"a", b"b", b"c"):
                nursery.start_soon(write, letter)
        await send({"type": "http.response.body", "body": b""})

    async with house(pair, send_timeout=2) as served:
        client = await served.http1(rcvbuf=4096)
        await client.ask()
        while not client.seen.endswith(b"0\r\n\r\n"):
            client.seen += await client.stream.receive_some(16384)
            await trio.sleep(0.005)
        chunks = client.seen.split(b"\r\n\r\n", 1)[1].split(b"\r\n")[1::2]
        assert sorted(chunks[:3]) == [b"a" * size, b"b" * size, b"c" * size]


@pytest.mark.parametrize("version", ["1.1", "2"])
async def test_an_answer_cancelled_within_a_write_is_visibly_cut(house, version):
    """What its application goes on to send must not make half an answer look whole."""

    async def impatient(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        with trio.move_on_after(0.1):
            await send({"type": "http.response.body", "body": bytes(2_000_000), "more_body": True})
        await send({"type": "http.response.body", "body": b"end"})

    async with house(impatient, send_timeout=2) as served:
        if version == "1.1":
            client = await served.http1(rcvbuf=4096)
            await client.ask()
            await trio.sleep(0.2)
            assert b"end" not in await client.read_to_end()
        else:
            client = await served.http2(granting=False)
            stream = await client.ask()
            await client.wait(lambda: stream in client.resets)
            assert not client.gone
        assert served.watch.slow_aborts_total == 0


async def test_an_application_cancelled_after_its_last_slice_has_sent_it(house):
    async def late(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        with trio.CancelScope() as late_scope:
            body = {"type": "http.response.body", "body": b"whole", "more_body": True}
            await send(body)
            late_scope.cancel()
        await send({"type": "http.response.body", "body": b"end"})

    async with house(late) as served:
        client = await served.http1()
        await client.ask()
        await client.read_until(b"end\r\n0\r\n\r\n")
        assert b"whole" in client.seen
