"""Who you are: a JWT to a Caller. The only module that knows PyJWT.

The signature is PyJWT's business; what it leaves open (hazards H23) is checked here: sizes before
anything is decoded, numbers that are numbers, ids that are GUIDs, the algorithm as configured and
never as the token wishes. The clock is ours, so that a test may hold it.
"""

from __future__ import annotations

import json
import math
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jwt

from storefront.domain.ids import NOBODY, CustomerId, customer_id
from storefront.errors import AuthenticationError, BadRequestError, ForbiddenError, SettingsError
from storefront.settings import AuthSettings

# A token with a dozen claims is below 2 kB; a 2 MB one costs 185 ms of everybody's time to refuse.
LONGEST_TOKEN = 8 * 1024
# Beyond the year 9999 a moment is no moment.
_LATEST = 253_402_300_799

Role = Literal["customer", "support", "admin"]
_PRIVILEGED = frozenset({"support", "admin"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Somebody who proved who they are.

    Attributes:
        customer: whose data they may see; None for staff without a customer of their own.
        roles: what else they may do.
        expires_at: seconds since 1970; what they opened ends then.
        subject: the issuer's own name for them, for the audit; "" where it gives none.
    """

    customer: CustomerId | None
    roles: frozenset[str]
    expires_at: float
    subject: str = ""


class Tokens:
    """Reads tokens. Built once from the settings.

    Args:
        settings: the key, the algorithms, issuer and audience.
        clock: seconds since 1970.

    Raises:
        SettingsError: the key cannot be used.
    """

    def __init__(self, settings: AuthSettings, *, clock: Callable[[], float]) -> None:
        self._key, self._algorithms = _key(settings)
        self._settings = settings
        self._clock = clock

    def read(self, token: str) -> Caller:
        """The caller a token proves.

        Raises:
            AuthenticationError: it proves nothing, or nothing any more. The words are for the
                caller and hold nothing of the token.
        """
        claims = self._claims(token)
        expires_at = self._expiry(claims)
        roles = _roles(claims)
        customer = _customer(claims)
        if customer is None and not roles & _PRIVILEGED:
            raise AuthenticationError("the token names no customer")
        return Caller(
            customer=customer,
            roles=roles,
            expires_at=expires_at,
            subject=claims.get("sub", ""),
        )

    def _claims(self, token: str) -> dict[str, Any]:
        if len(token) > LONGEST_TOKEN or not token.isascii():
            raise AuthenticationError("the token cannot be read")
        try:
            _check_form(token)
            return jwt.decode(
                token,
                self._key,
                algorithms=self._algorithms,
                audience=self._settings.jwt_audience,
                issuer=self._settings.jwt_issuer,
                options={
                    "require": ["exp"],
                    # By our own clock, below.
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                    "verify_aud": self._settings.jwt_audience is not None,
                    "verify_iss": self._settings.jwt_issuer is not None,
                },
            )
        except jwt.InvalidAudienceError as exc:
            raise AuthenticationError("the token is for another audience") from exc
        except jwt.InvalidIssuerError as exc:
            raise AuthenticationError("the token is from another issuer") from exc
        except (jwt.PyJWTError, ValueError, RecursionError) as exc:
            # ValueError: what JSON and base64 raise. RecursionError: an array in an array in an ...
            raise AuthenticationError("the token cannot be verified") from exc

    def _expiry(self, claims: Mapping[str, Any]) -> float:
        now, leeway = self._clock(), self._settings.jwt_leeway
        expires_at = _moment(claims, "exp")
        if expires_at is None or expires_at + leeway <= now:
            raise AuthenticationError("the token has expired")
        not_before = _moment(claims, "nbf")
        if not_before is not None and not_before - leeway > now:
            raise AuthenticationError("the token is not valid yet")
        return expires_at + leeway


def whose(caller: Caller, asked_for: str | None) -> CustomerId:
    """Whose data the caller gets: their own, or with the role `support` anybody's they name.

    Raises:
        ForbiddenError: they named somebody else, or have no customer and named none.
        BadRequestError: what they named is no GUID.
    """
    if asked_for is None:
        if caller.customer is None:
            raise ForbiddenError("say whose data with customerId")
        return caller.customer
    try:
        named = customer_id(asked_for)
    except ValueError as exc:
        raise BadRequestError("customerId is not a GUID") from exc
    if named != caller.customer and "support" not in caller.roles:
        raise ForbiddenError("this is not your data")
    return named


def mint(
    settings: AuthSettings,
    *,
    customer: str | None,
    now: float,
    lifetime: float,
    roles: tuple[str, ...] = (),
) -> str:
    """A development token, signed with the configured secret.

    Raises:
        SettingsError: there is no secret to sign with.
        ValueError: the customer is no GUID, or the nil one, or the lifetime is none.
    """
    if settings.jwt_secret is None:
        raise SettingsError("STOREFRONT_JWT_SECRET: needed to sign a token")
    if not (math.isfinite(lifetime) and 0 < now + lifetime <= _LATEST):
        raise ValueError("not a lifetime in seconds")
    claims: dict[str, Any] = {"iat": int(now), "exp": int(now + lifetime)}
    if customer is not None:
        claims["sub"] = claims["CustomerId"] = customer_id(customer)
        if claims["sub"] == NOBODY:
            raise ValueError("the nil GUID is nobody's")
    if settings.jwt_issuer:
        claims["iss"] = settings.jwt_issuer
    if settings.jwt_audience:
        claims["aud"] = settings.jwt_audience
    if roles:
        claims["roles"] = list(roles)
    key, algorithms = _key(settings)
    return jwt.encode(claims, key, algorithm=algorithms[0])


def _key(settings: AuthSettings) -> tuple[Any, list[str]]:
    """The key, parsed once, and the algorithms it serves for."""
    if settings.jwt_secret is not None:
        algorithms: list[str] = list(settings.jwt_algorithms or ("HS256",))
        return _prepared("STOREFRONT_JWT_SECRET", settings.jwt_secret, algorithms), algorithms
    if settings.jwt_public_key is None:
        raise SettingsError("STOREFRONT_JWT_SECRET: set it, or STOREFRONT_JWT_PUBLIC_KEY")
    if not settings.jwt_algorithms:
        raise SettingsError("STOREFRONT_JWT_ALGORITHMS: say which, e.g. RS256, ES256 or EdDSA")
    pem, algorithms = _pem(settings.jwt_public_key), list(settings.jwt_algorithms)
    return _prepared("STOREFRONT_JWT_PUBLIC_KEY", pem, algorithms), algorithms


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


def _check_form(token: str) -> None:
    """What PyJWT lets pass although a careful issuer never writes it.

    Raises:
        ValueError: a member named twice (readers differ in which one counts), an extension that
            must be understood (RFC 7515 section 4.1.11), or a token of another kind than access.
    """
    header, _, rest = token.partition(".")
    head, claims = _members(header), _members(rest.partition(".")[0])
    if "crit" in head:
        raise ValueError("an extension that is not understood")
    if str(head.get("typ", "JWT")).lower() not in _ACCESS_TYPES:
        raise ValueError("not an access token")
    # Keycloak says in a claim what a token is for; an id or refresh token opens nothing.
    if str(claims.get("typ", "Bearer")).lower() not in {"bearer", "jwt"}:
        raise ValueError("not an access token")


_ACCESS_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})


def _members(part: str) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a member is named twice")
        return found

    found = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)), object_pairs_hook=once)
    if not isinstance(found, dict):
        raise ValueError("not an object")  # noqa: TRY004 - the words of a stranger, not a bug of ours
    return found


def _moment(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    # PyJWT takes "1900000000" and True for numbers; RFC 7519 section 2 wants a JSON number.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LATEST:
        raise AuthenticationError(f"the token's {name} is not a moment")
    return float(value)


def _roles(claims: Mapping[str, Any]) -> frozenset[str]:
    # A member that is null says nothing, here and below.
    said = [claims[name] for name in ("roles", "role") if claims.get(name) is not None]
    found = said[0] if said else []
    if isinstance(found, str):
        found = [found]
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise AuthenticationError("the token's roles cannot be read")
    return frozenset(found)


def _customer(claims: Mapping[str, Any]) -> CustomerId | None:
    """The one customer a token names. Two names for two people would be a way to be either."""
    said = [claims[name] for name in ("CustomerId", "customer_id") if claims.get(name) is not None]
    named = {_guid(value) for value in said}
    if None in named:
        raise AuthenticationError("the token names no customer")
    # A subject that is no GUID is the issuer's own name for them, and no second customer.
    named |= {_guid(claims.get("sub"))} - {None}
    if len(named) > 1:
        raise AuthenticationError("the token names two customers")
    if NOBODY in named:
        raise AuthenticationError("the token names nobody")
    return named.pop() if named else None


def _guid(value: object) -> CustomerId | None:
    try:
        return customer_id(value) if isinstance(value, str) else None
    except ValueError:
        return None
