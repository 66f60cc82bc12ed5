"""A process that records as fast as it can and says what was acknowledged, until it is killed.

    python -m tests.store.recording_child DATABASE RUN BEGAN WAL_PAGES

Each line is written after `record` returned: the run and number of the batch, then each event's
customer and number.
"""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

import trio

from storefront.store import sqlite_file
from storefront.store.contract import Recording
from storefront.store.sqlite import open_sqlite_store
from tests.store.kit import KEPT_IDS, WINDOW, event

CUSTOMERS = [f"customer {n}" for n in range(7)]
# Padding brings the WAL to its bound now and then, so that copying it is interrupted too.
BATCH, PADDING = 23, "x" * 300
# In seconds from one batch to the next: sixty of them, and the first lapses.
STEP = WINDOW / 60


def batch_of(run: int, number: int) -> list[Recording]:
    """What a run attempts as its batch of this number; it has something for every customer."""
    return [
        event(f"{run}.{number}.{n} {PADDING}", CUSTOMERS[(number + n) % len(CUSTOMERS)])
        for n in range(BATCH)
    ]


async def main(path: Path, run: int, began: float) -> None:
    async with open_sqlite_store(path, window=WINDOW, kept_ids=KEPT_IDS) as store:
        print("open", flush=True)
        for number in count():
            answers = await store.record(batch_of(run, number), now=began + number * STEP)
            places = [f"{entry.customer}#{entry.position.seq}" for entry in answers if entry]
            print(f"{run}.{number}", *places, sep="|", flush=True)


if __name__ == "__main__":
    sqlite_file._WAL_PAGES = int(sys.argv[4])
    trio.run(main, Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
