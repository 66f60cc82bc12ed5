"""Tokens made by hand: what no careful issuer would write cannot be had from a library."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode

from storefront.settings import AuthSettings
from storefront.web.auth import Tokens

NOW = 1_790_000_000.0
SECRET = "a secret of at least thirty-two bytes"
ALICE = "11111111-1111-1111-1111-111111111111"
BOB = "22222222-2222-2222-2222-222222222222"
NIL = "00000000-0000-0000-0000-000000000000"

HEADER = {"alg": "HS256", "typ": "JWT"}
CLAIMS = {"sub": ALICE, "exp": NOW + 60}


def part(content: str | bytes) -> str:
    raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(header: str | bytes, claims: str | bytes, secret: str = SECRET) -> str:
    """Any two pieces of text as a token whose HMAC-SHA256 is right."""
    body = f"{part(header)}.{part(claims)}"
    return f"{body}.{part(hmac.digest(secret.encode(), body.encode(), hashlib.sha256))}"


def token(header: dict | None = None, secret: str = SECRET, **claims: object) -> str:
    """A token of Alice's with some claims set otherwise; `...` leaves one out."""
    said = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not ...}
    return signed(json.dumps({**HEADER, **(header or {})}), json.dumps(said), secret)


def tokens(now: float = NOW, **settings: object) -> Tokens:
    given: dict = {"jwt_secret": SECRET, **settings}
    return Tokens(AuthSettings(**given), clock=lambda: now)
