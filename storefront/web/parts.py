"""What the routes need, joined by the composition root."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from quart import Blueprint
from trio_util import AsyncValue

from storefront.dashboard.sampler import Dashboard
from storefront.queries.views import Views
from storefront.realtime.fan_out import FanOut
from storefront.realtime.heartbeat import Heartbeat
from storefront.realtime.hub import Hub
from storefront.realtime.pauses import Pauses
from storefront.realtime.replay import LogReader
from storefront.settings import AuthSettings, StreamSettings
from storefront.telemetry.metrics import Metrics
from storefront.web.auth import Caller, Tokens
from storefront.web.commanding import Commands
from storefront.web.durations import Durations
from storefront.web.tickets import TicketOffice

# Further routes that the composition root hands in without having to know Quart.
Page = Blueprint

Phase = Literal["starting", "ready", "draining"]


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether this process wants traffic, and how its parts are.

    Attributes:
        phase: others wait for its changes.
        parts: a name and a word for each; a part that is down does not take the process out of
            service, for what is left is worth more than nothing.
    """

    phase: AsyncValue = field(default_factory=lambda: AsyncValue("starting"))
    parts: dict[str, Callable[[], str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebParts:
    """The rooms a request may enter."""

    auth: AuthSettings
    streams: StreamSettings
    tokens: Tokens
    hub: Hub
    heartbeat: Heartbeat
    fan_out: FanOut
    log: LogReader
    pauses: Pauses
    metrics: Metrics
    readiness: Readiness
    clock: Callable[[], float]
    pages: Sequence[Page] = ()
    views: Views | None = None
    commands: Commands | None = None
    tickets: TicketOffice | None = None
    dashboard: Dashboard | None = None
    durations: Durations = field(default_factory=Durations)
    # Whether /metrics have a port of their own, and are then answered nowhere else.
    metrics_apart: bool = False
    worker: int = 0
    # Counts a query or a command of theirs, or raises TooManyRequestsError.
    admit: Callable[[Caller], None] = lambda _: None
