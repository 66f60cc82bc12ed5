"""One stretch of publishing to a crowd, measured: what most scenarios are made of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.clients.remote import Arrivals, Crowd
from bench.floor import Floor
from bench.load.remote import Published, Publisher
from bench.measure.latency import Latency
from bench.measure.processes import Usage
from bench.measure.samples import Column, keep
from bench.report.rows import Row
from bench.servers.subject import Subject

# Seconds after the last message was due in which its deliveries must be there, or they count as
# lost.
PATIENCE = 30.0
# A publisher that was later than this measured itself.
LATE = 250.0  # ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """What a stretch came to.

    Attributes:
        delays: nanoseconds from due to the socket, one per delivery, in order of arrival.
        fan_out: from the moment the subject had the event in hand; empty where it does not say.
        took: seconds from the first message due to the last delivery.
    """

    published: Published
    arrivals: Arrivals
    usage: Usage
    delays: Column
    fan_out: Column
    took: float
    folder: Path
    complaints: Sequence[str]

    def keep(self, name: str) -> None:
        """Put the raw samples beside the results: every delivery, and every message's moments."""
        found = self.arrivals
        keep(
            self.folder / f"{name}.npz",
            stream=found.who,
            number=found.what,
            arrived=found.when,
            delay=self.delays,
            due=self.published.due,
            sent=self.published.sent,
        )

    @property
    def rate(self) -> float:
        return len(self.delays) / self.took if self.took else 0.0

    def notes(self) -> list[str]:
        """What a reader has to know."""
        found = list(self.complaints)
        if self.published.latest > LATE:
            found.append(f"the publisher was late by {self.published.latest:.0f} ms")
        if self.published.refused or self.published.unconfirmed:
            refused = self.published.refused + self.published.unconfirmed
            found.append(f"{refused} messages not confirmed")
        strange = {
            name: count
            for name, count in self.arrivals.summary["controls"].items()
            if not name.startswith("stream:")
        }
        if strange or self.arrivals.summary["ended"]:
            found.append(f"frames {strange}, streams that ended: {self.arrivals.summary['ended']}")
        if self.arrivals.summary.get("unstamped"):
            found.append("without kernel timestamps: moments are the crowd's own")
        return found


async def stretch(
    floor: Floor, subject: Subject, crowd: Crowd, publisher: Publisher, *, count: int, rate: float
) -> Stretch:
    """Publish `count` messages at `rate`, wait for what they bring, and read the meters."""
    total = publisher.published + count
    expected = crowd.share(total) - crowd.share(publisher.published)
    meter = floor.meter(lambda: list(subject.pids()))
    await crowd.mark()
    meter.start()
    published = await publisher.publish(count, rate=rate)
    await crowd.until(expected, within=PATIENCE)
    usage = meter.read()
    arrivals = await crowd.collect(crowd.due(total))
    delays = arrivals.when - published.due[_index(arrivals, crowd, published)]
    last = int(arrivals.when.max()) if len(arrivals.when) else int(published.due[-1])
    return Stretch(
        published=published,
        arrivals=arrivals,
        usage=usage,
        delays=delays,
        fan_out=_fan_out(subject, crowd, published, arrivals),
        folder=floor.results / "samples",
        complaints=crowd.complaints,
        took=(last - int(published.due[0])) / 1e9,
    )


def _index(arrivals: Arrivals, crowd: Crowd, published: Published) -> Column:
    """Of each arrival, which message of this stretch it was."""
    customers = arrivals.who % crowd.customers
    return (arrivals.what - 1) * crowd.customers + customers - published.first


def _fan_out(subject: Subject, crowd: Crowd, published: Published, arrivals: Arrivals) -> Column:
    index = _index(arrivals, crowd, published)
    if published.in_hand is not None and published.in_hand.all():
        return arrivals.when - published.in_hand[index]
    noted = subject.in_hand() if crowd.customers == 1 else {}
    moments = [noted.get(number, 0) for number in arrivals.what.tolist()]
    known = np.array(moments, np.int64)
    return (arrivals.when - known)[known > 0]


def row(
    scenario: str,
    case: str,
    subject: Subject,
    number: int,
    found: Stretch,
    *,
    figures: dict[str, float] | None = None,
    flat_out: bool = False,
    notes: Sequence[str] = (),
) -> Row:
    """The row of a stretch: latency from due to the socket. Its samples are kept."""
    name = "-".join([scenario, case, subject.name, str(number)])
    found.keep(re.sub(r"[^\w-]+", "_", name))
    return Row(
        scenario=scenario,
        case=case,
        subject=subject.name,
        round=number,
        rate=found.rate,
        latency=Latency.of(found.delays.tolist()),
        faults=found.arrivals.faults,
        usage=found.usage,
        figures=figures or {},
        flat_out=flat_out,
        notes=[*notes, *found.notes()],
    )
