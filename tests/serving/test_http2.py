from __future__ import annotations

import struct
from contextlib import suppress

import h2.errors
import h2.exceptions
import h2.settings
import pytest
import trio

from storefront.serving import Limits

CANCEL, REFUSED, CALM = (
    h2.errors.ErrorCodes.CANCEL,
    h2.errors.ErrorCodes.REFUSED_STREAM,
    h2.errors.ErrorCodes.ENHANCE_YOUR_CALM,
)
INITIAL_WINDOW = h2.settings.SettingCodes.INITIAL_WINDOW_SIZE


def frame(kind, flags, stream_id, payload=b""):
    return (
        len(payload).to_bytes(3, "big")
        + bytes([kind, flags])
        + struct.pack(">I", stream_id)
        + payload
    )


async def test_several_megabytes_on_one_connection_arrive_intact(house, chunk):
    sizes = [5_000_000, 1_000_000, 1_000_001, 3_333_333, 1, 16_384, 65_536]
    async with house(send_timeout=2) as served:
        client = await served.http2()
        asked = {await client.ask(f"/big/{size}"): size for size in sizes}
        await client.wait(lambda: client.ended >= set(asked), within=15)
        for stream_id, size in asked.items():
            assert client.bodies[stream_id] == chunk(size, size)
        assert served.watch.connections_total == 1
        assert served.app.scopes[0]["state"]["connection"].http_version == "2"


async def test_granting_window_for_each_frame_is_no_flood(house):
    async with house(send_timeout=2) as served:
        client = await served.http2(granting="each")
        stream = await client.ask("/big/12000000")
        await client.wait(lambda: stream in client.ended, within=15)
        assert len(client.bodies[stream]) == 12_000_000
        assert served.watch.floods_total == 0


async def test_a_peer_that_never_grants_window_holds_its_application_back_and_ends_slow(
    house, eventually
):
    async with house(send_timeout=0.5) as served:
        client = await served.http2(granting=False)
        stream = await client.ask("/flood")
        await eventually(lambda: served.watch.sends_blocked == 1)
        connection = served.app.scopes[0]["state"]["connection"]
        assert connection.blocked_bytes > 0
        # Its application has handed over what the window holds and no byte of buffer more.
        assert len(client.bodies[stream]) <= 65_535
        assert served.app.sent["/flood"] <= 65_535
        await eventually(lambda: served.app.ends == {"/flood": "slow"}, within=1)
        # One stream had spent both windows: nothing else could have been sent either.
        await eventually(lambda: client.gone, within=0.5)
        assert served.watch.slow_aborts_total == 1
        assert connection.closed


async def test_a_stream_without_window_is_reset_and_the_others_go_on(house, eventually):
    async with house(send_timeout=0.5) as served:
        client = await served.http2(granting=False, settings={INITIAL_WINDOW: 10_000})
        stuck = await client.ask("/flood")
        await eventually(lambda: served.watch.sends_blocked == 1)
        began = trio.current_time()
        others = [await client.ask("/big/9000") for _ in range(3)]
        await client.wait(lambda: client.ended >= set(others), within=0.3)
        await client.wait(lambda: stuck in client.resets, within=1)
        assert 0.3 < trio.current_time() - began < 0.8
        assert client.resets[stuck] == CANCEL
        await eventually(lambda: served.app.ends == {"/flood": "slow"})
        assert served.watch.slow_aborts_total == 1
        slow, *fine = (scope["state"]["connection"] for scope in served.app.scopes)
        assert slow.slow
        assert not any(connection.slow for connection in fine), (
            "one stream's fate is not the others'"
        )
        later = await client.ask("/hello")
        await client.wait(lambda: later in client.ended)


@pytest.mark.parametrize("level", ["stream", "connection"])
async def test_window_by_the_byte_does_not_buy_time(house, eventually, level, nursery):
    async with house(send_timeout=0.6) as served:
        # The other window is ample.
        settings = {INITIAL_WINDOW: 1000 if level == "stream" else 2**31 - 1}
        client = await served.http2(granting=False, settings=settings)
        stream = await client.ask("/flood")

        async def trickle():
            while not client.gone:
                client.h2.increment_flow_control_window(1, stream if level == "stream" else None)
                await client.flush()
                await trio.sleep(0.1)

        async def try_to_trickle():
            with suppress(trio.BrokenResourceError, h2.exceptions.ProtocolError):
                await trickle()

        await eventually(lambda: served.watch.sends_blocked == 1)
        nursery.start_soon(try_to_trickle)
        began = trio.current_time()
        await eventually(lambda: served.app.ends == {"/flood": "slow"}, within=2)
        assert trio.current_time() - began < 1
        nursery.cancel_scope.cancel()


async def test_a_peer_that_does_not_read_its_socket_is_cut_off(house, eventually, http2_client):
    async with house(send_timeout=0.5) as served:
        client = http2_client(await served.connect(rcvbuf=4096), granting=False)
        await client.begin({INITIAL_WINDOW: 2**31 - 1})
        client.h2.increment_flow_control_window(2**30)
        await client.ask("/flood")  # and nobody runs the client
        await client.ask("/ticks")
        await eventually(lambda: served.app.ends == {"/flood": "slow", "/ticks": "slow"}, within=2)
        assert served.app.sent["/flood"] <= 128 * 1024
        assert served.watch.slow_aborts_total == 1


async def test_a_steady_reader_of_small_windows_lives(house, nursery):
    async with house(send_timeout=0.5) as served:
        client = await served.http2(granting=False, settings={INITIAL_WINDOW: 2000})
        stream = await client.ask("/steady")
        for _ in range(15):
            await trio.sleep(0.1)
            client.h2.increment_flow_control_window(5000, stream)
            client.h2.increment_flow_control_window(5000)
            await client.flush()
        assert served.app.ends == {}
        assert len(client.bodies[stream]) > 60_000


async def test_everybody_gets_a_turn_at_a_narrow_connection(house, nursery):
    """Streams share a connection at 200 KiB/s: each waits longer than one write may, none is cut."""
    async with house(send_timeout=0.5) as served:
        client = await served.http2(granting=False, settings={INITIAL_WINDOW: 2**31 - 1})
        asked = {await client.ask(f"/big/{n}"): n for n in [300_000, *[20_000] * 10]}

        async def grant():
            while True:
                client.h2.increment_flow_control_window(10_000)
                await client.flush()
                await trio.sleep(0.05)

        nursery.start_soon(grant)
        await client.wait(lambda: client.ended >= set(asked), within=5)
        assert {stream: len(client.bodies[stream]) for stream in asked} == asked
        assert served.watch.slow_aborts_total == 0
        nursery.cancel_scope.cancel()


async def test_window_granted_by_settings_is_window(house):
    async with house(send_timeout=1) as served:
        client = await served.http2(granting=False, settings={INITIAL_WINDOW: 1000})
        stream = await client.ask("/big/5000")
        await client.wait(lambda: len(client.bodies[stream]) == 1000)
        client.h2.update_settings({INITIAL_WINDOW: 60_000})
        await client.flush()
        await client.wait(lambda: stream in client.ended, within=0.5)


async def test_a_peer_that_breaks_the_protocol_fills_no_log(house, eventually, caplog):
    """Its applications answer until they hear of it, and our goodbye may wait long to be read."""
    async with house(send_timeout=0.5) as served:
        client = await served.http2(granting=False, rcvbuf=4096, settings={INITIAL_WINDOW: 2**20})
        client.h2.increment_flow_control_window(2**25)
        for n in range(5):
            await client.ask(f"/late/{n}")
        await eventually(lambda: served.watch.requests == 5)
        client.pause()
        await client.ask("/flood")
        await eventually(lambda: served.watch.sends_blocked == 1)
        await client.send_raw(frame(0, 0, 0, b"data on no stream"))
        await eventually(lambda: served.watch.requests == 0)
        client.go_on()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_client_that_resets_its_stream_is_noticed_and_the_connection_goes_on(
    house, eventually
):
    async with house() as served:
        client = await served.http2()
        stream = await client.ask("/ticks")
        await client.wait(lambda: client.bodies[stream])
        client.h2.reset_stream(stream, CANCEL)
        await client.flush()
        await eventually(lambda: served.app.ends == {"/ticks": "left"}, within=1)
        later = await client.ask()
        await client.wait(lambda: later in client.ended)


async def test_a_reset_is_heard_while_another_stream_waits_for_the_socket(house, eventually):
    async with house(send_timeout=3) as served:
        client = await served.http2(granting=False, rcvbuf=4096, settings={INITIAL_WINDOW: 2**20})
        client.h2.increment_flow_control_window(2**25)
        waiting = await client.ask("/wait")
        await client.wait(lambda: client.bodies[waiting])
        client.pause()
        await client.ask("/flood")
        await eventually(lambda: served.watch.sends_blocked == 1)
        client.h2.reset_stream(waiting, CANCEL)
        await client.flush()
        await eventually(lambda: served.app.ends == {"/wait": "disconnect"}, within=0.5)


async def test_a_connection_whose_streams_were_reset_is_idle_and_ends(house, eventually):
    async with house(limits=Limits(idle_seconds=0.3)) as served:
        client = await served.http2()
        stream = await client.ask("/ticks")
        await client.wait(lambda: client.bodies[stream])
        client.h2.reset_stream(stream, CANCEL)
        await client.flush()
        await eventually(lambda: client.gone, within=1)


async def test_an_open_stream_keeps_its_silent_connection_alive(house):
    async with house(limits=Limits(idle_seconds=0.2, head_seconds=0.2)) as served:
        client = await served.http2(granting=False)
        stream = await client.ask("/ticks")
        await trio.sleep(0.8)
        assert len(client.bodies[stream]) > 2000
        assert not client.gone


async def test_rapid_resets_end_the_connection_and_start_a_bounded_number_of_applications(
    house, eventually
):
    running = []

    async def slow_to_leave(scope, receive, send):
        running.append(len(running))
        await trio.sleep(0.3)

    async with house(slow_to_leave) as served:
        client = await served.http2()
        most = 0
        try:
            for _ in range(2000):
                stream = await client.ask()
                with suppress(h2.exceptions.StreamClosedError):  # refused already
                    client.h2.reset_stream(stream)
                most = max(most, served.watch.requests)
            await client.flush()
        except trio.BrokenResourceError:
            pass
        await eventually(lambda: client.gone)
        assert most <= 100
        assert len(running) <= 200
        assert served.watch.floods_total == 1


FLOODS = {
    "ping": frame(6, 0, 0, bytes(8)),
    "settings": frame(4, 0, 0),
    "empty data": frame(0, 0, 1),
    "priority": frame(2, 0, 3, bytes([0, 0, 0, 0, 16])),
    "window by the byte": frame(8, 0, 0, bytes([0, 0, 0, 1])),
}


@pytest.mark.parametrize("kind", FLOODS)
async def test_a_flood_of_cheap_frames_ends_its_connection_and_no_other(house, eventually, kind):
    async with house() as served:
        neighbour = await served.http2()
        ticking = await neighbour.ask("/ticks")
        client = await served.http2()
        await client.ask("/echo", method="POST", end=False)
        await client.send_raw(FLOODS[kind] * 5000)
        await eventually(lambda: client.gone)
        assert client.goaway == CALM
        assert served.watch.floods_total == 1
        seen = len(neighbour.bodies[ticking])
        await neighbour.wait(lambda: len(neighbour.bodies[ticking]) > seen, within=1)


async def test_an_endless_header_block_is_refused_early(house, eventually):
    async with house() as served:
        client = await served.http2()
        keeps_it_busy = await client.ask("/ticks")
        await client.wait(lambda: client.bodies[keeps_it_busy])
        block = frame(1, 0, 3, b"\x82" * 100) + frame(9, 0, 3, bytes(16_384)) * 3
        await client.send_raw(block)
        await eventually(lambda: client.gone)
        assert served.watch.heads_refused_total == 1


async def test_a_header_block_that_is_never_finished_ends_with_its_connection(house, eventually):
    async with house(limits=Limits(head_seconds=0.4)) as served:
        client = await served.http2()
        await client.wait(lambda: client.h2.remote_settings.max_header_list_size)
        await client.send_raw(frame(1, 0, 1, b"\x82" * 10))
        await eventually(lambda: client.gone, within=1)
        assert served.watch.heads_refused_total == 1


async def test_a_head_that_unfolds_beyond_its_limit_is_refused(house, eventually):
    async with house() as served:
        client = await served.http2()
        # 3 KB once, then one byte for each repetition of it: little on the wire, 21 KB for the
        # application.
        value = "x" * 3000
        await client.ask(extra=[("x-large", value)] * 7)
        await eventually(lambda: client.gone)
        assert served.app.scopes == []
        assert client.goaway == CALM
        assert served.watch.heads_refused_total == 1


async def test_data_for_an_answered_stream_harms_nobody(house):
    async with house() as served:
        client = await served.http2()
        stream = await client.ask("/unread", method="POST", end=False)
        await client.wait(lambda: stream in client.ended)
        await client.send_raw(frame(0, 0, stream, b"more") * 3)
        for _ in range(3):
            later = await client.ask()
            await client.wait(lambda later=later: later in client.ended)
        assert client.resets == {stream: h2.errors.ErrorCodes.NO_ERROR}, "do not send the rest"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("CONNECT", None, 405), ("GET", b"/\xff", 400), (b"G\xc3", "/", 400)],
)
async def test_what_no_application_should_see_is_answered_here(house, method, path, status):
    async with house() as served:
        client = await served.http2()
        stream = client.h2.get_next_available_stream_id()
        head = [(":method", method), (":authority", "shop")]
        if path:
            head += [(":path", path), (":scheme", "http")]
        client.h2.send_headers(stream, head, end_stream=True)
        await client.flush()
        await client.wait(lambda: client.statuses.get(stream) == status)
        later = await client.ask()
        await client.wait(lambda: later in client.ended)
        assert [scope["path"] for scope in served.app.scopes] == ["/"]


async def test_what_is_sent_along_with_a_refused_request_harms_nobody_and_is_given_back(house):
    async with house() as served:
        client = await served.http2()
        for _ in range(10):  # 150 KB in all, through a window of 64 KB
            stream = client.h2.get_next_available_stream_id()
            head = [
                (":method", "POST"),
                (":path", b"/\xff"),
                (":scheme", "http"),
                (":authority", "a"),
            ]
            client.h2.send_headers(stream, head)
            client.h2.send_data(stream, bytes(15_000))  # in the same read as its head
            await client.flush()
            await client.wait(lambda stream=stream: stream in client.ended)
            await client.wait(lambda: client.h2.outbound_flow_control_window > 20_000)
        assert served.app.scopes == []


async def test_websocket_over_http2_is_not_offered(house):
    async with house() as served:
        client = await served.http2()
        await client.ask()
        await client.wait(lambda: client.ended)
        assert not client.h2.remote_settings.enable_connect_protocol
        assert client.h2.remote_settings.max_concurrent_streams == 100
        assert client.h2.remote_settings.max_header_list_size == 16 * 1024


async def test_a_failing_application_is_a_500_and_a_half_answer_a_reset(house):
    async with house() as served:
        client = await served.http2()
        failing, half = await client.ask("/fail"), await client.ask("/half")
        await client.wait(lambda: failing in client.ended and half in client.resets)
        assert client.statuses[failing] == 500
        assert client.resets == {half: h2.errors.ErrorCodes.INTERNAL_ERROR}


@pytest.mark.parametrize("header", [(b"x", b"a\r\nb: c"), (b"te", b"gzip"), (b"x", b"\0")])
async def test_a_header_that_http2_forbids_is_a_500_and_costs_the_neighbours_nothing(
    house, header, caplog
):
    """h2 would send the first, and be out of step with the peer's decoder after refusing the
    second.
    """

    async def forbidden(scope, receive, send):
        headers = (
            [(b"x-new", b"indexed"), header] if scope["path"] == "/bad" else [(b"y-new", b"z")]
        )
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async with house(forbidden) as served:
        client = await served.http2()
        bad = await client.ask("/bad")
        await client.wait(lambda: bad in client.ended)
        good = [await client.ask("/good") for _ in range(3)]
        await client.wait(lambda: client.ended >= set(good))
        assert client.statuses == {bad: 500} | dict.fromkeys(good, 200)
    assert "HTTP/2 does not allow" in caplog.text


async def test_an_upload_waits_for_its_application_and_arrives_whole(house):
    body = b"".join(b"%d," % n for n in range(60_000))

    async def unhurried(scope, receive, send):
        await go_on.wait()
        message = {"more_body": True}
        received = b""
        while message["more_body"]:
            message = await receive()
            received += message["body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send(
            {"type": "http.response.body", "body": b"whole" if received == body else b"torn"}
        )

    go_on = trio.Event()
    async with house(unhurried) as served:
        client = await served.http2()
        stream = await client.ask(method="POST", end=False)
        sent = 0
        held_back = False
        while sent < len(body):
            window = min(client.h2.local_flow_control_window(stream), 16_384, len(body) - sent)
            if window == 0:
                if not held_back:
                    await trio.sleep(0.1)
                    held_back = client.h2.local_flow_control_window(stream) == 0
                    assert sent == 65_535, "as much as was granted"
                    go_on.set()
                await client.wait(lambda: client.h2.local_flow_control_window(stream) > 0)
                continue
            client.h2.send_data(stream, body[sent : sent + window])
            sent += window
            await client.flush()
        client.h2.end_stream(stream)
        await client.flush()
        await client.wait(lambda: stream in client.ended)
        assert held_back
        assert client.bodies[stream] == b"whole"


@pytest.mark.parametrize("path", ["/unread", "/unread/late"])
async def test_unread_uploads_give_the_connections_window_back(house, path):
    async with house() as served:
        client = await served.http2()
        for _ in range(10):  # 300 KB through a connection window of 64 KB
            stream = await client.ask(path, method="POST", end=False)
            client.h2.send_data(stream, bytes(15_000))
            client.h2.send_data(stream, bytes(15_000))
            await client.flush()
            await client.wait(lambda stream=stream: stream in client.ended)
            await client.wait(lambda: client.h2.outbound_flow_control_window > 30_000)


async def test_after_its_last_request_a_connection_says_goodbye_and_finishes_what_runs(house):
    async with house(limits=Limits(requests=3)) as served:
        client = await served.http2()
        ticking = await client.ask("/ticks")
        for _ in range(2):
            asked = await client.ask()
            await client.wait(lambda asked=asked: asked in client.ended)
        seen = len(client.bodies[ticking])
        await client.wait(lambda: len(client.bodies[ticking]) > seen + 500, within=1)
        assert client.goaway == h2.errors.ErrorCodes.NO_ERROR
        assert not client.gone


async def test_a_request_after_the_goodbye_may_be_repeated_elsewhere(house, http2_client, nursery):
    async with house(limits=Limits(requests=1)) as served:
        client = await served.http2()
        ticking = await client.ask("/ticks")
        await client.wait(lambda: client.bodies[ticking])
        # h2 would not send a request after a GOAWAY; a client whose request crossed it has.
        encoded = client.h2.encoder.encode(
            [(":method", "GET"), (":path", "/"), (":scheme", "http"), (":authority", "shop")]
        )
        await client.send_raw(frame(1, 0x5, ticking + 2, encoded))
        await trio.sleep(0.2)
        assert [scope["path"] for scope in served.app.scopes] == ["/ticks"]
        assert not client.gone


async def test_cancelled_applications_lose_no_frame_that_others_need(house, eventually):
    """Header compression stays whole: each header block refers to what the ones before it taught."""
    gave_up = []

    async def flighty(scope, receive, send):
        headers = [(b"x-number", scope["path"].encode() * 20)]
        with trio.move_on_after(0.02):
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": bytes(50_000), "more_body": True})
        gave_up.append(scope["path"])

    async with house(flighty, send_timeout=3) as served:
        client = await served.http2(rcvbuf=4096, settings={INITIAL_WINDOW: 2**20})
        client.h2.increment_flow_control_window(2**25)
        await client.wait(lambda: client.h2.remote_settings.max_header_list_size)
        client.pause()  # the first answer fills the kernels, the others wait for their turn
        asked = [await client.ask(f"/{n}") for n in range(30)]
        await eventually(lambda: len(gave_up) > 20)
        client.go_on()
        await client.wait(lambda: client.ended | set(client.resets) >= set(asked))
        later = await client.ask("/later")
        await client.wait(lambda: client.statuses.get(later) == 200)


async def test_the_one_who_writes_sends_also_what_a_cancelled_application_left(house, eventually):
    """Nobody may write again for long: the frames of one who gave up waiting must not wait for
    that.
    """

    async def pair(scope, receive, send):
        if scope["path"] == "/first":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            body = {"type": "http.response.body", "body": bytes(32 * 1024), "more_body": True}
            await send(body)
        else:
            await eventually(lambda: served.watch.sends_blocked == 1)
            with trio.move_on_after(0.05):
                await send({"type": "http.response.start", "status": 200, "headers": []})
            gave_up.set()
        await trio.sleep_forever()

    gave_up = trio.Event()
    async with house(pair, send_timeout=3) as served:
        client = await served.http2(granting=False, rcvbuf=4096, settings={INITIAL_WINDOW: 2**20})
        await client.wait(lambda: client.h2.remote_settings.max_header_list_size)
        second = await client.ask("/second")
        client.pause()
        await client.ask("/first")
        await gave_up.wait()
        assert served.watch.sends_blocked == 1, "the first is still at it"
        client.go_on()
        await client.wait(lambda: client.statuses.get(second) == 200, within=1)
