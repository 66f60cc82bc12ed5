"""Who you are: a JWT to a Caller.

The signature is PyJWT's business; what it leaves open (hazards H23) is checked here and in the
rooms beside: sizes before anything is decoded, numbers that are numbers, ids that are GUIDs, the
algorithm as configured and never as the token wishes. The clock is ours, so that a test may hold
it.

    auth          this module: a token to a Caller, and whose data they get
    auth_form     the form of a token
    auth_claims   what its claims say
    auth_memo     what was read before
    auth_minting  development tokens
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jwt

from storefront.domain.ids import CustomerId, customer_id
from storefront.errors import AuthenticationError, BadRequestError, ForbiddenError
from storefront.settings import AuthSettings
from storefront.web.auth_claims import customer_of, moment, roles_of
from storefront.web.auth_form import Head, check_form
from storefront.web.auth_memo import Memo, Proof
from storefront.web.auth_minting import mint
from storefront.web.jwks import JwksSource
from storefront.web.keys import Keys, one_key, public_algorithms
from storefront.web.keys_ring import KeyRing

__all__ = ["LONGEST_TOKEN", "Caller", "Role", "Tokens", "mint", "whose"]

# A token with a dozen claims is below 2 kB; a 2 MB one costs 185 ms of everybody's time to refuse.
LONGEST_TOKEN = 8 * 1024

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
        settings: the key or where the keys are, the algorithms, issuer and audience.
        clock: seconds since 1970.

    Attributes:
        ring: the keys that somebody has to keep up to date; None where the settings hold the key.

    Raises:
        SettingsError: the key cannot be used.
    """

    def __init__(self, settings: AuthSettings, *, clock: Callable[[], float]) -> None:
        self.ring: KeyRing | None = None
        if settings.jwt_jwks_url is not None:
            source = JwksSource(settings.jwt_jwks_url)
            self.ring = KeyRing(source.fetch, public_algorithms(settings))
        self._keys: Keys = self.ring or one_key(settings)
        self._settings = settings
        self._clock = clock
        self._memo: Memo[Caller] = Memo()

    def read(self, token: str) -> Caller:
        """The caller a token proves.

        Raises:
            AuthenticationError: it proves nothing, or nothing any more. The words are for the
                caller and hold nothing of the token.
            KeysAwayError: nobody can tell for now; only where the keys are fetched.
        """
        remembered = self._remembered(token)
        if remembered is not None:
            return remembered
        head = self._head(token)
        key = self._keys.find(head.key, head.algorithm)
        caller = self._proved(self._claims(token, head, key))
        proof = Proof(head=head, key=key, caller=caller, ends_at=caller.expires_at)
        self._memo.keep(token, proof)
        return caller

    def _remembered(self, token: str) -> Caller | None:
        proof = self._memo.find(token, self._clock())
        if proof is None:
            return None
        try:
            if self._keys.find(proof.head.key, proof.head.algorithm) is proof.key:
                return proof.caller
        except AuthenticationError:
            self._memo.forget(token)
            raise
        return None

    def _proved(self, claims: Mapping[str, Any]) -> Caller:
        expires_at = self._expiry(claims)
        roles = roles_of(claims)
        customer = customer_of(claims)
        if customer is None and not roles & _PRIVILEGED:
            raise AuthenticationError("the token names no customer")
        return Caller(
            customer=customer,
            roles=roles,
            expires_at=expires_at,
            subject=claims.get("sub", ""),
        )

    async def know_key_of(self, token: str) -> None:
        """Where the keys are fetched: wait a moment for the one this token names, if it is new."""
        if self.ring is None:
            return
        proof = self._memo.find(token, self._clock())
        try:
            head = self._head(token) if proof is None else proof.head
        except AuthenticationError:
            return  # `read` will say so, and no key would mend it
        await self.ring.know(head.key)

    def _head(self, token: str) -> Head:
        if len(token) > LONGEST_TOKEN or not token.isascii():
            raise AuthenticationError("the token cannot be read")
        try:
            head = check_form(token)
        except (ValueError, RecursionError) as exc:
            raise AuthenticationError("the token cannot be verified") from exc
        if head.algorithm not in self._keys.algorithms:
            raise AuthenticationError("the token cannot be verified")
        return head

    def _claims(self, token: str, head: Head, key: Any) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[head.algorithm],
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
        expires_at = moment(claims, "exp")
        if expires_at is None or expires_at + leeway <= now:
            raise AuthenticationError("the token has expired")
        not_before = moment(claims, "nbf")
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
