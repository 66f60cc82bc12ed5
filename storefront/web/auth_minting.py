"""Development tokens: what a login service would give, signed with our own secret."""

from __future__ import annotations

import math
from typing import Any

import jwt

from storefront.domain.ids import NOBODY, customer_id
from storefront.errors import SettingsError
from storefront.settings import AuthSettings
from storefront.web.auth_claims import LATEST
from storefront.web.keys import one_key


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
    if not (math.isfinite(lifetime) and 0 < now + lifetime <= LATEST):
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
    signing = one_key(settings)
    return jwt.encode(claims, signing.key, algorithm=signing.algorithms[0])
