"""JSON over HTTP to one neighbouring service. The only module that knows httpx.

No timeout is set here: the guard's deadline is the one clock (hazards H14). Redirects are not
followed, the environment's proxies not used, answers bounded in size.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

import httpx

from storefront.errors import DownstreamNonsenseError, DownstreamUnavailableError

# The pool and the guard's limiter are of one size: a call that waits for a connection inside httpx
# and is cancelled leaks its place in the pool (hazards H12).
CONNECTIONS = 10
# A cart of 100 lines is about 20 kB; a megabyte is a service that has lost its mind.
LONGEST_ANSWER = 1024 * 1024

OK, NOT_FOUND, SERVER_ERROR = 200, 404, 500


class HttpService:
    """One service by name and base URL. Obtained from `open_http`."""

    def __init__(self, name: str, client: httpx.AsyncClient) -> None:
        self.name = name
        self._client = client

    async def get_json(self, *path: str) -> bytes | None:
        """The body of a GET; None where the service says 404.

        Args:
            path: the segments, each percent-encoded here, for they may come from data.

        Raises:
            DownstreamUnavailableError: refused, broken off, or 5xx.
            DownstreamNonsenseError: any other status, another content type, or too long.
        """
        url = "/".join(quote(segment, safe="") for segment in path)
        try:
            async with self._client.stream("GET", url) as response:
                return await self._body(response)
        except httpx.TransportError as exc:
            raise DownstreamUnavailableError(self.name, type(exc).__name__) from exc
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as exc:
            raise DownstreamNonsenseError(self.name, type(exc).__name__) from exc

    async def _body(self, response: httpx.Response) -> bytes | None:
        if response.status_code == NOT_FOUND:
            return None
        if response.status_code >= SERVER_ERROR:
            raise DownstreamUnavailableError(self.name, f"status {response.status_code}")
        kind = response.headers.get("content-type", "")
        if response.status_code != OK or not kind.startswith("application/json"):
            raise DownstreamNonsenseError(self.name, f"status {response.status_code}, {kind!r}")
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > LONGEST_ANSWER:
                raise DownstreamNonsenseError(self.name, "the answer is too long")
        return bytes(body)


@asynccontextmanager
async def open_http(name: str, base_url: str) -> AsyncIterator[HttpService]:
    """A service to ask, with connections that stay open until the block is left."""
    async with httpx.AsyncClient(
        base_url=base_url,
        timeout=None,  # noqa: S113 - the guard's deadline bounds every call
        limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
        follow_redirects=False,
        trust_env=False,
        headers={"accept": "application/json"},
    ) as client:
        yield HttpService(name, client)
