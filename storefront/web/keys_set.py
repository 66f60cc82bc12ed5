"""A published set of keys (RFC 7517), read: which of them may verify a token of ours.

A key is taken for what it is, and never for more: its type and curve say which of the configured
algorithms it serves for; one that is for encryption, private, or too short, is left out, and so is
one that cannot be read. A set in which nothing is left is no set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt
import msgspec

# An issuer has two or three keys, in the middle of a change. More than this is no set but a way to
# keep us busy: it is refused as a whole.
MOST_KEYS = 64
# Bits of an RSA modulus. Less can be broken; more costs the loop milliseconds for each token.
SMALLEST_RSA, LARGEST_RSA = 2048, 8192
# Characters of a member: an RSA modulus of LARGEST_RSA bits in base64url, and some to spare.
_LONGEST_MEMBER = 1500
_LONGEST_NAME = 256

# Type and curve of a key (RFC 7518 section 6, RFC 8037 section 2), and what it verifies.
_SERVES: dict[tuple[str, str | None], frozenset[str]] = {
    ("RSA", None): frozenset({"RS256", "RS384", "RS512", "PS256"}),
    ("EC", "P-256"): frozenset({"ES256"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
}
_PUBLIC = {"RSA": ("n", "e"), "EC": ("x", "y"), "OKP": ("x",)}
# No set, because what is looked for may be of a kind that no set can hold.
_FOR_SIGNATURES = (None, "sig")
# RFC 7518 section 6.3.2: `d` is the private key of every type.
_PRIVATE = "d"


@dataclass(frozen=True, slots=True)
class _Key:
    kid: str | None
    keys: Mapping[str, Any]  # by algorithm


@dataclass(frozen=True, slots=True)
class KeySet:
    """The usable keys of a set; not empty."""

    keys: Sequence[_Key]

    def knows(self, kid: str | None) -> bool:
        """Whether a key of this name is in it; a token that names none asks for no other set."""
        return kid is None or any(each.kid == kid for each in self.keys)

    def find(self, kid: str | None, algorithm: str) -> Any | None:
        """The key for a token that names this one and is signed so; None if there is none.

        A token that names none is verified with the only key there is. Where there are several, to
        try one after the other would be to guess.
        """
        if kid is None:
            return self.keys[0].keys.get(algorithm) if len(self.keys) == 1 else None
        fitting = (each.keys[algorithm] for each in self.keys_named(kid) if algorithm in each.keys)
        return next(fitting, None)

    def keys_named(self, kid: str) -> Sequence[_Key]:
        """Those of this name; of two types there may be one each (RFC 7517 section 4.5)."""
        return [each for each in self.keys if each.kid == kid]


class _Document(msgspec.Struct):
    keys: list[dict[str, Any]]


def read_key_set(body: bytes, algorithms: Sequence[str]) -> KeySet:
    """A set as it is published.

    Raises:
        ValueError: it is none, or holds no key that verifies one of these algorithms. The words
            hold nothing of it.
    """
    try:
        document = msgspec.json.decode(body, type=_Document)
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        raise ValueError("not a set of keys") from exc
    if len(document.keys) > MOST_KEYS:
        raise ValueError(f"more than {MOST_KEYS} keys")
    found = [key for each in document.keys if (key := _read(each, algorithms)) is not None]
    if not found:
        raise ValueError("no usable key")
    return KeySet(found)


def _read(member: Mapping[str, Any], algorithms: Sequence[str]) -> _Key | None:
    kid, own = member.get("kid"), member.get("alg")
    if not isinstance(kid, str | None) or len(kid or "") > _LONGEST_NAME or not _verifies(member):
        return None
    kind, curve = member.get("kty"), member.get("crv")
    serves = _SERVES.get((str(kind), curve if isinstance(curve, str | None) else ""), frozenset())
    parts = [member.get(name) for name in _PUBLIC.get(str(kind), ())]
    if not all(isinstance(part, str) and 0 < len(part) <= _LONGEST_MEMBER for part in parts):
        return None
    fitting = [name for name in algorithms if name in serves and (own is None or own == name)]
    keys = {name: key for name in fitting if (key := _parsed(member, name)) is not None}
    return _Key(kid, keys) if keys else None


def _verifies(member: Mapping[str, Any]) -> bool:
    """Whether it is there to verify signatures (RFC 7517 sections 4.2 and 4.3), and public."""
    operations = member.get("key_ops")
    meant = operations is None or (isinstance(operations, list) and "verify" in operations)
    return meant and member.get("use") in _FOR_SIGNATURES and _PRIVATE not in member


def _parsed(member: Mapping[str, Any], algorithm: str) -> Any | None:
    try:
        key = jwt.get_algorithm_by_name(algorithm).from_jwk(dict(member))
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    size = getattr(key, "key_size", None)
    is_rsa = member["kty"] == "RSA"
    return None if is_rsa and not SMALLEST_RSA <= int(size or 0) <= LARGEST_RSA else key
