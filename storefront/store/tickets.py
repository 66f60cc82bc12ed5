"""Tickets, where the store lives in one process: they may be forgotten with it, for whoever held
one is told to ask for another. What may never happen is that one is spent twice.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict

# Bytes of chance in a ticket: nobody guesses one in the seconds it lives.
TICKET_BYTES = 32
# A few hundred bytes each, for half a minute. At the bound the oldest is forgotten.
TICKETS_KEPT = 20_000


def new_ticket() -> bytes:
    """A ticket that never was."""
    return secrets.token_bytes(TICKET_BYTES)


def digest_of(ticket: bytes) -> str:
    """What a store knows a ticket by: who reads the store cannot spend what is in it."""
    return hashlib.sha256(ticket).hexdigest()


class Tickets:
    """Those that were issued and not spent. `kept` is how many at most."""

    def __init__(self, *, kept: int = TICKETS_KEPT) -> None:
        self._kept = kept
        self._content: OrderedDict[str, tuple[float, bytes]] = OrderedDict()

    def issue(self, content: bytes, *, until: float, now: float) -> bytes:
        """See `contract.Store.issue_ticket`."""
        self._forget(now)
        ticket = new_ticket()
        self._content[digest_of(ticket)] = until, content
        return ticket

    def spend(self, ticket: bytes, *, now: float) -> bytes | None:
        """See `contract.Store.spend_ticket`."""
        until, content = self._content.pop(digest_of(ticket), (now, b""))
        return content if now < until else None

    def _forget(self, now: float) -> None:
        """Drop from the front, where the oldest are, what has lapsed, and what is one too many."""
        while self._content:
            until, _ = next(iter(self._content.values()))
            if now < until and len(self._content) < self._kept:
                return
            self._content.popitem(last=False)
