"""What the back office is connected to, and what the front door sees of it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import trio

from storefront.dashboard.board import Board
from storefront.dashboard.reports import Process
from storefront.messaging.watched import Counting
from storefront.queries.cache import Shelf
from storefront.realtime.hub import Hub
from storefront.realtime.pauses import Pauses
from storefront.store.contract import Store
from storefront.telemetry.metrics import Metrics
from storefront.web.app import App
from storefront.web.parts import Page, Readiness

NOBODY_IN_PARTICULAR = Process(name="", worker=0, version="", started_at=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What the shop is connected to; a test connects other things.

    Attributes:
        store: the log.
        broker: where messages come from.
        clock: seconds since 1970.
        uniform: chance, for jitter.
        pages: further routes, of the demo.
        shelf: where views lie that were composed before; None for the memory of this process.
        board: where the processes tell each other how they are; without one nothing is sampled, and
            there is no dashboard.
        me: which process this is.
    """

    store: Store
    broker: Counting
    clock: Callable[[], float] = time.time
    uniform: Callable[[float, float], float] = random.uniform
    pages: Sequence[Page] = ()
    shelf: Shelf | None = None
    board: Board | None = None
    me: Process = NOBODY_IN_PARTICULAR


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """The back office at work, as the front door and its tests see it.

    Attributes:
        app: the ASGI application.
        hub: who is listening.
        pauses: how long a browser is told to wait.
        metrics: what is counted.
        readiness: whether traffic is wanted.
        stopping: set to have the consumers settle what is in hand and leave.
        consumers_left: set once they have.
    """

    app: App
    hub: Hub
    pauses: Pauses
    metrics: Metrics
    readiness: Readiness
    stopping: trio.Event = field(default_factory=trio.Event)
    consumers_left: trio.Event = field(default_factory=trio.Event)
