"""The fetch of the keys over real sockets: whatever is at the other end, it is a set, or an error of ours in time."""

from __future__ import annotations

import gzip
import ssl

import pytest
import trio
import trustme

from storefront.errors import (
    DownstreamError,
    DownstreamNonsenseError,
    DownstreamUnavailableError,
    SettingsError,
)
from storefront.web import jwks as module
from storefront.web.jwks import LONGEST_SET, JwksSource
from tests.downstream.conftest import Neighbour, neighbour, never, response, saying
from tests.web.issuing import RSA, jwk, jwks

SET = jwks(jwk(RSA, "k"))
MEGABYTE = b" " * 1024 * 1024
# Seconds; nothing here takes a tenth of it, on a machine that does nothing else.
PATIENT = 10


@pytest.fixture
async def there():
    async with neighbour(never) as made:
        yield made


async def fetch(there: Neighbour, path: str = "/keys") -> bytes:
    with trio.fail_after(PATIENT):
        return await JwksSource(there.url + path).fetch()


@pytest.mark.parametrize(
    "kind", ["application/json", "application/jwk-set+json", "text/plain", None]
)
async def test_a_set_is_fetched_whatever_type_it_is_said_to_be(there, kind):
    there.answer = saying(response(SET, kind=kind))
    assert await fetch(there, "/realms/shop/keys") == SET
    head = there.heard[0].lower()
    assert head.startswith("get /realms/shop/keys http/1.1\r\n")
    assert "accept-encoding: identity\r\n" in head
    assert "authorization" not in head
    assert "cookie" not in head


@pytest.mark.parametrize(
    "status", [204, 301, 302, 303, 307, 308, 304, 400, 401, 404, 429, 500, 503]
)
async def test_any_other_status_is_no_set_and_no_redirect_is_followed(there, status):
    async with neighbour(saying(response(SET))) as elsewhere:
        extra = f"location: {elsewhere.url}/keys\r\nconnection: close\r\n"
        there.answer = saying(
            response(SET if status not in {204, 304} else b"", status=f"{status} So", extra=extra)
        )
        with pytest.raises(DownstreamNonsenseError, match=f"keys: status {status}"):
            await fetch(there)
        assert elsewhere.opened == 0


async def test_an_answer_as_long_as_a_set_may_be_is_read_and_a_longer_one_is_not(there):
    there.answer = saying(response(b" " * LONGEST_SET))
    assert len(await fetch(there)) == LONGEST_SET
    there.answer = saying(response(b" " * (LONGEST_SET + 1)))
    with pytest.raises(DownstreamNonsenseError, match="too long"):
        await fetch(there)


@pytest.mark.parametrize("head", ["content-length: 52428800", "x-says: nothing of its length"])
async def test_of_fifty_megabytes_no_more_is_read_than_a_set_may_have(there, head):
    sent = 0

    async def fifty(stream: trio.SocketStream) -> None:
        nonlocal sent
        await stream.send_all(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode())
        for _ in range(50):
            await stream.send_all(MEGABYTE)
            sent += 1

    there.answer = fifty
    with pytest.raises(DownstreamNonsenseError, match="too long"):
        await fetch(there)
    # What the kernel's buffers hold is on its way before anybody can say stop.
    assert sent < 20


async def test_an_answer_that_is_packed_is_not_unpacked(there):
    packed = gzip.compress(SET)
    there.answer = saying(response(packed, extra="content-encoding: gzip\r\nconnection: close\r\n"))
    with pytest.raises(DownstreamNonsenseError, match="encoded"):
        await fetch(there)


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [b"\x16\x03\x01 this is no HTTP\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\n"],
        [b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{"],
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"],
        [b"HTTP/1.1 200 OK\r\nx: " + b"x" * 200_000],
    ],
    ids=[
        "nothing",
        "another protocol",
        "half a head",
        "half a body",
        "bad chunks",
        "an endless head",
    ],
)
async def test_whatever_breaks_off_is_an_error_of_ours(there, pieces):
    there.answer = saying(*pieces)
    with pytest.raises(DownstreamError) as caught:
        await fetch(there)
    assert caught.value.service == "keys"


async def test_nobody_there_is_an_error_of_ours():
    async with neighbour(never) as gone:
        url = gone.url
    with trio.fail_after(PATIENT), pytest.raises(DownstreamUnavailableError):
        await JwksSource(f"{url}/keys").fetch()


@pytest.mark.parametrize("host", ["a..b", "xn--", "a" * 70])
async def test_a_host_that_cannot_be_is_an_error_of_ours(host):
    with trio.fail_after(PATIENT), pytest.raises(DownstreamError):
        await JwksSource(f"http://{host}:1/keys").fetch()


async def test_one_who_never_answers_is_left_at_the_callers_deadline_and_its_connection_is_closed(
    there,
):
    async def silent(stream: trio.SocketStream) -> None:
        assert await stream.receive_some() == b"", "the other side has left"

    there.answer = silent
    with trio.move_on_after(0.2) as patience:
        await JwksSource(there.url).fetch()
    assert patience.cancelled_caught
    with trio.fail_after(PATIENT):
        while there.open:
            await trio.sleep(0.01)


async def test_one_byte_at_a_time_is_ended_by_the_callers_deadline(there):
    there.answer = saying(*(bytes([byte]) for byte in response(SET)), every=0.1)
    with trio.move_on_after(0.5) as patience:
        await JwksSource(there.url).fetch()
    assert patience.cancelled_caught


async def test_after_many_fetches_that_were_cut_the_next_one_is_as_good_as_the_first(there):
    source = JwksSource(there.url)
    for _ in range(30):
        with trio.move_on_after(0.01):
            await source.fetch()
    there.answer = saying(response(SET))
    with trio.fail_after(PATIENT):
        assert await source.fetch() == SET


async def test_a_connection_that_does_not_come_about_is_given_up(there, monkeypatch):
    monkeypatch.setattr(module, "CONNECT_WITHIN", 0.2)
    # The other side takes the connection and says nothing of TLS.
    url = there.url.replace("http:", "https:")
    with (
        trio.fail_after(PATIENT),
        pytest.raises(DownstreamUnavailableError, match="no connection in time"),
    ):
        await JwksSource(url).fetch()


@pytest.mark.parametrize("trusted", [True, False])
async def test_over_tls_the_service_must_prove_who_it_is(monkeypatch, trusted):
    authority, ours = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(ours)
    if trusted:

        def believed() -> ssl.SSLContext:
            context = ssl.create_default_context()
            authority.configure_trust(context)
            return context

        monkeypatch.setattr(module, "_certificates", believed)
    listeners = await trio.open_ssl_over_tcp_listeners(
        0, ours, host="127.0.0.1", https_compatible=True
    )
    port = listeners[0].transport_listener.socket.getsockname()[1]

    async def serve(stream) -> None:
        try:
            await stream.receive_some()
            await stream.send_all(response(SET))
        except trio.BrokenResourceError:
            pass
        finally:
            await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        source = JwksSource(f"https://127.0.0.1:{port}/keys")
        with trio.fail_after(PATIENT):
            if trusted:
                assert await source.fetch() == SET
            else:
                with pytest.raises(DownstreamUnavailableError):
                    await source.fetch()
        nursery.cancel_scope.cancel()


def test_a_url_that_cannot_be_used_stops_the_start_with_one_line():
    with pytest.raises(SettingsError, match=r"^STOREFRONT_JWT_JWKS_URL: "):
        JwksSource("http://\x7f/keys")
