"""A row is one case of one scenario in one round; a verdict holds rows against a target. PURE."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.measure.latency import Latency, median_of, spread_of
from bench.measure.processes import Usage
from bench.measure.sequence import Faults

# Of a core, the harness may take no more, or what it measures is partly itself.
HARNESS_MOST = 0.30


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measurement.

    Attributes:
        scenario: and `case`, `subject`: what was measured, on whom; `round` counts from 1.
        rate: deliveries per second, where something was delivered.
        latency: of each delivery, or each answer.
        faults: of the sequences; None where nothing was numbered.
        usage: processor time and memory while it ran.
        figures: whatever else it came to, each with its unit in its name.
        flat_out: run to find a limit, so that the harness is as busy as the service.
        notes: what a reader has to know to believe it.
    """

    scenario: str
    case: str
    subject: str
    round: int
    rate: float = 0.0
    latency: Latency | None = None
    faults: Faults | None = None
    usage: Usage | None = None
    figures: dict[str, float] = field(default_factory=dict)
    flat_out: bool = False
    notes: Sequence[str] = ()

    @property
    def harness(self) -> float:
        """Of a core, what the harness took."""
        return self.usage.cores.get("harness", 0.0) if self.usage is not None else 0.0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A target and what was found; `held` is None where it was only shown."""

    what: str
    found: str
    target: str
    held: bool | None


def among(
    rows: Iterable[Row], scenario: str, case: str | None = None, subject: str | None = None
) -> list[Row]:
    """Rows of one kind, in order of their rounds."""
    return [
        row
        for row in rows
        if row.scenario == scenario and case in {None, row.case} and subject in {None, row.subject}
    ]


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Round by round: ours in terms of theirs."""
    return [a / b for a, b in zip(ours, theirs, strict=False) if b]


def ratio_verdict(
    what: str, found: Sequence[float], *, most: float | None = None, least: float | None = None,
    judged: bool,
) -> Verdict:  # fmt: skip
    """The median of ratios, with the lowest and the highest, against a bound."""
    target = f"<= {most:g}" if most is not None else f">= {least:g}"
    if not found:
        return Verdict(what=what, found="not measured", target=target, held=None)
    middle = median_of(found)
    held = (most is None or middle <= most) and (least is None or middle >= least)
    words = f"{middle:.2f} ({min(found):.2f}-{max(found):.2f})"
    return Verdict(what=what, found=words, target=target, held=held if judged else None)


def bound_verdict(
    what: str, found: Sequence[float], *, most: float | None = None, least: float | None = None,
    unit: str = "", judged: bool,
) -> Verdict:  # fmt: skip
    """The median of a figure over the rounds, against a bound."""
    target = f"<= {most:g}{unit}" if most is not None else f">= {least:g}{unit}"
    if not found:
        return Verdict(what=what, found="not measured", target=target, held=None)
    middle = median_of(found)
    held = (most is None or middle <= most) and (least is None or middle >= least)
    words = f"{middle:.4g}{unit} (spread {spread_of(found):.0%})"
    return Verdict(what=what, found=words, target=target, held=held if judged else None)


def faults_verdict(rows: Sequence[Row]) -> Verdict:
    """Nothing lost, doubled or out of order: judged always, however small the run."""
    total = sum((row.faults for row in rows if row.faults is not None), Faults())
    counted = sum(row.faults is not None for row in rows)
    return Verdict(
        what=f"sequences of every stream, {counted} rows",
        found=f"{total.lost} lost, {total.doubled} doubled, {total.disordered} out of order",
        target="none",
        held=not total.any,
    )


def harness_verdict(rows: Sequence[Row], *, judged: bool) -> Verdict:
    """The harness's own share; where a limit was sought it is shown in the row and not judged."""
    target = f"<= {HARNESS_MOST:.0%} of a core"
    measured = [row for row in rows if row.usage is not None and not row.flat_out]
    if not measured:
        return Verdict(what="the harness itself", found="not measured", target=target, held=None)
    worst = max(measured, key=lambda row: row.harness)
    words = f"{worst.harness:.0%} at most ({worst.scenario}, {worst.case}, {worst.subject})"
    held = worst.harness <= HARNESS_MOST
    return Verdict(
        what="the harness itself", found=words, target=target, held=held if judged else None
    )
