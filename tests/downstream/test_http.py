"""JSON over HTTP, from services that do all that a service can do wrong."""

from __future__ import annotations

import gzip
import inspect
import ssl
from contextlib import asynccontextmanager, suppress

import certifi
import httpx
import pytest
import trio
import trustme

from storefront.downstream import http
from storefront.downstream.connecting import Connecting
from storefront.downstream.http import (
    CONNECTIONS,
    LONGEST_ANSWER,
    LONGEST_REFUSAL,
    HttpService,
    Told,
    open_http,
)
from storefront.errors import (
    DownstreamError,
    DownstreamNonsenseError,
    DownstreamRefusedError,
    DownstreamUnavailableError,
    SettingsError,
)
from tests.downstream.conftest import response, saying

JSON = b'{"a":1}'
# Seconds within which each of these answers comes, on a busy machine.
SOON = 10


async def ask(service: HttpService, *path: str) -> bytes | None:
    with trio.fail_after(SOON):
        return await service.get_json(*(path or ("api", "x")))


async def refused(service: HttpService, kind: type[DownstreamError], *path: str) -> str:
    with pytest.raises(kind) as caught:
        await ask(service, *path)
    assert type(caught.value) is kind
    assert caught.value.service == "shopping"
    return str(caught.value)


# What is asked.


@pytest.mark.parametrize(
    ("segment", "target"),
    [
        ("plain", "plain"),
        ("a/b", "a%2Fb"),
        ("a%2Fb", "a%252Fb"),
        ("../../admin", "..%2F..%2Fadmin"),
        ("..%2f", "..%252f"),
        ("%2e%2e", "%252e%252e"),
        ("...", "..."),
        ("a?b=c", "a%3Fb%3Dc"),
        ("a#b", "a%23b"),
        ("a b", "a%20b"),
        ("a;b,c&d", "a%3Bb%2Cc%26d"),
        ("http://evil.example", "http%3A%2F%2Fevil.example"),
        ("//evil.example", "%2F%2Fevil.example"),
        ("@evil.example", "%40evil.example"),
        ("a\r\nx: y", "a%0D%0Ax%3A%20y"),
        ("\0", "%00"),
        ("\\..\\", "%5C..%5C"),
        ("m\u00fcll", "m%C3%BCll"),
        ("\u2028", "%E2%80%A8"),
        ("\uff0e\uff0e", "%EF%BC%8E%EF%BC%8E"),
        ("~._-", "~._-"),
    ],
    ids=ascii,
)
async def test_every_segment_stays_one_segment_whatever_is_in_it(there, service, segment, target):
    there.answer = saying(response(JSON))
    assert await ask(service, "api", "carts", segment) == JSON
    assert await ask(service, segment, "x") == JSON
    assert there.targets == [f"/api/carts/{target}", f"/{target}/x"]
    assert all(
        head.count("\r\n") == head.split("\r\n\r\n")[0].count("\r\n") + 2 for head in there.heard
    )


@pytest.mark.parametrize("segment", ["", ".", "..", "\ud800", "a\udcff"], ids=ascii)
async def test_what_cannot_be_a_segment_is_known_to_nobody_and_not_asked(there, service, segment):
    there.answer = saying(response(JSON))
    for path in (("api", segment), (segment, "x"), ("api", segment, "x")):
        assert await ask(service, *path) is None
    assert there.opened == 0


async def test_a_base_url_with_a_path_keeps_it(there):
    there.answer = saying(response(JSON))
    async with open_http("shopping", f"{there.url}/base/", connect_timeout=SOON) as service:
        await ask(service, "api", "x")
    async with open_http("shopping", f"{there.url}/base", connect_timeout=SOON) as service:
        await ask(service, "api", "x")
    assert there.targets == ["/base/api/x", "/base/api/x"]


async def test_plain_json_is_asked_for(there, service):
    there.answer = saying(response(JSON))
    await ask(service)
    head = there.heard[0].lower()
    assert head.startswith("get /api/x http/1.1\r\n")
    assert "\r\naccept: application/json\r\n" in head
    assert "\r\naccept-encoding: identity\r\n" in head
    assert "cookie" not in head


async def test_a_cookie_given_with_one_answer_is_not_sent_with_the_next_question(there, service):
    there.stays = True
    there.answer = saying(
        response(
            JSON,
            extra="set-cookie: session=of-alice; Path=/\r\nset-cookie: a=b; Domain=127.0.0.1; Max-Age=1000\r\n",
        )
    )
    for _ in range(3):
        await ask(service)
    assert len(there.heard) == 3
    assert not any("cookie" in head.lower() for head in there.heard)


async def test_the_proxies_of_the_environment_are_not_used(there, nobody, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, nobody)
    there.answer = saying(response(JSON))
    async with open_http("shopping", there.url, connect_timeout=SOON) as service:
        assert await ask(service) == JSON


async def test_a_connection_is_used_again(there, service):
    there.answer, there.stays = saying(response(JSON, extra="")), True
    for _ in range(5):
        assert await ask(service) == JSON
    assert there.opened == 1


@pytest.mark.parametrize("status", ["404 Not Found", "405 No", "403 No", "400 No"])
async def test_a_connection_is_used_again_after_a_short_no(there, service, status):
    there.answer = saying(response(b'{"title":"no"}', status=status, extra=""))
    there.stays = True
    for _ in range(5):
        with suppress(DownstreamRefusedError):
            await ask(service)
    assert there.opened == 1


async def test_a_no_without_end_is_not_read(there, service):
    there.answer = saying(
        response(b"x" * 100, status="404 Not Found").replace(b"length: 100", b"length: 100000000")
    )
    assert await ask(service) is None


async def test_there_are_never_more_connections_than_the_pool_has(there, service):
    there.stays = True

    async def slowly(stream) -> None:
        await trio.sleep(0.02)
        assert there.open <= CONNECTIONS
        await stream.send_all(response(JSON, extra=""))

    there.answer = slowly
    with trio.fail_after(SOON):
        async with trio.open_nursery() as nursery:
            for _ in range(30):
                nursery.start_soon(service.get_json, "api", "x")
    assert len(there.heard) == 30
    assert there.opened <= CONNECTIONS


# What is answered.


@pytest.mark.parametrize(
    "kind",
    ["application/json", "application/json; charset=utf-8", "Application/JSON ;charset=UTF-8"],
)
@pytest.mark.parametrize(
    "body",
    [JSON, b"", b"null", b"\xff\xfe", b"x" * LONGEST_ANSWER],
    ids=["json", "nothing", "null", "no text", "the longest"],
)
async def test_the_body_of_a_200_is_given_as_it_came(there, service, kind, body):
    there.answer = saying(response(body, kind=kind))
    assert await ask(service) == body


async def test_a_body_in_chunks_is_put_together(there, service):
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    there.answer = saying(
        head, b"3\r\n" + JSON[:3] + b"\r\n", b"4\r\n" + JSON[3:] + b"\r\n0\r\n\r\n", every=0.02
    )
    assert await ask(service) == JSON


@pytest.mark.parametrize(
    "kind", ["application/json", "application/problem+json", "text/html", None]
)
async def test_404_means_unknown_whatever_it_is_wrapped_in(there, service, kind):
    there.answer = saying(response(b"no such thing", status="404 Not Found", kind=kind))
    assert await ask(service) is None


@pytest.mark.parametrize("status", [500, 501, 502, 503, 504, 599, 408, 425, 429])
async def test_an_error_of_theirs_and_come_back_later_are_unavailable(there, service, status):
    there.answer = saying(response(JSON, status=f"{status} X"))
    assert await refused(service, DownstreamUnavailableError) == f"shopping: status {status}"


@pytest.mark.parametrize("status", [201, 202, 204, 206, 300, 304])
async def test_any_other_status_is_nonsense(there, service, status):
    body = b"" if status in {204, 304} else JSON
    there.answer = saying(response(body, status=f"{status} X"))
    assert f"status {status}" in await refused(service, DownstreamNonsenseError)


@pytest.mark.parametrize(
    "kind",
    [
        "text/html",
        "text/plain",
        "application/problem+json",
        "application/jsonp",
        "application/json-seq",
        "text/json",
        "",
        "json",
        None,
    ],
)
async def test_200_with_anything_but_json_is_nonsense(there, service, kind):
    there.answer = saying(response(b"<html>Welcome to the proxy</html>", kind=kind))
    said = await refused(service, DownstreamNonsenseError)
    assert "Welcome" not in said


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "to",
    ["/elsewhere", "{url}/elsewhere", "http://127.0.0.1:9/", "http://[", "//", "\xff", ""],
    ids=ascii,
)
async def test_a_redirect_is_not_followed(there, service, status, to):
    location = f"location: {to.format(url=there.url)}\r\n"
    there.answer = saying(
        response(JSON, status=f"{status} X").replace(
            b"content-length", location.encode("latin-1") + b"content-length"
        )
    )
    with pytest.raises(DownstreamError):
        await ask(service)
    assert there.targets == ["/api/x"]


async def test_one_byte_too_many_is_nonsense(there, service):
    there.answer = saying(response(b"x" * (LONGEST_ANSWER + 1)))
    assert await refused(service, DownstreamNonsenseError) == "shopping: the answer is too long"


async def test_an_answer_without_end_is_let_go_of_at_the_bound(there, service):
    sent = 0

    async def flood(stream) -> None:
        nonlocal sent
        await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
        while True:
            await stream.send_all(b"x" * 65536)
            sent += 65536

    there.answer = flood
    await refused(service, DownstreamNonsenseError)
    with trio.fail_after(SOON):
        while there.open:
            await trio.sleep(0.01)
    # What the two kernels keep for us, beyond what was read.
    assert sent < LONGEST_ANSWER + 16 * 1024 * 1024


async def test_a_packed_answer_is_not_unpacked(there, service):
    bomb = gzip.compress(b" " * (20 * 1024 * 1024), 9)
    assert len(bomb) < LONGEST_ANSWER
    there.answer = saying(response(bomb, extra="content-encoding: gzip\r\n"))
    assert await refused(service, DownstreamNonsenseError) == "shopping: the answer is encoded"
    there.answer = saying(response(JSON, extra="content-encoding: Identity\r\n"))
    assert await ask(service) == JSON


@pytest.mark.parametrize("status", [400, 401, 403, 405, 409, 410, 418, 422])
async def test_any_other_no_is_a_no_and_not_the_services_failure(there, service, status):
    there.answer = saying(response(JSON, status=f"{status} X"))
    assert await refused(service, DownstreamRefusedError) == f"shopping: status {status}"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("30", ", come back in 30 s"),
        ("Sun, 22 Nov 2026 12:00:30 GMT", ", come back in 30 s"),
        ("soon", ""),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_when_to_come_back_is_told(there, service, status, said, words):
    extra = f"retry-after: {said}\r\ndate: Sun, 22 Nov 2026 12:00:00 GMT\r\nconnection: close\r\n"
    there.answer = saying(response(JSON, status=f"{status} X", extra=extra))
    assert await refused(service, DownstreamUnavailableError) == f"shopping: status {status}{words}"


# What is told to be done.


async def tell(service: HttpService, *path: str, headers=None, body: bytes = b"{}") -> Told:
    with trio.fail_after(SOON):
        return await service.send_json(
            "POST", *(path or ("api", "x")), body=body, headers=headers or {}
        )


async def test_a_command_carries_its_body_and_the_headers_that_go_along(there, service):
    there.answer = saying(response(b"", status="204 No Content", kind=None))
    told = await tell(service, headers={"authorization": "Bearer x"}, body=b'{"a":19.90}')
    assert told == Told(status=204, body=b"", location=None)
    head = there.heard[0].lower()
    assert head.startswith("post /api/x http/1.1\r\n")
    assert "\r\nauthorization: bearer x\r\n" in head
    assert "\r\ncontent-type: application/json\r\n" in head
    assert there.bodies == [b'{"a":19.90}']


@pytest.mark.parametrize("status", ["200 OK", "201 Created", "202 Accepted"])
async def test_a_yes_is_told_with_its_body_and_where(there, service, status):
    extra = "location: /api/carts/7\r\nconnection: close\r\n"
    there.answer = saying(response(JSON, status=status, extra=extra))
    assert await tell(service) == Told(status=int(status[:3]), body=JSON, location="/api/carts/7")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("application/json", JSON),
        ("application/problem+json; charset=utf-8", JSON),
        ("text/html", b""),
        (None, b""),
    ],
)
async def test_a_no_to_a_command_is_handed_on_with_its_json(there, service, status, kind, words):
    there.answer = saying(response(JSON, status=f"{status} X", kind=kind))
    with pytest.raises(DownstreamRefusedError) as caught:
        await tell(service)
    assert (caught.value.status, caught.value.body) == (status, words)


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
async def test_of_a_command_that_met_trouble_the_outcome_is_unknown(there, service, status):
    there.answer = saying(response(JSON, status=f"{status} X"))
    with pytest.raises(DownstreamUnavailableError) as caught:
        await tell(service)
    assert (caught.value.status, caught.value.reached) == (status, True)
    assert len(there.heard) == 1


async def test_of_a_command_that_found_nobody_it_is_known(nobody):
    async with open_http("shopping", nobody, connect_timeout=SOON) as service:
        with pytest.raises(DownstreamUnavailableError) as caught:
            await tell(service)
        assert caught.value.reached is False


NO_YES = {
    "a page": response(b"<html>Welcome</html>", kind="text/html"),
    "a redirect": response(
        JSON, status="303 X", extra="location: /elsewhere\r\nconnection: close\r\n"
    ),
    "packed": response(
        gzip.compress(JSON), extra="content-encoding: gzip\r\nconnection: close\r\n"
    ),
    "too long": response(b"x" * (LONGEST_ANSWER + 1)),
    "a no too long": response(b"x" * (LONGEST_REFUSAL + 1), status="400 X"),
}


@pytest.mark.parametrize("said", NO_YES.values(), ids=NO_YES.keys())
async def test_what_is_no_answer_to_a_command_is_nonsense(there, service, said):
    there.answer = saying(said)
    with pytest.raises(DownstreamNonsenseError):
        await tell(service)
    assert there.targets == ["/api/x"]


async def test_a_command_to_what_cannot_be_a_path_is_told_of_nobody(there, service):
    with pytest.raises(DownstreamRefusedError) as caught:
        await tell(service, "api", "..")
    assert caught.value.status == 404
    assert there.opened == 0


# The time it may take.


async def test_what_is_left_of_the_time_goes_along(there, service):
    there.answer, there.stays = saying(response(JSON, extra="")), True
    await service.get_json("api", "x")
    with trio.move_on_after(5):
        await service.get_json("api", "x")
        with trio.move_on_after(0.5):
            await service.get_json("api", "x")
    left = [
        head.lower().partition("request-timeout-ms: ")[2].partition("\r\n")[0]
        for head in there.heard
    ]
    assert left[0] == ""
    assert 4_000 < int(left[1]) <= 5_000
    assert 0 < int(left[2]) <= 500


async def test_a_caller_who_is_leaving_already_asks_nothing(there, service):
    with trio.CancelScope() as scope:
        scope.cancel()
        await service.get_json("api", "x")
    assert scope.cancelled_caught
    assert there.heard == []


@asynccontextmanager
async def nobody_accepts():
    """A URL where the kernel drops whoever comes: the queue of those not yet accepted is full."""
    with trio.socket.socket() as listener:
        await listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        waiting = [trio.socket.socket() for _ in range(4)]
        try:
            for one in waiting:
                with trio.move_on_after(0.1):
                    await one.connect(address)
            yield f"http://127.0.0.1:{address[1]}"
        finally:
            for one in waiting:
                one.close()


async def test_connecting_is_bounded_and_the_service_certainly_heard_nothing():
    async with nobody_accepts() as url, open_http("shopping", url, connect_timeout=0.15) as service:
        began = trio.current_time()
        with pytest.raises(DownstreamUnavailableError, match="no connection in time") as caught:
            await ask(service)
        assert 0.15 <= trio.current_time() - began < SOON / 2
        assert caught.value.reached is False
        assert service._client._transport._pool.connections == []


async def test_a_handshake_counts_as_connecting_and_leaves_no_socket(there):
    async with open_http(
        "shopping", there.url.replace("http:", "https:"), connect_timeout=0.15
    ) as service:
        for _ in range(2 * CONNECTIONS):
            assert "no connection in time" in await refused(service, DownstreamUnavailableError)
        assert service._client._transport._pool.connections == []
        with trio.fail_after(SOON):
            while there.open:
                await trio.sleep(0.01)


@pytest.fixture
async def encrypted(there, tmp_path, monkeypatch):
    """The URL where the neighbour is to be had over TLS, with a certificate that is believed."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setattr(certifi, "where", lambda: str(tmp_path / "ca.pem"))
    inside = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(inside)

    async def serve(stream) -> None:
        wrapped = trio.SSLStream(stream, inside, server_side=True, https_compatible=True)
        await there.serve(wrapped)

    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield f"https://127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def test_over_tls_all_is_the_same_and_the_bound_ends_with_the_handshake(there, encrypted):
    async def slowly(stream) -> None:
        await trio.sleep(1.2)
        await stream.send_all(response(JSON))

    there.answer = slowly
    async with open_http("shopping", encrypted, connect_timeout=1) as service:
        assert await ask(service) == JSON


async def test_the_bound_on_connecting_is_none_on_reading(there):
    async def slowly(stream) -> None:
        await trio.sleep(0.4)
        await stream.send_all(response(JSON))

    there.answer = slowly
    async with open_http("shopping", there.url, connect_timeout=0.2) as service:
        assert await ask(service) == JSON


@pytest.mark.parametrize(
    "last", ["connection.connect_tcp.complete", "connection.start_tls.complete"]
)
async def test_whoever_leaves_between_the_connection_and_its_use_takes_no_place_along(
    there, encrypted, monkeypatch, last
):
    """Without the shield each of these stays in httpx's pool, neither used nor idle nor closed."""
    left = trio.CancelScope()

    class Leaving(Connecting):
        async def trace(self, event, info):
            await super().trace(event, info)
            if event == last:
                left.cancel()

    there.answer = saying(response(JSON))
    url = encrypted if "tls" in last else there.url
    async with open_http("shopping", url, connect_timeout=SOON) as service:
        with monkeypatch.context() as patch:
            patch.setattr(http, "Connecting", Leaving)
            for _ in range(3 * CONNECTIONS):
                with trio.fail_after(SOON), left:
                    await service.get_json("api", "x")
                assert left.cancelled_caught
                left = trio.CancelScope()
        assert await ask(service) == JSON


# What is broken off.


async def test_where_nobody_listens_is_unavailable(nobody):
    async with open_http("shopping", nobody, connect_timeout=SOON) as service:
        assert await refused(service, DownstreamUnavailableError) == "shopping: ConnectError"


BROKEN = {
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\ncontent-ty",
    "a head": response(JSON)[: -len(JSON)],
    "half a body": response(JSON)[:-3],
    "half a chunk": b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n10\r\n{",
    "a chunk of no size": b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
    "no HTTP": b"220 mail.example ESMTP\r\n",
    "a TLS alert": b"\x15\x03\x01\x00\x02\x02\x46",
    "zeros": b"\0" * 1000,
    "a status of letters": b"HTTP/1.1 abc OK\r\n\r\n",
    "a length of letters": b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: abc\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n12",
    "a head without end": b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 40_000,
    "a line without end": b"HTTP/1.1 200 OK\r\nx: " + b"y" * 300_000,
}


@pytest.mark.parametrize("said", BROKEN.values(), ids=BROKEN.keys())
async def test_an_answer_that_breaks_off_or_is_none_is_unavailable(there, service, said):
    there.answer = saying(said)
    await refused(service, DownstreamUnavailableError)
    there.answer = saying(response(JSON))
    assert await ask(service) == JSON


@pytest.mark.parametrize("said", [response(JSON), response(JSON)[:-3]], ids=["whole", "half"])
async def test_a_connection_reset_while_answering_is_unavailable_or_an_answer(there, service, said):
    async def reset(stream) -> None:
        import socket
        import struct

        await stream.send_all(said)
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    there.answer = reset
    with suppress(DownstreamUnavailableError):
        assert await ask(service) == JSON


async def test_whoever_leaves_takes_the_connection_along(there, service):
    async def listen(stream) -> None:
        await stream.receive_some()

    there.answer = listen
    with trio.move_on_after(0.2) as left:
        await service.get_json("api", "x")
    assert left.cancelled_caught
    with trio.fail_after(SOON):
        while there.open:
            await trio.sleep(0.01)


# What httpx itself may raise.


def foreign_errors() -> list[type[Exception]]:
    found = {
        each
        for each in vars(httpx).values()
        if inspect.isclass(each) and issubclass(each, Exception)
    }
    assert len(found) >= 25
    return sorted(found, key=lambda kind: kind.__name__)


def made(kind: type[Exception]) -> Exception:
    request = httpx.Request("GET", "http://x")
    for arguments in (("said",), ()):
        for options in (
            {},
            {"request": request},
            {"request": request, "response": httpx.Response(200)},
        ):
            try:
                return kind(*arguments, **options)
            except TypeError:
                continue
    raise AssertionError(kind)


@pytest.mark.parametrize("where", ["opening", "reading"])
@pytest.mark.parametrize("kind", foreign_errors(), ids=lambda kind: kind.__name__)
async def test_no_exception_of_httpx_gets_through_the_fence(kind, where):
    error = made(kind)

    class Response:
        status_code = 200
        headers = httpx.Headers({"content-type": "application/json"})

        async def aiter_raw(self):
            await trio.lowlevel.checkpoint()
            raise error
            yield b""

    class Client:
        @asynccontextmanager
        async def stream(self, _method, _url, **_rest):
            await trio.lowlevel.checkpoint()
            if where == "opening":
                raise error
            yield Response()

    with pytest.raises(DownstreamError) as caught:
        await HttpService("shopping", Client()).get_json("x")
    transport = issubclass(kind, httpx.TransportError)
    assert isinstance(
        caught.value, DownstreamUnavailableError if transport else DownstreamNonsenseError
    )
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("host", ["ex..ample", "a" * 64 + ".example"])
async def test_a_host_that_can_have_no_address_is_unavailable(host):
    async with open_http("shopping", f"http://{host}", connect_timeout=SOON) as service:
        await refused(service, DownstreamUnavailableError)


async def test_a_url_that_httpx_cannot_use_stops_the_start_with_the_variable_named():
    with pytest.raises(SettingsError, match=r"^STOREFRONT_CUSTOMER_IDENTITY_URL: "):
        async with open_http("customer_identity", "http://[::1"):
            pass


async def test_a_bug_of_ours_is_not_taken_for_a_fault_of_theirs():
    class Client:
        def stream(self, _method, _url, **_rest):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await HttpService("shopping", Client()).get_json("x")
