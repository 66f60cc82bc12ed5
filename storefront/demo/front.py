"""The door of each service: every request is noted, and spoiled if a fault says so.

A desk is what a test or the "break things" panel holds of a service; the ASGI app here obeys it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import Enum

from storefront.demo.asgi import App, Receive, Scope, Send
from storefront.demo.faults import Faults
from storefront.demo.ledger import Asked, Ledger
from storefront.demo.sabotage import misbehave


class Era(Enum):
    """Which state of the real services is imitated (contracts.md, first lines)."""

    SEED = "2026-02-17"
    NEW = "2026-04-20"


@dataclass(slots=True, kw_only=True)
class Desk:
    """One service's books and knobs."""

    era: Era = Era.NEW
    allowed_origins: Collection[str] = ()
    ledger: Ledger = field(default_factory=Ledger)
    faults: Faults = field(default_factory=Faults)


class Door:
    """ASGI: note, spoil or let through. What begins with `/_`, and `/health`, is neither."""

    def __init__(self, app: App, desk: Desk) -> None:
        self._app = app
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _aside(scope["path"]):
            await self._app(scope, receive, send)
            return
        with self._desk.ledger.writing(_asked(scope)):
            fault = self._desk.faults.take(scope["method"], scope["path"])
            if fault is None:
                await self._app(scope, receive, send)
            else:
                await misbehave(fault, self._app, scope, receive, send)


def _aside(path: str) -> bool:
    return path.startswith("/_") or path == "/health"


def _asked(scope: Scope) -> Asked:
    return Asked(
        method=scope["method"],
        path=scope["path"],
        query=scope["query_string"].decode("latin-1"),
        headers={k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]},
    )
