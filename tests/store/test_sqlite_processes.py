"""What only processes can show: who holds the file, and what a SIGKILL leaves of it."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from functools import partial

import pytest
import trio

from storefront.domain.ids import CustomerId
from storefront.errors import SettingsError
from tests.store.kit import NOW, event, open_sqlite, put, read, start_of
from tests.store.recording_child import BATCH, CUSTOMERS, PADDING

# A child killed at a random moment, this many times. 200 for a night.
KILLS = int(os.environ.get("STOREFRONT_TEST_KILLS", "10"))


def database(folder):
    return folder / "data" / "log.db"


@contextmanager
def recording(folder, run="0", wal_pages=8192):
    """A child that records; killed at the end of the block, without warning."""
    command = [sys.executable, "-m", "tests.store.recording_child"]
    with subprocess.Popen(
        [*command, str(database(folder)), run, str(wal_pages)], stdout=subprocess.PIPE, text=True
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
    for run in ("0", "1"):
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
    acknowledged: dict[str, set[str]] = {}
    for run in range(KILLS):
        # A small WAL, so that the kill also falls into its copying into the file.
        with recording(tmp_path, str(run), chance.choice([20, 200, 8192])) as child:
            await trio.sleep(chance.uniform(0, 0.3))
            child.kill()
            *lines, _cut_off = child.stdout.read().split("\n")
        acknowledged |= dict(parsed(line) for line in lines)
        with closing(sqlite3.connect(database(tmp_path))) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert len(acknowledged) > KILLS

    logs = await whole_logs(tmp_path)
    recorded: dict[str, set[str]] = {}
    for customer, entries in logs.items():
        assert [entry.position.seq for entry in entries] == list(range(1, len(entries) + 1))
        for entry in entries:
            batch, _, _ = entry.payload.decode().removesuffix(f" {PADDING}").rpartition(".")
            recorded.setdefault(batch, set()).add(f"{customer}#{entry.position.seq}")
    for batch, places in acknowledged.items():
        assert recorded[batch] == places
    # And of what was not acknowledged each batch is there as a whole or not at all.
    assert {len(places) for places in recorded.values()} == {BATCH}


def parsed(line):
    batch, *places = line.split("|")
    return batch, set(places)


async def whole_logs(folder):
    logs = {}
    async with open_sqlite(folder) as store:
        for customer in CUSTOMERS:
            head = await store.position(CustomerId(customer), now=NOW)
            found = await read(store, start_of(head), customer, limit=10**9, max_bytes=10**9)
            assert found.resumable
            logs[customer] = found.entries
    return logs
