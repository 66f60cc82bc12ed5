from __future__ import annotations

import socket
import ssl

import pytest
import trio
import trustme

from storefront.errors import ListenError, SettingsError, StorefrontError
from storefront.serving import Limits, Tls, open_listening_socket
from storefront.serving.corrections import require_corrected_version
from storefront.serving.peer import Peer

PATIENT = Limits(idle_seconds=30, head_seconds=30, linger_seconds=0.3)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def tls(authority, tmp_path):
    issued = authority.issue_cert("shop.test")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    for pem in issued.cert_chain_pems:
        pem.write_to_path(tmp_path / "cert.pem", append=True)
    return Tls(tmp_path / "cert.pem", tmp_path / "key.pem")


@pytest.fixture
def secure(authority):
    """A TLS client over a stream, asking for the protocols given."""

    async def shake_hands(stream, *protocols):
        context = ssl.create_default_context()
        authority.configure_trust(context)
        context.set_alpn_protocols(protocols)
        secured = trio.SSLStream(
            stream, context, server_hostname="shop.test", https_compatible=True
        )
        await secured.do_handshake()
        return secured

    return shake_hands


async def leave(served, *, seconds):
    """Drain and close; returns how long the server took."""
    began = trio.current_time()
    served.drain.begin(seconds)
    served.drain.close_listeners()
    with trio.fail_after(seconds + 5):
        await served.returned.wait()
    return trio.current_time() - began


async def test_it_returns_at_once_when_nobody_is_connected(house):
    async with house() as served:
        assert await leave(served, seconds=30) < 0.2


async def test_it_returns_at_once_when_everybody_is_idle(house):
    async with house(limits=PATIENT) as served:
        fresh, used, second = await served.http1(), await served.http1(), await served.http2()
        await used.ask()
        await used.read_until(b"hello")
        asked = await second.ask()
        await second.wait(lambda: asked in second.ended)
        assert await leave(served, seconds=30) < 1
        assert await fresh.read_to_end() == b""
        assert second.goaway == 0


async def test_it_returns_when_the_last_answer_is_out(house, eventually):
    async def unhurried(scope, receive, send):
        await trio.sleep(0.3)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    async with house(unhurried, limits=PATIENT) as served:
        first, second = await served.http1(), await served.http2()
        await first.ask()
        asked = await second.ask()
        await eventually(lambda: served.watch.requests == 2)
        took = await leave(served, seconds=30)
        assert 0.2 < took < 1
        answer = await first.read_until(b"done")
        assert b"connection: close" in answer
        await second.wait(lambda: asked in second.ended)
        assert second.bodies[asked] == b"done"


@pytest.mark.parametrize("kind", ["http1", "http2 window", "http2 socket"])
async def test_a_peer_that_never_reads_does_not_hold_the_drain(
    house, eventually, http2_client, kind
):
    async with house(send_timeout=60, limits=PATIENT) as served:
        if kind == "http1":
            await (await served.http1(rcvbuf=4096)).ask("/flood")
        elif kind == "http2 window":
            await (await served.http2(granting=False)).ask("/flood")
        else:
            client = http2_client(await served.connect(rcvbuf=4096))
            await client.begin({4: 2**31 - 1})
            client.h2.increment_flow_control_window(2**30)
            await client.ask("/flood")
        await eventually(lambda: served.watch.sends_blocked == 1)
        # The write was begun with a minute to go; it must end with the drain all the same.
        assert await leave(served, seconds=0.5) < 1
        assert served.app.ends == {"/flood": "slow"}


async def test_a_tls_peer_that_never_reads_does_not_hold_the_drain(
    house, eventually, tls, secure, http2_client
):
    async with house(send_timeout=60, limits=PATIENT, tls=tls) as served:
        one = await secure(await served.connect(rcvbuf=4096), "http/1.1")
        await one.send_all(b"GET /flood HTTP/1.1\r\nHost: shop\r\n\r\n")
        two = http2_client(await secure(await served.connect(rcvbuf=4096), "h2"))
        await two.begin({4: 2**31 - 1})
        two.h2.increment_flow_control_window(2**30)
        await two.ask("/flood/2")
        await eventually(lambda: served.app.sent.get("/flood") and served.app.sent.get("/flood/2"))
        await trio.sleep(0.2)
        assert await leave(served, seconds=0.5) < 1
        assert served.app.ends == {"/flood": "slow", "/flood/2": "slow"}


async def test_a_peer_that_never_shakes_hands_does_not_hold_the_drain(house, tls):
    async with house(limits=PATIENT, tls=tls) as served:
        await served.connect()
        half = await served.connect()
        await half.send_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc")
        await trio.sleep(0.1)
        assert await leave(served, seconds=30) < 0.5


async def test_a_handshake_has_its_time_and_no_more(house, tls, eventually):
    async with house(limits=Limits(head_seconds=0.3), tls=tls) as served:
        silent = await served.connect()
        with trio.fail_after(1):
            assert await silent.receive_some() == b""
        plain = await served.connect()
        await plain.send_all(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
        await eventually(lambda: served.watch.handshakes_failed_total == 2)


async def test_half_a_head_does_not_hold_the_drain(house, eventually):
    async with house(limits=PATIENT) as served:
        await (await served.connect()).send_all(b"GET / HTTP/1.1\r\nHo")
        two = await served.http2()
        await two.send_raw(b"\x00\x00\x0a\x01\x00\x00\x00\x00\x01" + b"\x82" * 10)
        await eventually(lambda: served.watch.connections == 2)
        await trio.sleep(0.1)
        assert await leave(served, seconds=30) < 1


async def test_an_application_that_does_not_listen_is_cancelled_after_the_drain(house):
    cancelled = []

    async def deaf(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"waiting", "more_body": True})
        try:
            await trio.sleep_forever()
        finally:
            cancelled.append(scope["path"])

    async with house(deaf, limits=PATIENT) as served:
        client = await served.http1()
        await client.ask("/deaf")
        await client.read_until(b"waiting")
        assert 1.2 < await leave(served, seconds=0.3) < 2
        assert cancelled == ["/deaf"]
        await client.read_to_end()


async def test_a_second_begin_ends_a_long_drain(house, eventually):
    async with house(send_timeout=60, limits=PATIENT) as served:
        await (await served.http1(rcvbuf=4096)).ask("/flood")
        await eventually(lambda: served.watch.sends_blocked == 1)
        served.drain.begin(300)
        served.drain.close_listeners()
        await trio.sleep(0.1)
        began = trio.current_time()
        served.drain.begin(0)
        with trio.fail_after(2):
            await served.returned.wait()
        assert trio.current_time() - began < 0.5


async def test_cancelling_ends_at_once_although_writes_are_shielded(house, eventually):
    async with house(send_timeout=60, limits=PATIENT) as served:
        await (await served.http1(rcvbuf=4096)).ask("/flood")
        await (await served.http2(granting=False)).ask("/flood/2")
        await eventually(lambda: served.watch.sends_blocked == 2)
        began = trio.current_time()
        served.cancel()
        with trio.fail_after(2):
            await served.ended.wait()
        assert trio.current_time() - began < 0.2


async def test_a_drain_that_nobody_closes_closes_itself(house):
    async with house(limits=PATIENT) as served:
        served.drain.begin(0.3)
        with trio.fail_after(0.8):
            await served.returned.wait()


async def test_while_draining_new_connections_get_their_answer_and_the_end(house, http2_client):
    async with house(limits=PATIENT) as served:
        served.drain.begin(30)
        await trio.sleep(0.05)
        one = await served.http1()
        await one.ask()
        assert b"connection: close" in await one.read_to_end()
        two = await served.http2()
        asked = await two.ask()
        await two.wait(lambda: asked in two.ended)
        assert two.bodies[asked] == b"hello"


async def test_while_draining_nobodys_stream_is_cut(house):
    async with house(limits=PATIENT) as served:
        one, two = await served.http1(), await served.http2()
        await one.ask("/ticks")
        ticking = await two.ask("/ticks/2")
        await one.read_until(b"\r\n\r\n")
        await two.wait(lambda: two.bodies[ticking])
        served.drain.begin(30)
        await trio.sleep(0.3)
        seen = len(two.bodies[ticking])
        await two.wait(lambda: len(two.bodies[ticking]) > seen, within=1)
        assert served.app.ends == {}


async def test_after_closing_nobody_new_comes_in(house):
    async with house(limits=PATIENT) as served:
        client = await served.http1()
        await client.ask("/ticks")
        await client.read_until(b"200")
        served.drain.begin(30)
        served.drain.close_listeners()
        await trio.sleep(0.1)
        for _ in range(3):
            with pytest.raises(ConnectionRefusedError):
                await served.connect()
        assert served.app.ends == {}, "who is here may stay until the end"


async def test_at_the_bound_on_connections_a_new_one_is_reset_at_once(house, eventually):
    async with house(limits=Limits(connections=2)) as served:
        first, second = await served.http1(), await served.http1()
        await eventually(lambda: served.watch.connections == 2)
        third = await served.http1()
        assert await third.read_to_end(within=1) == b""
        assert served.watch.statistics().connections_refused_total == 1
        await first.stream.aclose()
        await eventually(lambda: served.watch.connections == 1)
        fourth = await served.http1()
        await fourth.ask()
        await fourth.read_until(b"hello")
        await second.ask()
        await second.read_until(b"hello")


def test_the_bound_on_connections_leaves_descriptors_for_the_rest():
    assert Limits().most_connections() > 0
    assert Limits(connections=7).most_connections() == 7


async def test_a_flood_of_connections_that_say_nothing_is_gone_after_its_time(house, eventually):
    async with house(limits=Limits(idle_seconds=2)) as served:
        for _ in range(100):
            await served.connect()
        await eventually(lambda: served.watch.connections == 100)
        await eventually(lambda: served.watch.connections == 0, within=4)


async def test_http_1_and_2_over_tls_as_the_client_prefers(house, tls, secure, chunk):
    async with house(tls=tls) as served:
        assert served.urls[0].startswith("https://127.0.0.1:")
        one = await secure(await served.connect(), "http/1.1")
        await one.send_all(b"GET /big/100000 HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
        answer = b""
        while data := await one.receive_some():
            answer += data
        assert chunk(100_000, 100_000) in answer
        both = await secure(await served.connect(), "h2", "http/1.1")
        assert both.selected_alpn_protocol() == "h2"
        two = await served.http2(stream=both)
        asked = [await two.ask("/big/300000") for _ in range(5)]
        await two.wait(lambda: two.ended >= set(asked))
        assert {two.bodies[stream] for stream in asked} == {chunk(300_000, 300_000)}
        assert {scope["scheme"] for scope in served.app.scopes} == {"https"}


async def test_a_tls_reader_that_is_slow_but_steady_lives(house, tls, secure):
    async with house(tls=tls, send_timeout=1) as served:
        client = await secure(await served.connect(rcvbuf=4096), "http/1.1")
        await client.send_all(b"GET /steady HTTP/1.1\r\nHost: shop\r\n\r\n")
        for _ in range(40):
            assert await client.receive_some(2048)
            await trio.sleep(0.05)
        assert served.app.ends == {}


async def test_a_tls_peer_that_never_reads_is_cut_off(house, tls, secure, eventually):
    async with house(tls=tls, send_timeout=0.4) as served:
        client = await secure(await served.connect(rcvbuf=4096), "http/1.1")
        await client.send_all(b"GET /flood HTTP/1.1\r\nHost: shop\r\n\r\n")
        await eventually(lambda: served.watch.sends_blocked == 1)
        await eventually(lambda: served.app.ends == {"/flood": "slow"}, within=1)
        assert served.watch.slow_aborts_total == 1


async def test_tls_writes_that_need_not_wait_are_not_counted_as_blocked(house, tls, secure):
    async with house(tls=tls) as served:
        client = await secure(await served.connect(), "http/1.1")
        await client.send_all(b"GET /ticks HTTP/1.1\r\nHost: shop\r\n\r\n")
        for _ in range(20):
            assert await client.receive_some()
        assert served.watch.sends_blocked_total == 0


@pytest.mark.parametrize("broken", ["missing", "garbage", "mismatch"])
async def test_a_certificate_that_cannot_be_used_is_one_line_that_names_the_settings(
    house, tls, authority, tmp_path, broken
):
    if broken == "missing":
        tls.key.unlink()
    elif broken == "garbage":
        tls.cert.write_text("not a certificate")
    else:
        other = authority.issue_cert("other.test")
        other.private_key_pem.write_to_path(tls.key)
    with pytest.RaisesGroup(SettingsError) as caught:
        async with house(tls=tls):
            pass
    message = str(caught.value.exceptions[0])
    assert message.startswith("STOREFRONT_TLS_CERT=")
    assert "STOREFRONT_TLS_KEY=" in message
    assert "\n" not in message


async def test_a_unix_socket_serves_too(house, tmp_path):
    path = tmp_path / "front"
    async with house(bind=f"unix:{path}") as served:
        assert served.urls == [f"http://unix:{path}"]
        client = served.http1_over(await trio.open_unix_socket(path))
        await client.ask()
        await client.read_until(b"hello")
        stuck = served.http1_over(await trio.open_unix_socket(path))
        await stuck.ask("/flood")
        await trio.sleep(0.8)
        assert served.app.ends == {"/flood": "slow"}


async def test_ipv6_serves_too(house):
    try:
        async with house(bind="[::1]:0") as served:
            assert served.urls == [f"http://[::1]:{served.port}"]
            client = served.http1_over(await trio.open_tcp_stream("::1", served.port))
            await client.ask()
            await client.read_until(b"hello")
    except ListenError:  # this machine has no IPv6
        assert not socket.has_dualstack_ipv6()


async def test_a_bug_in_serving_ends_the_server_and_is_not_swallowed(house, monkeypatch):
    async def broken(self, data):
        raise RuntimeError("a bug of ours or of Hypercorn's")

    monkeypatch.setattr(Peer, "_write", broken)

    def is_it(error):
        return "a bug of ours" in str(error)

    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, check=is_it), flatten_subgroups=True):
        async with house() as served:
            client = await served.http1()
            await client.stream.send_all(b"nonsense\r\n\r\n")
            await trio.sleep(1)


async def test_nothing_is_printed_and_no_handler_is_added(house, capfd):
    async with house() as served:
        client = await served.http1()
        await client.ask("/fail")
        await client.read_until(b"500")
    captured = capfd.readouterr()
    assert captured.out == ""


def test_another_hypercorn_than_the_corrected_one_is_refused_in_one_line():
    require_corrected_version()
    with pytest.raises(StorefrontError, match=r"hypercorn 0\.19\.0 is installed") as caught:
        require_corrected_version("0.19.0")
    assert "\n" not in str(caught.value)


async def test_the_listening_socket_is_free_again_afterwards(house):
    async with house() as served:
        await leave(served, seconds=1)
        open_listening_socket(f"127.0.0.1:{served.port}").close()


async def test_requests_carry_what_asgi_promises_and_their_connection(house):
    async with house() as served:
        client = await served.http1()
        await client.ask("/a%20b?c=d")
        await client.read_until(b"HTTP/1.1 500")  # no such application
        scope = served.app.scopes[0]
        assert (scope["path"], scope["raw_path"], scope["query_string"]) == (
            "/a b",
            b"/a%20b",
            b"c=d",
        )
        assert scope["client"][0] == "127.0.0.1"
        assert repr(scope["state"]["connection"]) == "<Connection HTTP/1.1 open>"
