"""What the recorder counts, for whoever wants to know how it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from storefront.telemetry.metrics import Reading


@dataclass(slots=True)
class RecorderCounts:
    """Counters since the start, and how it stands now.

    Attributes:
        batches: that the store took.
        events: messages that became one.
        repetitions: messages that were in the log already.
        failures: batches that the store did not take, each time anew.
        refusals: messages that it refused for their own sake, by kind, each time anew.
        put_off: messages that the delay queue took.
        held: messages that wait here.
        refused_keys: customers and orders of whom something was refused.
        away: whether the store took nothing when last asked.
    """

    batches: int = 0
    events: int = 0
    repetitions: int = 0
    failures: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    put_off: int = 0
    held: int = 0
    refused_keys: int = 0
    away: bool = False

    def readings(self) -> Iterable[Reading]:
        """Them for /metrics."""
        none: dict[str, str] = {}
        yield "storefront_recorder_batches_total", "Batches recorded.", none, self.batches
        yield (
            "storefront_recorder_events_total",
            "Messages that became an event.",
            none,
            self.events,
        )
        words = "Messages that were in the log already."
        yield "storefront_recorder_repetitions_total", words, none, self.repetitions
        words = "Batches that the store did not take."
        yield "storefront_recorder_failures_total", words, none, self.failures
        name, words = (
            "storefront_recorder_refusals_total",
            "Tries that the store refused, by reason.",
        )
        for kind, refused in self.refusals.items():
            yield name, words, {"kind": kind}, refused
        words = "Refused messages given to the delay queue."
        yield "storefront_recorder_put_off_total", words, none, self.put_off
        words = "Refused messages that wait unacknowledged."
        yield "storefront_recorder_held", words, none, self.held
        words = "Customers of whom something is refused."
        yield "storefront_recorder_refused_customers", words, none, self.refused_keys
        yield "storefront_recorder_store_away", "1 while the store takes nothing.", none, self.away
