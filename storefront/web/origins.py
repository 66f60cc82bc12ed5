"""Which pages may talk to us: CORS (Fetch standard), and the guard of the cookie.

A cookie is sent by the browser on its own, whoever wrote the page; so a request that is believed
for its cookie must come from a page of ours. A bearer token is put there by a script that had it.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

ALLOWED_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
# What a page says to us beyond what any page may say to anybody (Fetch standard): who it is, what
# it wants done once only, what it has already, and the trace that its question belongs to.
ALLOWED_HEADERS = (
    "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, Traceparent, "
    "Tracestate"
)
# What it may read of our answers beyond what any page may.
EXPOSED_HEADERS = "Cache-Status, ETag, Location, Retry-After, Server-Timing, Storefront-Meta"
# Seconds a browser may remember a preflight's answer; Chromium caps it at two hours.
PREFLIGHT_AGE = "600"

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def cookie_may_speak(
    method: str,
    *,
    origin: str | None,
    fetch_site: str | None,
    host: str,
    origins: Collection[str],
) -> bool:
    """Whether a request may be believed for its cookie.

    Args:
        method: the HTTP method.
        origin: the `Origin` header, where there is one.
        fetch_site: the `Sec-Fetch-Site` header, where there is one.
        host: the `Host` header.
        origins: the exact origins of pages that are ours, besides the host itself.
    """
    # What the browser itself says of the page: ours, or nobody's (an address typed in).
    at_home = fetch_site in {"same-origin", "none"}
    if origin is not None:
        # Only the host is compared: behind a proxy that ends TLS we do not see the page's scheme.
        # The browser does, and calls a page of the same host without TLS another site.
        same_host = bool(host) and _host(origin) == host.lower()
        return origin in origins or (same_host and (at_home or fetch_site is None))
    if fetch_site is not None:
        return at_home
    # No browser of the last years leaves out both on anything that changes something.
    return method in _SAFE_METHODS


def cors_headers(origin: str | None, origins: Collection[str]) -> dict[str, str]:
    """The response headers for a page of another origin; always `Vary`, so that no cache mixes
    them.
    """
    told = {"Vary": "Origin"}
    if origin is not None and origin in origins:
        told["Access-Control-Allow-Origin"] = origin
        told["Access-Control-Allow-Credentials"] = "true"
        told["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
    return told


def preflight_headers() -> dict[str, str]:
    """What a preflight is told besides `cors_headers`."""
    return {
        "Access-Control-Allow-Methods": ALLOWED_METHODS,
        "Access-Control-Allow-Headers": ALLOWED_HEADERS,
        "Access-Control-Max-Age": PREFLIGHT_AGE,
    }


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
