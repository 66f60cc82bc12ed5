"""What travels in the stream, as types: for the document only. The frames themselves are written by
realtime/, and a test holds them against these.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from storefront.domain.events import StorefrontEvent


class _Frame(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The `data:` of a named frame. It carries no id and never moves a browser's cursor."""


class StreamOpened(_Frame, frozen=True, kw_only=True):
    """`event: stream`, the first of every stream, and of a stream that could not go on.

    `fresh`: no cursor was given. `resumed`: everything since the cursor follows, up to `position`.
    `reset`: that cannot be promised; refetch your views.
    """

    mode: Literal["fresh", "resumed", "reset"]
    position: str
    replayed: int | UnsetType = UNSET


class TokenExpiring(_Frame, frozen=True, kw_only=True):
    """`event: token-expiring`: the stream will end with its token; fetch a new one."""

    expires_in_seconds: float


class Busy(_Frame, frozen=True, kw_only=True):
    """`event: busy`, before a clean end: there was no room, or the log cannot be read."""

    reason: str


class Ping(_Frame, frozen=True, kw_only=True):
    """`event: ping`, where `?pings=1` asked for it: after the opening, then that often."""

    every_seconds: float


class Nothing(_Frame, frozen=True, kw_only=True):
    """A frame whose name says it all, before a clean end."""


CONTROL_FRAMES: dict[str, type[msgspec.Struct]] = {
    "stream": StreamOpened,
    "token-expiring": TokenExpiring,
    "token-expired": Nothing,
    "reauthenticate": Nothing,
    "shutdown": Nothing,
    "superseded": Nothing,
    "busy": Busy,
    "ping": Ping,
}

BUSINESS_EVENT = StorefrontEvent

EXAMPLE = """\
retry: 2837

event: stream
data: {"mode":"resumed","replayed":1,"position":"k3x9-16"}

id: k3x9-16
data: {"eventType":"cart-updated","cartId":"019c5dd6-29d2-7fb9-9d90-cf760997d1c0",\
"customerId":"11111111-1111-1111-1111-111111111111","itemCount":1,"totalAmount":39.98,\
"occurredAt":"2026-02-17T21:58:44.1234567+00:00"}

:ping

"""
