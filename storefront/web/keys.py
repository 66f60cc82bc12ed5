"""What a signature is verified with, as the settings say: a secret, a public key, or a set of keys
that the identity service publishes and changes. Also the fence of what a key has to be.

    keys       this module: one key, parsed once
    keys_set   a published set (RFC 7517), read
    keys_ring  the set in force, and when another one is fetched
    jwks       the fetch
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import jwt

from storefront.errors import SettingsError
from storefront.settings import AuthSettings


class Keys(Protocol):
    """Where the key of a token is found."""

    @property
    def algorithms(self) -> Sequence[str]:
        """The signatures that are believed, as configured."""
        ...

    def find(self, kid: str | None, algorithm: str) -> Any:
        """The key for a token that names this one and is signed so; `algorithm` is one of ours.

        Raises:
            AuthenticationError: there is none.
            KeysAwayError: nobody can tell for now.
        """
        ...


@dataclass(frozen=True, slots=True)
class OneKey:
    """The only key there is, whatever a token says of it."""

    key: Any
    algorithms: Sequence[str]

    def find(self, _kid: str | None, _algorithm: str) -> Any:
        return self.key


def one_key(settings: AuthSettings) -> OneKey:
    """The configured key, parsed once, and the algorithms it serves for.

    Raises:
        SettingsError: there is none, or it cannot be used.
    """
    if settings.jwt_secret is not None:
        algorithms: list[str] = list(settings.jwt_algorithms or ("HS256",))
        secret = _prepared("STOREFRONT_JWT_SECRET", settings.jwt_secret, algorithms)
        return OneKey(secret, algorithms)
    if settings.jwt_public_key is None:
        raise SettingsError(
            "STOREFRONT_JWT_SECRET: set it, or STOREFRONT_JWT_PUBLIC_KEY,"
            " or STOREFRONT_JWT_JWKS_URL"
        )
    algorithms = public_algorithms(settings)
    pem = _pem(settings.jwt_public_key)
    return OneKey(_prepared("STOREFRONT_JWT_PUBLIC_KEY", pem, algorithms), algorithms)


def public_algorithms(settings: AuthSettings) -> list[str]:
    """The algorithms for keys that everybody may know: there is no usual one.

    Raises:
        SettingsError: none are set.
    """
    if not settings.jwt_algorithms:
        raise SettingsError("STOREFRONT_JWT_ALGORITHMS: say which, e.g. RS256, ES256 or EdDSA")
    return list(settings.jwt_algorithms)


def _pem(given: str) -> str:
    if given.lstrip().startswith("-----BEGIN"):
        return given
    try:
        return Path(given).read_text("ascii")
    except (OSError, ValueError) as exc:
        # Not the value: it may be a key that has lost its first line, and which key, nobody knows.
        reason = getattr(exc, "strerror", None) or "no PEM text"
        raise SettingsError(
            f"STOREFRONT_JWT_PUBLIC_KEY: neither PEM nor its file: {reason}"
        ) from exc


def _prepared(variable: str, given: str, algorithms: list[str]) -> Any:
    key: Any = None
    for name in algorithms:
        algorithm = jwt.get_algorithm_by_name(name)
        try:
            key = algorithm.prepare_key(given)
        except (jwt.PyJWTError, ValueError, TypeError) as exc:
            raise SettingsError(f"{variable}: no key for {name}: {exc}") from exc
        if hasattr(key, "private_bytes"):
            raise SettingsError(f"{variable}: this is a private key")
        short = algorithm.check_key_length(key)
        if short:  # PyJWT itself would only warn, at the first token
            raise SettingsError(f"{variable}: too short for {name}: {short}")
    return key
