"""An identity service's keys, and tokens signed with them, as a test wants them."""

from __future__ import annotations

import json
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.web.signing import CLAIMS

# Made once: a modulus takes a tenth of a second.
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
P256 = ec.generate_private_key(ec.SECP256R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()

_ALGORITHMS = {
    rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm,
    ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm,
    ed25519.Ed25519PrivateKey: jwt.algorithms.OKPAlgorithm,
}


def jwk(key: Any, kid: Any = ..., **members: Any) -> dict[str, Any]:
    """The public half as it is published; a member that is `...` is left out."""
    kind = next(kind for known, kind in _ALGORITHMS.items() if isinstance(key, known))
    said = {**kind.to_jwk(key.public_key(), as_dict=True), "kid": kid, **members}
    # PyJWT writes key_ops; issuers rarely do.
    if "key_ops" not in members:
        said.pop("key_ops", None)
    return {name: value for name, value in said.items() if value is not ...}


def jwks(*members: Any) -> bytes:
    return json.dumps({"keys": members}).encode()


def issued(key: Any, kid: str | None = None, *, algorithm: str = "RS256", **claims: Any) -> str:
    """A token of Alice's."""
    named = {} if kid is None else {"kid": kid}
    return jwt.encode({**CLAIMS, **claims}, key, algorithm=algorithm, headers=named)
