"""The fetch of the identity service's keys (JWKS, RFC 7517). Of this room the only module that
knows httpx.

One GET with a connection of its own: nothing of a fetch that was cancelled can spoil the next one
(hazards H12), and there is one every few minutes. Redirects are not followed, for whoever can point
us elsewhere could say who everybody is; nor are the environment's proxies used. The answer is
bounded in size, and the time by whoever calls.
"""

from __future__ import annotations

import ssl

import httpx
import trio

from storefront.downstream.connecting import Connecting
from storefront.downstream.http import read_bounded
from storefront.errors import DownstreamNonsenseError, DownstreamUnavailableError, SettingsError

SERVICE = "keys"
OK = 200
# A key with its chain of certificates is about 4 kB; an answer beyond this is not read on.
LONGEST_SET = 128 * 1024
# Seconds until the connection stands, TLS included.
CONNECT_WITHIN = 2.0


class JwksSource:
    """Where the keys are published.

    Raises:
        SettingsError: httpx cannot use the URL; one line that names the variable.
    """

    def __init__(self, url: str) -> None:
        try:
            self._url = httpx.URL(url)
        except httpx.InvalidURL as exc:
            # Not the words of httpx: they quote what may be a password.
            raise SettingsError("STOREFRONT_JWT_JWKS_URL: it cannot be used") from exc
        self._certificates: ssl.SSLContext | None = None

    async def fetch(self) -> bytes:
        """The set as it is published now, unread.

        Raises:
            DownstreamUnavailableError: refused, broken off, or not reached in time.
            DownstreamNonsenseError: anything but 200 and a body of a bounded size.
        """
        verify = await self._verification()
        connecting = Connecting(CONNECT_WITHIN)
        try:
            with connecting.bound, connecting.kept:
                async with (
                    httpx.AsyncClient(
                        verify=verify,
                        timeout=None,  # noqa: S113 - the ring's deadline bounds every fetch
                        follow_redirects=False,
                        trust_env=False,
                        headers={"accept": "application/json", "accept-encoding": "identity"},
                    ) as client,
                    client.stream(
                        "GET", self._url, extensions={"trace": connecting.trace}
                    ) as response,
                ):
                    return await _key_set(response)
            raise DownstreamUnavailableError(SERVICE, "no connection in time", reached=False)
        except (httpx.TransportError, UnicodeError) as exc:
            # UnicodeError: the resolver's word for a host name with an empty or overlong label.
            raise DownstreamUnavailableError(SERVICE, type(exc).__name__) from exc
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as exc:
            raise DownstreamNonsenseError(SERVICE, type(exc).__name__) from exc

    async def _verification(self) -> ssl.SSLContext | bool:
        """Whose certificates are believed: 25 ms to read, so once, and beside the loop."""
        if self._url.scheme != "https":
            return False  # a plain URL needs none: nobody is followed from there to another
        if self._certificates is None:
            self._certificates = await trio.to_thread.run_sync(_certificates)
        return self._certificates


def _certificates() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


async def _key_set(response: httpx.Response) -> bytes:
    if response.status_code != OK:
        raise DownstreamNonsenseError(SERVICE, f"status {response.status_code}")
    return await read_bounded(SERVICE, response, LONGEST_SET)
