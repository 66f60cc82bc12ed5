"""The command line of the bench."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import trio

from bench.children import REPOSITORY
from bench.options import Options
from bench.report.results import RESULTS
from bench.run import SERVERS, run
from bench.scenarios import SCENARIOS, WITH_PEERS

ROUNDS, PEER_ROUNDS = 2, 5


@click.command()
@click.option(
    "--scenario",
    "names",
    multiple=True,
    type=click.Choice(list(SCENARIOS)),
    help="Only this one; may be repeated.",
)
@click.option("--peers", is_flag=True, help="With the peers, alternated; only what has peers.")
@click.option(
    "--quick", is_flag=True, help="Small counts, one round, no timing judged: to see that it works."
)
@click.option(
    "--rounds", type=click.IntRange(1, 50), help=f"{ROUNDS}, or {PEER_ROUNDS} with peers."
)
@click.option(
    "--streams", type=click.IntRange(1, 19_000), help="In place of each scenario's own number."
)
@click.option("--tell", is_flag=True, help="Say what is being done, in lines.")
@click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    default=RESULTS,
    help="Where to write.",
)
def main(
    names: tuple[str, ...],
    *,
    peers: bool,
    quick: bool,
    rounds: int | None,
    streams: int | None,
    tell: bool,
    results: Path,
) -> None:
    """Measure Storefront; exit with 1 where a target is missed."""
    if rounds is None:
        rounds = 1 if quick else PEER_ROUNDS if peers else ROUNDS
    chosen = names or (WITH_PEERS if peers else tuple(SCENARIOS))
    if peers and not set(chosen) <= set(WITH_PEERS):
        raise click.UsageError(f"only {', '.join(WITH_PEERS)} have peers")
    options = Options(quick=quick, peers=peers, rounds=rounds, streams=streams, tell=tell)
    subprocess.run([REPOSITORY / "tests" / "install-debian.sh", *SERVERS], check=True, timeout=900)
    sys.exit(trio.run(run, chosen, options, results))


if __name__ == "__main__":
    main()
