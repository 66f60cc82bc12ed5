"""The table at the end: every row of every scenario, the medians over the rounds, and the
verdicts.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bench.measure.latency import median_of, spread_of
from bench.report.rows import Row, Verdict

MARKS = {True: "[green]held[/]", False: "[red]missed[/]", None: "[dim]shown[/]"}
RIGHT = ("rate", "p50", "p90", "p99", "p99.9", "max", "lost", "dbl", "ooo", "MiB", "cpu", "harness")


def show(console: Console, rows: Sequence[Row], verdicts: Sequence[Verdict]) -> None:
    """Print both tables."""
    for scenario in dict.fromkeys(row.scenario for row in rows):
        mine = [row for row in rows if row.scenario == scenario]
        console.print(_rows(scenario, mine))
        for line in _notes(mine):
            console.print(f"  {line}", style="dim", highlight=False, markup=False)
    console.print(_verdicts(verdicts))


def _rows(scenario: str, rows: Sequence[Row]) -> Table:
    table = Table(
        title=f"{scenario} (ms; median of the rounds ± half their spread)", title_justify="left"
    )
    table.add_column("case")
    table.add_column("subject")
    for name in RIGHT:
        table.add_column(name, justify="right")
    table.add_column("figures")
    for case, subject in dict.fromkeys((row.case, row.subject) for row in rows):
        table.add_row(
            case, subject, *_cells([r for r in rows if (r.case, r.subject) == (case, subject)])
        )
    return table


def _cells(rows: Sequence[Row]) -> list[str]:
    """One line of the table: the same case in all its rounds."""
    latencies = [row.latency for row in rows if row.latency is not None]
    faults = [row.faults for row in rows if row.faults is not None]
    usages = [row.usage for row in rows if row.usage is not None]

    def ms(name: str) -> str:
        return spread([getattr(latency, name) for latency in latencies]) if latencies else ""

    def count(name: str) -> str:
        return str(sum(getattr(found, name) for found in faults)) if faults else ""

    def of(group: str) -> str:
        return f"{median_of([usage.cores[group] for usage in usages]):.0%}" if usages else ""

    rss = [usage.rss["subject"] / 1024 for usage in usages]
    return [
        spread([row.rate for row in rows]),
        *(ms(name) for name in ("p50", "p90", "p99", "p999", "max")),
        *(count(name) for name in ("lost", "doubled", "disordered")),
        f"{median_of(rss):.0f}" if rss else "",
        of("subject"),
        of("harness"),
        _figures(rows),
    ]


def _figures(rows: Sequence[Row]) -> str:
    names = dict.fromkeys(name for row in rows for name in row.figures)
    return "\n".join(
        f"{name} {spread([row.figures[name] for row in rows if name in row.figures])}"
        for name in names
    )


def spread(figures: Sequence[float]) -> str:
    """A median, and half of how far the rounds lie apart."""
    middle = median_of(figures)
    text = f"{middle:.0f}" if abs(middle) >= 100 else f"{middle:.3g}"
    return f"{text} ±{spread_of(figures) / 2:.0%}" if len(figures) > 1 and middle else text


def _notes(rows: Sequence[Row]) -> list[str]:
    return [f"{r.case}, {r.subject}, round {r.round}: {note}" for r in rows for note in r.notes]


def _verdicts(verdicts: Sequence[Verdict]) -> Table:
    table = Table(title="targets", title_justify="left")
    for name in ("what", "found", "target", ""):
        table.add_column(name)
    for verdict in verdicts:
        table.add_row(verdict.what, verdict.found, verdict.target, MARKS[verdict.held])
    return table
