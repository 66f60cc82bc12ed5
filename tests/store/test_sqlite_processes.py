"""What only processes can show: who holds the file, and what a SIGKILL leaves of it."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from functools import partial
from typing import NamedTuple

import pytest
import trio

from storefront.domain.positions import Position
from storefront.errors import SettingsError
from tests.store.kit import NOW, WINDOW, event, open_sqlite, put, read
from tests.store.recording_child import BATCH, CUSTOMERS, STEP, batch_of

# A child killed at a random moment, this many times. 200 for a night.
KILLS = int(os.environ.get("STOREFRONT_TEST_KILLS", "10"))
# In seconds, from a kill to the next child's first batch: what it finds lapses soon after, and how
# much does is no matter of how fast the machine is.
AWAY = WINDOW / 2


def database(folder):
    return folder / "data" / "log.db"


@contextmanager
def recording(folder, run=0, *, began=NOW, wal_pages=8192):
    """A child that records; killed at the end of the block, without warning."""
    command = [sys.executable, "-m", "tests.store.recording_child", str(database(folder))]
    with subprocess.Popen(
        [*command, str(run), str(began), str(wal_pages)], stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "open\n"
            yield child
        finally:
            child.kill()


async def test_a_second_store_in_one_process_is_refused(tmp_path):
    async with open_sqlite(tmp_path) as store:
        with pytest.raises(SettingsError, match="STOREFRONT_DATA_DIR"):
            async with open_sqlite(tmp_path):
                pass
        assert await put(store, event(1)) != [None]
    async with open_sqlite(tmp_path) as store:
        assert await put(store, event(1)) == [None]


@pytest.mark.system
async def test_a_second_process_is_refused_in_one_line_that_names_the_setting(tmp_path):
    with recording(tmp_path), pytest.raises(SettingsError) as raised:
        async with open_sqlite(tmp_path):
            pass
    line = str(raised.value)
    assert line.startswith("STOREFRONT_DATA_DIR: ")
    assert str(database(tmp_path).parent) in line
    assert "\n" not in line


@pytest.mark.system
async def test_a_killed_process_leaves_no_lock_behind(tmp_path):
    for run in (0, 1):
        with recording(tmp_path, run) as child:
            child.stdout.readline()
    async with open_sqlite(tmp_path) as store:
        assert await put(store, event(1)) != [None]


@pytest.mark.system
async def test_a_child_does_not_hold_the_file_for_its_parent(tmp_path):
    command = [sys.executable, "-c", "input()"]
    async with trio.open_nursery() as nursery:
        async with open_sqlite(tmp_path):
            child = await nursery.start(
                partial(trio.run_process, command, stdin=subprocess.PIPE, close_fds=False)
            )
        async with open_sqlite(tmp_path) as store:
            assert await put(store, event(1)) != [None]
        await child.stdin.send_all(b"\n")


@pytest.mark.system
async def test_what_was_acknowledged_before_a_sigkill_is_in_the_log(tmp_path):
    chance = random.Random(20261122)
    account = Account()
    now, acknowledged, wals, swept, kept = NOW, 0, 0, 0, 0
    for run in range(KILLS):
        # A small WAL, so that the kill also falls into its copying into the file.
        pages = chance.choice([20, 200, 8192])
        with recording(tmp_path, run, began=now, wal_pages=pages) as child:
            await trio.sleep(chance.uniform(0, 0.3))
            child.kill()
            *lines, _cut_off = child.stdout.read().split("\n")
        for number, line in enumerate(lines):
            places = account.add(batch_of(run, number), now + number * STEP)
            assert line.split("|") == [f"{run}.{number}", *places]
        acknowledged += len(lines)
        wals += has_wal(tmp_path)
        swept += events_in_a_copy(tmp_path) < kept + len(lines) * BATCH

        # One batch is in doubt: its answer was not heard.
        now += len(lines) * STEP
        async with open_sqlite(tmp_path) as store:
            await compare(store, account, batch_of(run, len(lines)), now)
        kept = events_in_a_copy(tmp_path)
        now += AWAY

    assert acknowledged > KILLS
    # Not each: some are killed before their first commit, and at first nothing has lapsed.
    assert wals > KILLS // 2
    assert swept > KILLS // 4


class Written(NamedTuple):
    seq: int
    payload: bytes
    recorded_at: float


class Account:
    """What the log must hold: each customer's events, numbered from 1 without holes."""

    def __init__(self):
        self.logs: dict[str, list[Written]] = {}

    def add(self, batch, now):
        """Count a batch as recorded; answers the places its events then have."""
        places = []
        for recording in batch:
            log = self.logs.setdefault(recording.customer, [])
            seq = log[-1].seq + 1 if log else 1
            log.append(Written(seq, recording.payload, now))
            places.append(f"{recording.customer}#{seq}")
        return places

    def forget_lapsed(self, now):
        # None is emptied: a batch has something for everybody, and the last one is not that old.
        for customer, log in self.logs.items():
            self.logs[customer] = [each for each in log if now - each.recorded_at <= WINDOW]

    def heads(self):
        return {customer: log[-1].seq for customer, log in self.logs.items()}


async def compare(store, account, doubtful, now):
    """The log is what the account says, with the doubtful batch as a whole or without it; which is
    settled by its redelivery, as the broker would."""
    heads = await store.heads(CUSTOMERS, now=now)
    numbers = {customer: head.seq for customer, head in heads.items()}
    recorded = numbers != account.heads()
    if recorded:
        account.add(doubtful, now)
    assert numbers == account.heads()

    account.forget_lapsed(now)
    for customer, log in account.logs.items():
        before = Position(heads[customer].epoch, log[0].seq - 1)
        found = await read(store, before, customer, now=now, limit=10**9, max_bytes=10**9)
        assert found.resumable
        written = [Written(e.position.seq, e.payload, e.recorded_at) for e in found.entries]
        assert written == log

    answers = await store.record(doubtful, now=now)
    if recorded:
        assert answers == [None] * BATCH
    else:
        places = [f"{entry.customer}#{entry.position.seq}" for entry in answers]
        assert places == account.add(doubtful, now)


def has_wal(folder):
    wal = beside(database(folder), "-wal")
    return wal.exists() and wal.stat().st_size > 0


def events_in_a_copy(folder):
    """How many events the file holds, which must be whole: asked of a copy, because whoever opens
    the file itself would take the WAL of the kill away from the store."""
    copy = folder / "copy.db"
    for end in ("", "-wal"):
        beside(copy, end).unlink(missing_ok=True)
        if beside(database(folder), end).exists():
            shutil.copyfile(beside(database(folder), end), beside(copy, end))
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        (events,) = connection.execute("SELECT count(*) FROM events").fetchone()
    return events


def beside(path, end):
    return path.with_name(path.name + end)
