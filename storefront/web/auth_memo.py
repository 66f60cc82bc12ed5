"""Tokens that were read before. To verify a signature and read the claims again at every request
costs more than to answer with a kept view.

What is remembered is that this text was proved good by this key. What may change since is asked
each time: whether the key is still in force (`Tokens`), and the time (`find`). A set of keys that
is fetched anew has new keys, so each token is verified by each set once; one whose key was
withdrawn is not believed for a moment longer than without a memo. What was refused is not
remembered: strangers have as much of it as they like.

A text is known by its digest, so that no token lies about in memory, and two texts are two tokens,
whatever they say. Whoever has many good ones may have all places taken by their own: then the
others' are verified again, as all were without a memo, and what one caller may ask bounds how fast
that goes.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Generic, TypeVar

from storefront.web.auth_form import Head

C = TypeVar("C")

# About 1 kB each, and at most a few of them with a token of LONGEST. At the bound the one that was
# not used for the longest goes, and costs its next use a verification.
MOST = 10_000
# Characters of a token: one with a dozen claims. A longer one is read each time.
LONGEST = 2048


@dataclass(frozen=True, slots=True)
class Proof(Generic[C]):
    """A token that was proved good.

    Attributes:
        head: what it said of its signature.
        key: what proved it; the very object.
        caller: whom it proved.
        ends_at: seconds since 1970 from which on it proves nothing.
    """

    head: Head
    key: Any
    caller: C
    ends_at: float


class Memo(Generic[C]):
    """The proofs of tokens, by their texts; `most` of them."""

    def __init__(self, *, most: int = MOST) -> None:
        self._most = most
        # The one that was not used for the longest stands first.
        self._proofs: OrderedDict[bytes, Proof[C]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._proofs)

    def find(self, token: str, now: float) -> Proof[C] | None:
        """What was proved of a token, if it is not over."""
        if len(token) > LONGEST or not token.isascii():
            return None
        digest = _digest(token)
        proof = self._proofs.get(digest)
        if proof is None:
            return None
        if proof.ends_at <= now:
            del self._proofs[digest]
            return None
        self._proofs.move_to_end(digest)
        return proof

    def keep(self, token: str, proof: Proof[C]) -> None:
        """Remember it, in place of what was proved of the token before."""
        if len(token) > LONGEST:
            return
        digest = _digest(token)
        self._proofs[digest] = proof
        self._proofs.move_to_end(digest)
        if len(self._proofs) > self._most:
            self._proofs.popitem(last=False)

    def forget(self, token: str) -> None:
        """It proves nothing any more."""
        if len(token) <= LONGEST:
            self._proofs.pop(_digest(token), None)


def _digest(token: str) -> bytes:
    # Of a hash that can be met on purpose, a second text could pass for the first.
    return sha256(token.encode("ascii")).digest()
