"""Pictures of a run, as PNG and SVG: percentiles per scenario, the climb, the growth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl

from bench.measure.latency import median_of
from bench.report.rows import Row

mpl.use("Agg")

from matplotlib import pyplot as plt

POINTS = (("p50", 50), ("p90", 90), ("p99", 99), ("p999", 99.9))
# No random ids and no date, so that the same figures give the same file.
mpl.rcParams["svg.hashsalt"] = "storefront"


def draw(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Draw what there is to draw; the files."""
    made = []
    for scenario in dict.fromkeys(row.scenario for row in rows):
        mine = [row for row in rows if row.scenario == scenario]
        if scenario == "growth":
            made += _save(folder / "growth", partial(_growth, mine), panels=2)
        elif any(row.latency is not None for row in mine):
            made += _save(folder / scenario, partial(_percentiles, mine))
        if scenario == "personal":
            made += _save(folder / "personal-rates", partial(_climb, mine), panels=2)
    return made


def _save(path: Path, paint: Callable[[Any], None], *, panels: int = 1) -> list[Path]:
    figure, axes = plt.subplots(1, panels, figsize=(7 * panels, 4.5), squeeze=False)
    paint(axes[0])
    figure.tight_layout()
    made = [path.with_suffix(suffix) for suffix in (".png", ".svg")]
    for file in made:
        figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else {})
    plt.close(figure)
    return made


def _percentiles(rows: Sequence[Row], axes: Any) -> None:
    axis = axes[0]
    for case, subject in dict.fromkeys((row.case, row.subject) for row in rows):
        found = [r.latency for r in rows if (r.case, r.subject) == (case, subject) and r.latency]
        if found:
            heights = [median_of([getattr(each, name) for each in found]) for name, _ in POINTS]
            axis.plot([name for name, _ in POINTS], heights, marker="o", label=f"{subject}, {case}")
    axis.set(yscale="log", ylabel="ms", title=rows[0].scenario)
    axis.grid(visible=True, alpha=0.3)
    axis.legend(fontsize=7)


def _climb(rows: Sequence[Row], axes: Any) -> None:
    """Against the rate offered: p99, and processor time."""
    climbed = [row for row in rows if row.figures.get("offered") and row.latency and row.usage]
    for subject in dict.fromkeys(row.subject for row in climbed):
        mine = sorted(
            (row.figures["offered"], row.latency.p99, 100 * row.usage.cores["subject"])
            for row in climbed
            if row.subject == subject and row.latency and row.usage
        )
        offered, p99, cpu = zip(*mine, strict=True)
        axes[0].plot(offered, p99, marker="o", label=subject)
        axes[1].plot(offered, cpu, marker="o", label=subject)
    axes[0].set(xscale="log", yscale="log", xlabel="messages/s", ylabel="p99, ms")
    axes[1].set(xscale="log", xlabel="messages/s", ylabel="% of a core")
    for axis in axes:
        axis.grid(visible=True, alpha=0.3)
        axis.legend(fontsize=7)


def _growth(rows: Sequence[Row], axes: Any) -> None:
    """Against streams: latency, and processor time."""
    for name, label in (("fan_out_p50_ms", "fan-out p50"), ("fan_out_p99_ms", "fan-out p99")):
        points = sorted((r.figures["streams"], r.figures[name]) for r in rows if name in r.figures)
        axes[0].plot(*zip(*points, strict=True), marker="o", label=label)
    personal = [row for row in rows if "cpu_percent" in row.figures and row.latency]
    points = sorted((r.figures["streams"], r.latency.p99) for r in personal if r.latency)
    axes[0].plot(*zip(*points, strict=True), marker="s", label="personal, 100/s, p99")
    points = sorted((r.figures["streams"], r.figures["cpu_percent"]) for r in personal)
    axes[1].plot(*zip(*points, strict=True), marker="s", label="personal, 100/s")
    axes[0].set(xscale="log", yscale="log", xlabel="streams", ylabel="ms")
    axes[1].set(xscale="log", xlabel="streams", ylabel="% of a core")
    for axis in axes:
        axis.grid(visible=True, alpha=0.3)
        axis.legend(fontsize=7)
