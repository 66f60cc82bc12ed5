"""Tickets: for an EventSource of a page elsewhere, which can send neither a header nor our cookie.

A page that has a token asks for one and puts it into the URL. A URL is written down in many places,
so a ticket is good once and for half a minute, holds nothing of whose it is, and opens streams and
nothing else. What it stands for is with the store, so another process may be asked to honour it;
with a public key or a set of keys the processes share no secret to sign it with.

A ticket has a check sum. That keeps apart one of ours that is spent or late, whose browser will do
well with another, and what never was a ticket. It proves nothing: whoever makes one up is told to
come back with a good one, and gets no more than that.
"""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec
import trio

from storefront.domain.ids import CustomerId
from storefront.errors import AuthenticationError, TooManyRequestsError
from storefront.telemetry.metrics import Reading
from storefront.web.auth import Caller
from storefront.web.rates import Rates

# Seconds from the answer to the connection; design.md, "Who you are".
LIFE = 30.0
# Tickets per second and customer; ten seconds' worth may be asked for at once: as many as a
# customer may have streams.
RATE = 2.0

# 32 random bytes and four of check sum are 48 characters to the bit: each ticket has one spelling.
_FORM = re.compile(r"[A-Za-z0-9_-]{48}", re.ASCII)
_SUM = 4


class TicketStore(Protocol):
    """Where they are kept: see `store.contract`."""

    async def issue_ticket(self, content: bytes, *, until: float, now: float) -> bytes: ...

    async def spend_ticket(self, ticket: bytes, *, now: float) -> bytes | None: ...


class _Kept(msgspec.Struct, array_like=True, frozen=True):
    customer: str | None
    roles: list[str]
    expires_at: float
    subject: str


class TicketOffice:
    """Issues tickets and takes them back. `clock` is in seconds since 1970."""

    def __init__(self, store: TicketStore, *, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._rates = Rates(RATE)
        self._counts: Counter[str] = Counter(issued=0, honoured=0, late=0, refused=0)

    async def issue(self, caller: Caller) -> tuple[str, float]:
        """A ticket that stands for the caller, and the seconds it is good for: never beyond the
        token that asked for it.

        Raises:
            TooManyRequestsError: one too many of theirs.
            StoreUnavailableError: it cannot be kept.
        """
        now = self._clock()
        try:
            self._rates.take(caller.customer or caller.subject, trio.current_time())
        except TooManyRequestsError:
            self._counts["refused"] += 1
            raise
        until = min(now + LIFE, caller.expires_at)
        kept = _Kept(caller.customer, sorted(caller.roles), caller.expires_at, caller.subject)
        content = msgspec.json.encode(kept)
        ticket = _spelled(await self._store.issue_ticket(content, until=until, now=now))
        self._counts["issued"] += 1
        return ticket, until - now

    async def honour(self, ticket: str) -> Caller | None:
        """Who asked for it, once; None where it was spent, is late, or nobody knows it.

        Raises:
            AuthenticationError: it is no ticket.
            StoreUnavailableError: it may be good, or spent by now: nobody can tell.
        """
        key = read_ticket(ticket)
        found = await self._store.spend_ticket(key, now=self._clock())
        if found is None:
            self._counts["late"] += 1
            return None
        self._counts["honoured"] += 1
        kept = msgspec.json.decode(found, type=_Kept)
        return Caller(
            customer=None if kept.customer is None else CustomerId(kept.customer),
            roles=frozenset(kept.roles),
            expires_at=kept.expires_at,
            subject=kept.subject,
        )

    def readings(self) -> Iterable[Reading]:
        """What was counted, for /metrics."""
        name, words = "storefront_tickets_total", "Tickets, by what became of them."
        for outcome, count in self._counts.items():
            yield name, words, {"outcome": outcome}, count


def read_ticket(ticket: str) -> bytes:
    """What the store knows it by.

    Raises:
        AuthenticationError: it is no ticket. The words hold nothing of it.
    """
    if _FORM.fullmatch(ticket):
        raw = urlsafe_b64decode(ticket)
        if _check_sum(raw[:-_SUM]) == raw[-_SUM:]:
            return raw[:-_SUM]
    raise AuthenticationError("this is no ticket")


def _spelled(ticket: bytes) -> str:
    return urlsafe_b64encode(ticket + _check_sum(ticket)).decode()


def _check_sum(ticket: bytes) -> bytes:
    return hashlib.sha256(b"storefront ticket " + ticket).digest()[:_SUM]
