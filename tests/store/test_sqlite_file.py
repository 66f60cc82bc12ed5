"""The file: what survives in it, who may read it, and which files are refused untouched."""

from __future__ import annotations

import hashlib
import random
import shutil
import sqlite3
import stat
from contextlib import closing

import pytest

from storefront.domain.facts import Fact
from storefront.domain.positions import Position
from storefront.errors import SettingsError, StoreCorruptError
from storefront.store import sqlite_file
from tests.store.kit import (
    ALICE,
    BOB,
    NOW,
    ORDER,
    event,
    events,
    known,
    open_sqlite,
    payloads,
    put,
    read,
    start_of,
)


def database(folder):
    return folder / "data" / "log.db"


async def fill(folder, count=2000):
    """A log of some hundred pages, closed."""
    async with open_sqlite(folder) as store:
        await put(store, *(event(f"{n} {'x' * 300}") for n in range(count)))
    return database(folder)


def bytes_of(folder):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in database(folder).parent.iterdir()
        if path.suffix in {".db", ".db-wal"}
    }


async def refusal(folder):
    """The one line with which the file is refused; of what was there not a byte may have changed.

    SQLite leaves an empty WAL beside a file that it only read.
    """
    before, written_at = bytes_of(folder), database(folder).stat().st_mtime_ns
    with pytest.raises(StoreCorruptError) as raised:
        async with open_sqlite(folder):
            pass
    assert bytes_of(folder) | before == bytes_of(folder)
    assert database(folder).stat().st_mtime_ns == written_at
    line = str(raised.value)
    assert str(database(folder)) in line
    assert "\n" not in line
    return line


async def test_all_of_it_survives_a_restart(tmp_path):
    fact = Fact(kind="cart", id="", state="c1", occurred_at=NOW)
    async with open_sqlite(tmp_path) as store:
        entries = await put(store, event("a", message="m", fact=fact), event("b"))
        await store.place([(ORDER, ALICE)], now=NOW)
        start = await store.position(BOB, now=NOW)
    async with open_sqlite(tmp_path) as store:
        found = await read(store, start_of(entries[0].position))
        assert list(found.entries) == list(entries)
        assert list(await store.facts(ALICE, now=NOW)) == [fact]
        assert await store.owner(ORDER, now=NOW) == ALICE
        assert await store.position(BOB, now=NOW) == start
        assert await known(store, "m", now=NOW)
        (third,) = await put(store, event("c"))
        assert third.position == Position(entries[0].position.epoch, 3)


async def test_only_the_owner_may_read_it(tmp_path):
    async with open_sqlite(tmp_path) as store:
        await put(store, event(1))
        folder = database(tmp_path).parent
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == dict.fromkeys(("log.db", "log.db-wal", "log.db-shm", "log.db.lock"), 0o600)


async def test_a_commit_is_on_the_disk_before_it_returns(tmp_path):
    async with open_sqlite(tmp_path) as store:
        connection = store.commits._ledger._connection
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


async def test_the_reader_cannot_write(tmp_path):
    async with open_sqlite(tmp_path) as store:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            store._reader._connection.execute("DELETE FROM events")


@pytest.mark.parametrize("content", [random.Random(1).randbytes(50_000), b"not a database", b"x"])
async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path, content):
    database(tmp_path).parent.mkdir()
    database(tmp_path).write_bytes(content)
    assert "damaged" in await refusal(tmp_path)


@pytest.mark.parametrize("kept", [1, 100, 511, 512, 4095, 4096, 5000, 40960, -4096, -1])
async def test_a_truncated_file_is_refused_and_left_alone(tmp_path, kept):
    path = await fill(tmp_path)
    path.write_bytes(path.read_bytes()[:kept])
    assert "damaged" in await refusal(tmp_path)


@pytest.mark.parametrize("page", [2, 5, 50])
async def test_garbage_behind_a_valid_header_is_refused_and_left_alone(tmp_path, page):
    path = await fill(tmp_path)
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(random.Random(page).randbytes(3 * 4096))
    assert "damaged" in await refusal(tmp_path)


async def test_a_damaged_file_with_a_wal_beside_it_is_refused_and_both_are_left_alone(tmp_path):
    """SQLite would copy the WAL into the file on its way out."""
    left = tmp_path / "left"
    await fill(left)
    async with open_sqlite(left) as store:
        await put(store, *events(range(100_000, 100_050)))
        killed = tmp_path / "killed"
        shutil.copytree(left, killed)  # what a SIGKILL here would leave
    path = database(killed)
    assert path.with_name("log.db-wal").stat().st_size > 0
    with path.open("r+b") as file:
        file.seek(40 * 4096)
        file.write(random.Random(0).randbytes(20 * 4096))
    assert "damaged" in await refusal(killed)


async def test_an_emptied_file_with_a_wal_beside_it_is_refused_and_both_are_left_alone(tmp_path):
    """SQLite would delete the WAL and start anew."""
    async with open_sqlite(tmp_path / "left") as store:
        await put(store, event(1))
        shutil.copytree(tmp_path / "left", tmp_path / "killed")
    database(tmp_path / "killed").write_bytes(b"")
    assert "damaged" in await refusal(tmp_path / "killed")


async def test_a_wal_left_by_a_killed_process_is_read(tmp_path):
    async with open_sqlite(tmp_path / "left") as store:
        (entry,) = await put(store, event("in the WAL only"))
        shutil.copytree(tmp_path / "left", tmp_path / "killed")
    async with open_sqlite(tmp_path / "killed") as store:
        assert payloads(await read(store, start_of(entry.position))) == ["in the WAL only"]


async def test_the_database_of_another_program_is_refused_and_left_alone(tmp_path):
    database(tmp_path).parent.mkdir()
    with closing(sqlite3.connect(database(tmp_path))) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
        connection.commit()
    assert "another program" in await refusal(tmp_path)


async def test_a_file_of_a_newer_version_is_refused_and_left_alone(tmp_path):
    path = await fill(tmp_path, 1)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {sqlite_file.SCHEMA_VERSION + 1}")
    assert "newer Storefront" in await refusal(tmp_path)


async def test_a_file_that_lacks_a_table_is_called_what_it_is(tmp_path):
    path = await fill(tmp_path, 1)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE owners")
    async with open_sqlite(tmp_path) as store:
        with pytest.raises(StoreCorruptError, match=r"log\.db is not as the store left it"):
            await store.owner(ORDER, now=NOW)


@pytest.mark.parametrize("mode", [None, "WAL"])
async def test_what_a_killed_first_start_leaves_is_a_new_log(tmp_path, mode):
    database(tmp_path).parent.mkdir()
    database(tmp_path).touch()
    if mode:
        with closing(sqlite3.connect(database(tmp_path))) as connection:
            connection.execute(f"PRAGMA journal_mode = {mode}")
    async with open_sqlite(tmp_path) as store:
        assert await put(store, event(1)) != [None]


async def test_a_folder_that_cannot_be_made_is_a_setting_to_correct(tmp_path):
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(SettingsError, match="STOREFRONT_DATA_DIR"):
        async with open_sqlite(tmp_path):
            pass


async def test_a_path_that_is_a_folder_is_refused(tmp_path):
    database(tmp_path).mkdir(parents=True)
    with pytest.raises(SettingsError, match=r"STOREFRONT_DATA_DIR: .*log\.db is not a file$"):
        async with open_sqlite(tmp_path):
            pass


async def test_the_wal_does_not_outgrow_its_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_file, "_WAL_PAGES", 50)
    async with open_sqlite(tmp_path) as store:
        sizes = []
        for round_ in range(100):
            batch = [event(f"{round_}.{n} {'x' * 300}", f"c{n}") for n in range(20)]
            await put(store, *batch)
            sizes.append(database(tmp_path).with_name("log.db-wal").stat().st_size)
    # One transaction beyond the bound at most, and one before it was noticed.
    assert max(sizes) < 4 * 50 * 4096


async def test_a_replay_that_was_cut_short_does_not_hold_the_wal(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0.05)
    async with open_sqlite(tmp_path) as store:
        first, *_ = await put(store, *events(range(100)))
        found = await read(store, start_of(first.position), max_bytes=1)
        assert len(found.entries) == 1
        await put(store, event("later"))
        writer = store.commits._ledger._connection
        (busy, _, _) = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert not busy
