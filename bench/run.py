"""A run: the scenarios in their order, so many rounds of each, and what it all came to."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.children import REPOSITORY
from bench.floor import Floor, Say
from bench.options import Options
from bench.report import results, table
from bench.report.pictures import draw
from bench.report.rows import Row, Verdict, faults_verdict, harness_verdict
from bench.scenarios import SCENARIOS

SERVERS = ("rabbitmq-server", "redis-server")
HELD, MISSED = 0, 1


async def run(names: Sequence[str], options: Options, folder: Path) -> int:
    """Run these scenarios; the exit status: 1 where a target was missed."""
    began = dt.datetime.now(dt.UTC)
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - nothing else runs yet
    workshop = REPOSITORY / ".artefacts" / "bench" / f"run-{began:%Y%m%d-%H%M%S-%f}"
    rows: list[Row] = []
    with _progress(len(names) * options.rounds, tell=options.tell) as (say, advance):
        async with Floor(options, workshop, folder, say) as floor:
            # Round by round, so that a round of all is as close together as it can be.
            for number in range(1, options.rounds + 1):
                for name in names:
                    rows += await SCENARIOS[name].run(floor, number)
                    advance()
    verdicts = judged(names, options, rows)
    results.write(folder, options, f"{began:%Y-%m-%dT%H:%M:%SZ}", rows, verdicts)
    draw(rows, folder)
    table.show(Console(width=None if sys.stdout.isatty() else 200), rows, verdicts)
    return MISSED if any(verdict.held is False for verdict in verdicts) else HELD


def judged(names: Sequence[str], options: Options, rows: Sequence[Row]) -> list[Verdict]:
    """Every scenario's verdicts, and those that hold for all."""
    found = [verdict for name in names for verdict in SCENARIOS[name].judge(rows, options)]
    return [*found, faults_verdict(rows), harness_verdict(rows, judged=not options.quick)]


@contextmanager
def _progress(steps: int, *, tell: bool) -> Iterator[tuple[Say, Callable[[], None]]]:
    """Says what happens: a bar on a terminal; nothing elsewhere, unless it is told to in lines."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task("", total=steps)

        def say(text: str) -> None:
            bar.update(task, description=text)
            if tell:
                print(f"{dt.datetime.now(dt.UTC):%H:%M:%S} {text}", file=sys.stderr)

        yield say, lambda: bar.advance(task)
