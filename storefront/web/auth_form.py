"""The form of a token, before any key is thought of: what PyJWT lets pass although a careful issuer
never writes it (hazards H23). Of the text of a token only; whether it is true is `auth`'s business.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from typing import Any

_ACCESS_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})


@dataclass(frozen=True, slots=True)
class Head:
    """What a token says of its own signature; nothing of it is proved.

    Attributes:
        algorithm: how it is signed.
        key: which key it names; None where it names none.
    """

    algorithm: str
    key: str | None


def check_form(token: str) -> Head:
    """Refuse what is not in the form of an access token.

    Raises:
        ValueError: a member named twice (readers differ in which one counts), an extension that
            must be understood (RFC 7515 section 4.1.11), a token of another kind than access, or a
            key's name that is no text.
        RecursionError: an array in an array in an ...
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
    algorithm, key = head.get("alg"), head.get("kid")
    if not isinstance(algorithm, str) or not isinstance(key, str | None):
        raise ValueError("not a header")  # noqa: TRY004 - the words of a stranger, not a bug of ours
    return Head(algorithm, key)


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
