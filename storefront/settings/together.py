"""Settings that must agree with each other."""

from __future__ import annotations

import re

from storefront.errors import SettingsError
from storefront.settings.sections import SHORTEST_SECRET, AuthSettings, Settings

# As browsers write it: lower case, punycode, no path, no default port. Any other never matches.
_ORIGIN = re.compile(r"(https?)://(?:[a-z0-9_.-]+|\[[0-9a-f:.]+])(?::([1-9][0-9]{0,4}))?")
_DEFAULT_PORTS = {("http", "80"), ("https", "443")}


def check_together(settings: Settings) -> None:
    """Hold the settings against each other.

    Raises:
        SettingsError: one line naming the variable.
    """
    serving = settings.serving
    if (serving.tls_cert is None) != (serving.tls_key is None):
        raise SettingsError("STOREFRONT_TLS_CERT: set it and STOREFRONT_TLS_KEY, or neither")
    if serving.metrics_bind is not None:
        metrics_address(serving.metrics_bind, serving.workers)
    _check_keys(settings.auth)
    for origin in settings.auth.cors_origins:
        _check_origin(origin)
    _check_ordered(settings)
    if serving.workers > 1 and settings.store.redis_url is None:
        raise SettingsError("STOREFRONT_WORKERS: more than one needs STOREFRONT_REDIS_URL")


def metrics_address(bind: str, worker: int) -> str:
    """Where this worker's /metrics are; without workers the number is 0.

    Raises:
        SettingsError: it is no host and port, or not all workers would have one.
    """
    host, colon, port = bind.rpartition(":")
    readable = colon and port.isascii() and port.isdecimal() and len(port) <= 5
    if not (readable and 1 <= int(port) <= 65535 - worker):
        raise SettingsError("STOREFRONT_METRICS_BIND: expected host:port, a port for each worker")
    return f"{host}:{int(port) + worker}"


def _check_keys(auth: AuthSettings) -> None:
    if auth.jwt_secret is not None and len(auth.jwt_secret.encode()) < SHORTEST_SECRET:
        raise SettingsError(f"STOREFRONT_JWT_SECRET: at least {SHORTEST_SECRET} bytes are needed")
    if auth.jwt_secret is not None and auth.jwt_public_key is not None:
        raise SettingsError("STOREFRONT_JWT_PUBLIC_KEY: set it or STOREFRONT_JWT_SECRET, not both")
    if auth.jwt_jwks_url is not None and (auth.jwt_secret or auth.jwt_public_key):
        # Two ways to be believed are one too many to look after.
        raise SettingsError("STOREFRONT_JWT_JWKS_URL: set it, or a secret, or a public key")
    public = auth.jwt_public_key or auth.jwt_jwks_url
    if any(not name.startswith("HS") for name in auth.jwt_algorithms) and auth.jwt_secret:
        raise SettingsError("STOREFRONT_JWT_ALGORITHMS: a secret goes with HS256, HS384, HS512")
    if any(name.startswith("HS") for name in auth.jwt_algorithms) and public:
        # The classic forgery: a public key taken for a secret.
        raise SettingsError("STOREFRONT_JWT_ALGORITHMS: a public key does not go with HS…")
    if public and not auth.jwt_algorithms:
        raise SettingsError("STOREFRONT_JWT_ALGORITHMS: say which, e.g. RS256, ES256 or EdDSA")


def _check_ordered(settings: Settings) -> None:
    services, views = settings.services, settings.views
    if services.breaker_open > services.breaker_longest:
        raise SettingsError("STOREFRONT_BREAKER_OPEN: no longer than STOREFRONT_BREAKER_LONGEST")
    if views.cache_fresh > views.cache_kept:
        raise SettingsError("STOREFRONT_CACHE_FRESH: no longer than STOREFRONT_CACHE_KEPT")


def _check_origin(origin: str) -> None:
    if origin == "*":
        raise SettingsError("STOREFRONT_CORS_ORIGINS: * does not go together with cookies")
    found = _ORIGIN.fullmatch(origin)
    if found is None or found.groups() in _DEFAULT_PORTS:
        raise SettingsError(
            f"STOREFRONT_CORS_ORIGINS: {origin!r} is not scheme://host[:port] as browsers write it"
        )
