"""What the claims of a token say, once its signature is known to be good: until when, what for, and
whose. Claims of a careless issuer are refused and never guessed at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from storefront.domain.ids import NOBODY, CustomerId, customer_id
from storefront.errors import AuthenticationError

# Beyond the year 9999 a moment is no moment.
LATEST = 253_402_300_799


def moment(claims: Mapping[str, Any], name: str) -> float | None:
    """A moment in seconds since 1970; None where the claim says nothing.

    Raises:
        AuthenticationError: what it says is no moment.
    """
    value = claims.get(name)
    if value is None:
        return None
    # PyJWT takes "1900000000" and True for numbers; RFC 7519 section 2 wants a JSON number.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LATEST:
        raise AuthenticationError(f"the token's {name} is not a moment")
    return float(value)


def roles_of(claims: Mapping[str, Any]) -> frozenset[str]:
    """The roles: of the claim `roles`, else `role`; one text or a list of them.

    Raises:
        AuthenticationError: they are neither.
    """
    # A member that is null says nothing, here and below.
    said = [claims[name] for name in ("roles", "role") if claims.get(name) is not None]
    found = said[0] if said else []
    if isinstance(found, str):
        found = [found]
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise AuthenticationError("the token's roles cannot be read")
    return frozenset(found)


def customer_of(claims: Mapping[str, Any]) -> CustomerId | None:
    """The one customer a token names. Two names for two people would be a way to be either.

    Raises:
        AuthenticationError: it names two, or the nil GUID, or one that is no GUID.
    """
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
