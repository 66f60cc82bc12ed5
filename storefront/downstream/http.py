"""JSON over HTTP to one neighbouring service. The only module that knows httpx.

No timeout is set here: the guard's deadline is the one clock (hazards H14). Redirects are not
followed, cookies not kept, the environment's proxies not used, answers bounded in size.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import quote

import httpx
import trio

from storefront.errors import DownstreamNonsenseError, DownstreamUnavailableError, SettingsError

# The pool and the guard's limiter are of one size: a call that waits for a connection inside httpx
# and is cancelled leaks its place in the pool (hazards H12).
CONNECTIONS = 10
# A cart of 100 lines is about 20 kB; a megabyte is a service that has lost its mind.
LONGEST_ANSWER = 1024 * 1024

OK, NOT_FOUND, SERVER_ERROR = 200, 404, 500
# Below 500 and yet no word on what was asked: too slow for the service's taste, or too often.
COME_BACK = frozenset({408, 425, 429})


class HttpService:
    """One service by name and base URL. Obtained from `open_http`."""

    def __init__(self, name: str, client: httpx.AsyncClient) -> None:
        self.name = name
        self._client = client

    async def get_json(self, *path: str) -> bytes | None:
        """The body of a GET; None where the service says 404, or no service could have such a path.

        Args:
            path: the segments, each percent-encoded here, for they may come from data.

        Raises:
            DownstreamUnavailableError: refused, broken off, 5xx, or asked to come back later.
            DownstreamNonsenseError: any other status, another content type, or too long.
        """
        url = _joined(path)
        if url is None:
            return None
        try:
            async with self._client.stream("GET", url) as response:
                return await self._body(response)
        except (httpx.TransportError, UnicodeError) as exc:
            # UnicodeError: the resolver's word for a host name with an empty or overlong label.
            raise DownstreamUnavailableError(self.name, type(exc).__name__) from exc
        except (
            httpx.HTTPError,
            httpx.InvalidURL,
            httpx.StreamError,
            httpx.CookieConflict,
        ) as exc:
            raise DownstreamNonsenseError(self.name, type(exc).__name__) from exc

    async def _body(self, response: httpx.Response) -> bytes | None:
        if response.status_code == NOT_FOUND:
            return None
        if response.status_code >= SERVER_ERROR or response.status_code in COME_BACK:
            raise DownstreamUnavailableError(self.name, f"status {response.status_code}")
        kind = response.headers.get("content-type", "")
        if response.status_code != OK or _media_type(kind) != "application/json":
            raise DownstreamNonsenseError(self.name, f"status {response.status_code}, {kind!r}")
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            # Not asked for. A few kB can be gigabytes once unpacked, before anybody could count.
            raise DownstreamNonsenseError(self.name, "the answer is encoded")
        return await self._bounded(response)

    async def _bounded(self, response: httpx.Response) -> bytes:
        body = bytearray()
        # httpx is generators within generators, and an exception of ours would leave the inner ones
        # to the garbage collector. Cancellation starts at the innermost and closes them all.
        with trio.CancelScope() as reading:
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > LONGEST_ANSWER:
                    reading.cancel("the answer is too long")
        if len(body) > LONGEST_ANSWER:
            raise DownstreamNonsenseError(self.name, "the answer is too long")
        return bytes(body)


@asynccontextmanager
async def open_http(name: str, base_url: str) -> AsyncIterator[HttpService]:
    """A service to ask, with connections that stay open until the block is left.

    Raises:
        SettingsError: httpx cannot use the URL; one line that names the variable.
    """
    try:
        client = httpx.AsyncClient(
            base_url=base_url,
            timeout=None,  # noqa: S113 - the guard's deadline bounds every call
            limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
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
        yield HttpService(name, client)


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
