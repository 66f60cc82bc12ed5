"""What the Redis store counts, for whoever wants to know how it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields

from storefront.store.contract import REFUSALS, REFUSALS_HELP
from storefront.telemetry.metrics import Reading


@dataclass(slots=True)
class Counts:
    """Counters since the store was opened; the store hands out copies.

    Attributes:
        round_trips: exchanges with a server, of one command or of hundreds.
        connections: that were made.
        retries: exchanges repeated because an idle connection had died.
        redirections: commands that another server of the cluster had to be asked.
        failures: operations that ended with StoreUnavailableError.
        timeouts: those of them for want of an answer in time.
        followings: subscriptions that were confirmed; all but the first are reconnections.
        heard: announcements that came.
        unreadable: announcements that were none of ours.
        unannounced: records whose announcement Redis refused.
        renumbered: numberings that were found to have started anew.
        refusals: failures, and what was refused for its own sake, by kind (see redis_refusals);
            "timeout" for no answer in time, "unreadable" for one that makes no sense.
    """

    round_trips: int = 0
    connections: int = 0
    retries: int = 0
    redirections: int = 0
    failures: int = 0
    timeouts: int = 0
    followings: int = 0
    heard: int = 0
    unreadable: int = 0
    unannounced: int = 0
    renumbered: int = 0
    refusals: Counter[str] = field(default_factory=Counter)

    def readings(self) -> Iterable[Reading]:
        """Them for /metrics."""
        for kind, refused in self.refusals.items():
            yield REFUSALS, REFUSALS_HELP, {"kind": kind}, refused
        for name in (each.name for each in fields(self) if each.name != "refusals"):
            words = f"Of the Redis store: {name}."
            yield f"storefront_redis_{name}_total", words, {}, getattr(self, name)
