"""The scripts that Redis runs: one per atomic step, each on the keys of one customer or one order.

Every key is declared, and the keys of a customer share a hash tag, so that on a Redis Cluster they
lie on one server (hazards H22e). A script is sent by its SHA-1; a server that does not know it yet
is sent the text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Self

from storefront.domain.ids import CustomerId, OrderId
from storefront.store.contract import (
    FACT_LIFE,
    FACTS_KEPT,
    HEAD_LEEWAY,
    HEAD_LIFE,
    OWNER_LIFE,
)

Argument = bytes | str | int

PREFIX = "storefront"
# Redis removes what nobody may ask for any more. When that is, is decided by the caller's clock and
# not by Redis's, so its own is set later: by a minute for a log, by a day for the rest.
_MINUTE, _DAY = 60, 24 * 3600


@dataclass(frozen=True, slots=True)
class Keys:
    """A customer's keys; what stands in braces decides which server of a cluster has them."""

    numbering: str
    log: str
    ids: str
    facts: str
    views: str  # the beginning of each view's

    @classmethod
    def of(cls, customer: CustomerId) -> Self:
        stem = f"{PREFIX}:{{{customer}}}:"
        return cls(stem + "numbering", stem + "log", stem + "ids", stem + "facts", stem + "view:")


def order_key(order: OrderId) -> str:
    """Where an order's customer is written down; a key slot of its own."""
    return f"{PREFIX}:order:{order}"


def ticket_key(digest: str) -> str:
    """Where a ticket is kept until it is spent; a key slot of its own."""
    return f"{PREFIX}:ticket:{digest}"


@dataclass(frozen=True, slots=True)
class Command:
    """One command for the server that has its key.

    Attributes:
        key: decides the server.
        words: the command.
        text: where the command is a script, its text.
        refusable: whether a refusal for its keys' sake, or for the sake of the one server of
            several that has them, is an answer and not a failure of all.
    """

    key: str
    words: tuple[Argument, ...]
    text: bytes = b""
    refusable: bool = False

    def in_full(self) -> tuple[Argument, ...]:
        """The command for a server that does not know the script by its SHA-1."""
        return ("EVAL", self.text, *self.words[2:])


class Script:
    """A script, ready to be called. `refusable`: see Command."""

    def __init__(self, text: str, *, refusable: bool = False) -> None:
        self._refusable = refusable
        self._text = text.encode()
        # Redis names scripts so; nothing is proved by it.
        self._sha = hashlib.sha1(self._text, usedforsecurity=False).hexdigest()

    def call(self, keys: Sequence[str], arguments: Sequence[Argument]) -> Command:
        """The command that runs it."""
        words = ("EVALSHA", self._sha, len(keys), *keys, *arguments)
        return Command(keys[0], words, self._text, self._refusable)


class Scripts:
    """All of them. `window` and `kept_ids` are the contract's."""

    def __init__(self, *, window: float, kept_ids: int) -> None:
        life = HEAD_LIFE + HEAD_LEEWAY
        constants = {
            "WINDOW": window,
            "LOG_EXPIRY": int(window) + _MINUTE,
            "KEPT_IDS": kept_ids,
            "HEAD_LIFE": life,
            "HEAD_LEEWAY": HEAD_LEEWAY,
            "HEAD_EXPIRY": int(life) + _DAY,
            "FACT_LIFE": FACT_LIFE,
            "FACT_EXPIRY": int(FACT_LIFE) + _DAY,
            "FACTS_KEPT": FACTS_KEPT,
            "OWNER_LIFE": OWNER_LIFE,
            "OWNER_EXPIRY": int(OWNER_LIFE) + _DAY,
        }
        written = "".join(f"local {name} = {value!r}\n" for name, value in constants.items())
        numbering = written + script_text("numbering")
        self.record = Script(numbering + script_text("record"), refusable=True)
        self.since = Script(numbering + script_text("since"))
        self.position = Script(numbering + script_text("position"), refusable=True)
        self.renew = Script(written + script_text("renew"))
        self.place = Script(written + script_text("place"), refusable=True)


def script_text(name: str) -> str:
    """The text of one of the scripts beside this module."""
    return files("storefront.store").joinpath(f"{name}.lua").read_text("utf-8")
