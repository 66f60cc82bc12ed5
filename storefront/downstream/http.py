"""JSON over HTTP to one neighbouring service. The only module that knows httpx.

No timeout of httpx's is set: the guard's deadlines are the one clock (hazards H14), and connecting
is bounded by `connecting`. Redirects are not followed, cookies not kept, the environment's proxies
not used, answers bounded in size.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import trio

from storefront.downstream.backoff import retry_after
from storefront.downstream.connecting import Connecting
from storefront.errors import (
    DownstreamNonsenseError,
    DownstreamRefusedError,
    DownstreamUnavailableError,
    SettingsError,
)
from storefront.telemetry import tracing

T = TypeVar("T")

# The pool and the guard's limiter are of one size: a call that waits for a connection inside httpx
# and is cancelled leaks its place in the pool (hazards H12).
CONNECTIONS = 10
CONNECT_TIMEOUT = 0.15
# A cart of 100 lines is about 20 kB; a megabyte is a service that has lost its mind.
LONGEST_ANSWER = 1024 * 1024
# A no with its reasons, field by field.
LONGEST_REFUSAL = 16 * 1024

OK, REDIRECTION, REFUSAL, NOT_FOUND, SERVER_ERROR = 200, 300, 400, 404, 500
# Below 500 and yet no word on what was asked: too slow for the service's taste, or too often.
COME_BACK = frozenset({408, 425, 429})
_PORTS = {"http": 80, "https": 443}
_JSON = frozenset({"application/json", "application/problem+json"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """How a command was answered, 200 to 299. `body` is JSON, or empty."""

    status: int
    body: bytes
    location: str | None


class HttpService:
    """One service by name and base URL. Obtained from `open_http`."""

    def __init__(
        self,
        name: str,
        client: httpx.AsyncClient,
        *,
        connect_timeout: float = CONNECT_TIMEOUT,
        address: Mapping[str, tracing.Value] | None = None,
    ) -> None:
        self.name = name
        self._client = client
        self._connect_timeout = connect_timeout
        # Of a span. The path stays out of it: there are customers' ids in it.
        self._about: dict[str, tracing.Value] = {"peer.service": name, **(address or {})}

    async def get_json(self, *path: str, query: Mapping[str, str] | None = None) -> bytes | None:
        """The body of a GET; None where the service says 404, or no service could have such a path.

        Args:
            path: the segments, each percent-encoded here, for they may come from data.
            query: likewise.

        Raises:
            DownstreamUnavailableError: refused, broken off, 5xx, or asked to come back later.
            DownstreamRefusedError: any other 4xx.
            DownstreamNonsenseError: any other status, another content type, or too long.
        """
        url = _joined(path)
        if url is None:
            return None
        return await self._exchange(self._answer, "GET", url, params=query)

    async def send_json(
        self, method: str, *path: str, body: bytes, headers: Mapping[str, str]
    ) -> Told:
        """The answer to a command.

        Raises:
            DownstreamRefusedError: 4xx, with its JSON.
            DownstreamUnavailableError: refused, broken off, 5xx, or asked to come back later.
            DownstreamNonsenseError: any other status, something else than JSON, or too long.
        """
        url = _joined(path)
        if url is None:
            raise DownstreamRefusedError(self.name, NOT_FOUND)
        along = {"content-type": "application/json", **headers}
        return await self._exchange(self._told, method, url, content=body, headers=along)

    async def _exchange(
        self, read: Callable[[httpx.Response], Awaitable[T]], method: str, url: str, **rest: Any
    ) -> T:
        """One attempt, and its span: from the connection to the last byte of the answer."""
        about = {**self._about, "http.request.method": method}
        with tracing.span(f"{method} {self.name}", "client", attributes=about) as span:

            async def noted(response: httpx.Response) -> T:
                span.note("http.response.status_code", response.status_code)
                return await read(response)

            return await self._attempt(noted, method, url, **rest)

    async def _attempt(
        self,
        read: Callable[[httpx.Response], Awaitable[T]],
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        **rest: Any,
    ) -> T:
        connecting = Connecting(self._connect_timeout)
        rest["headers"] = {**(headers or {}), **_time_left(), **tracing.headers()}
        rest["extensions"] = {"trace": connecting.trace}
        try:
            with connecting.bound, connecting.kept:
                async with self._client.stream(method, url, **rest) as response:
                    return await read(response)
            raise DownstreamUnavailableError(self.name, "no connection in time", reached=False)
        except (httpx.TransportError, UnicodeError) as exc:
            # UnicodeError: the resolver's word for a host name with an empty or overlong label.
            raise DownstreamUnavailableError(
                self.name, type(exc).__name__, reached=connecting.sent
            ) from exc
        except (
            httpx.HTTPError,
            httpx.InvalidURL,
            httpx.StreamError,
            httpx.CookieConflict,
        ) as exc:
            raise DownstreamNonsenseError(self.name, type(exc).__name__) from exc

    async def _answer(self, response: httpx.Response) -> bytes | None:
        self._check_at_work(response)
        if REFUSAL <= response.status_code < SERVER_ERROR:
            await self._read_out(response)
            if response.status_code == NOT_FOUND:
                return None
            raise DownstreamRefusedError(self.name, response.status_code)
        kind = response.headers.get("content-type", "")
        if response.status_code != OK or _media_type(kind) != "application/json":
            raise DownstreamNonsenseError(self.name, f"status {response.status_code}, {kind!r}")
        return await read_bounded(self.name, response, LONGEST_ANSWER)

    async def _told(self, response: httpx.Response) -> Told:
        self._check_at_work(response)
        status, kind = response.status_code, response.headers.get("content-type", "")
        json = _media_type(kind) in _JSON
        if REFUSAL <= status < SERVER_ERROR:
            words = await read_bounded(self.name, response, LONGEST_REFUSAL) if json else b""
            raise DownstreamRefusedError(self.name, status, words)
        if not OK <= status < REDIRECTION:
            raise DownstreamNonsenseError(self.name, f"status {status}")
        body = await read_bounded(self.name, response, LONGEST_ANSWER)
        if body and not json:
            # 200 and a proxy's page: nothing was done.
            raise DownstreamNonsenseError(self.name, f"status {status}, {kind!r}")
        return Told(status=status, body=body, location=response.headers.get("location"))

    def _check_at_work(self, response: httpx.Response) -> None:
        status = response.status_code
        if status >= SERVER_ERROR or status in COME_BACK:
            said = response.headers.get("retry-after")
            seconds = retry_after(said, response.headers.get("date"))
            when = "" if seconds is None else f", come back in {seconds:g} s"
            raise DownstreamUnavailableError(
                self.name, f"status {status}{when}", status=status, retry_after=seconds
            )

    async def _read_out(self, response: httpx.Response) -> None:
        """Read words that nobody wants, if they are few: the connection can be used again then."""
        length = response.headers.get("content-length", "")
        if length.isdecimal() and int(length) <= LONGEST_REFUSAL:
            async for _ in response.aiter_raw():
                pass


@asynccontextmanager
async def open_http(
    name: str,
    base_url: str,
    *,
    connections: int = CONNECTIONS,
    connect_timeout: float = CONNECT_TIMEOUT,
) -> AsyncIterator[HttpService]:
    """A service to ask, with connections that stay open until the block is left.

    Raises:
        SettingsError: httpx cannot use the URL; one line that names the variable.
    """
    try:
        client = httpx.AsyncClient(
            base_url=base_url,
            # The system's certificates take 40 ms of the loop to read, and a plain URL needs none:
            # nobody is followed from there to another.
            verify=not base_url.lower().startswith("http:"),
            timeout=None,  # noqa: S113 - the guard's deadline bounds every call
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            follow_redirects=False,
            trust_env=False,
            headers={"accept": "application/json", "accept-encoding": "identity"},
        )
    except httpx.InvalidURL as exc:
        raise SettingsError(f"STOREFRONT_{name.upper()}_URL: {exc}") from exc
    # One client asks for everybody: a cookie set with one customer's answer would go along with the
    # next one's question.
    client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=()))
    async with client:
        address: dict[str, tracing.Value] = {
            "server.address": client.base_url.host,
            "server.port": client.base_url.port or _PORTS.get(client.base_url.scheme, 0),
        }
        yield HttpService(name, client, connect_timeout=connect_timeout, address=address)


async def read_bounded(service: str, response: httpx.Response, longest: int) -> bytes:
    """The body of an answer, of at most so many bytes.

    Raises:
        DownstreamNonsenseError: it is longer, or packed.
        httpx.HTTPError: it broke off.
    """
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        # Not asked for. A few kB can be gigabytes once unpacked, before anybody could count.
        raise DownstreamNonsenseError(service, "the answer is encoded")
    body = bytearray()
    # httpx is generators within generators, and an exception of ours would leave the inner ones
    # to the garbage collector. Cancellation starts at the innermost and closes them all.
    with trio.CancelScope() as reading:
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > longest:
                reading.cancel("the answer is too long")
    if len(body) > longest:
        raise DownstreamNonsenseError(service, "the answer is too long")
    return bytes(body)


def _time_left() -> dict[str, str]:
    """What the service need not outlive, as a header."""
    left = trio.current_effective_deadline() - trio.current_time()
    if left == math.inf:
        return {}
    # Minus infinity is a caller who is leaving already.
    return {"request-timeout-ms": str(int(max(0.0, left) * 1000))}


def _joined(segments: tuple[str, ...]) -> str | None:
    """The segments as a path; None where one could not stand for itself.

    "." and ".." are steps and not names however they are spelled (RFC 3986 section 6.2.2.2), "" is
    no name, and half a surrogate pair is no text.
    """
    if any(segment in {"", ".", ".."} for segment in segments):
        return None
    try:
        return "/".join(quote(segment, safe="") for segment in segments)
    except UnicodeEncodeError:
        return None


def _media_type(header: str) -> str:
    return header.partition(";")[0].strip().lower()
