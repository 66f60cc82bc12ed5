"""Opening the log's file, and what to say when it cannot be used.

A file is looked at read-only before it is opened for writing: one that is damaged, not ours or of a
newer version is left as it was found, to the byte. Two connections: SQLite's WAL lets a reader see
the last commit while the next one waits for the disk, but only on a connection of its own.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.resources import files
from pathlib import Path

from storefront.errors import (
    SettingsError,
    StoreCorruptError,
    StoreError,
    StoreUnavailableError,
)

SCHEMA_VERSION = 1
_SMALLEST_PAGE = 512
# "SFLG" in the file's header: a database of another program is not taken for an empty log.
APPLICATION_ID = 0x53464C47

# How long a thread of ours waits for a lock that another program holds on the file (a backup, a
# person with a shell). Then the write fails, and its messages stay unacknowledged.
BUSY_SECONDS = 2.0

# The WAL is copied into the database by the commit that brings it to this size, in the writer's
# thread. Larger means fewer pages written twice; 32 MiB are read in well under a second at a start.
_WAL_PAGES = 8192
_PAGE = 4096
# ... and what a WAL that outgrew it (a reader was in the way) is cut back to afterwards.
_WAL_LIMIT = 2 * _WAL_PAGES * _PAGE
# The b-trees' upper pages and the hot customers' leaves; in KiB, as SQLite has it when negative.
_WRITER_CACHE = -32768
_READER_CACHE = -8192

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
# How a metric calls what SQLite says; the rest is "other".
_KINDS = {
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
    sqlite3.SQLITE_IOERR: "io",
    sqlite3.SQLITE_READONLY: "read-only",
    sqlite3.SQLITE_CANTOPEN: "gone",
}


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Where SQLite's errors become ours. A misuse of its interface is a bug and passes through.

    Raises:
        StoreCorruptError: the file is damaged or lacks a table.
        StoreUnavailableError: it is locked, full, gone or fails to be read or written.
    """
    try:
        yield
    except sqlite3.DatabaseError as exc:
        code = _code(exc)
        if code in _DAMAGED:
            raise StoreCorruptError(f"{path} is damaged: {exc}") from exc
        if code == sqlite3.SQLITE_ERROR:
            raise StoreCorruptError(f"{path} is not as the store left it: {exc}") from exc
        if isinstance(exc, sqlite3.OperationalError):
            raise StoreUnavailableError(f"{path}: {exc}") from exc
        raise


def kind_of(error: StoreError) -> str:
    """What went wrong, in a word: full, locked, io, read-only, gone, damaged or other."""
    if isinstance(error, StoreCorruptError):
        return "damaged"
    return _KINDS.get(_code(error.__cause__), "other")


def open_writer(path: Path) -> sqlite3.Connection:
    """The connection that writes; makes the file where there is none.

    Raises:
        SettingsError: the folder cannot be written, or its file system cannot hold a WAL.
        StoreCorruptError: the file must not be used; it was not changed.
        StoreUnavailableError: the file cannot be used for now.
    """
    _make_private(path)
    with sqlite_errors(path):
        _inspect(path)
        connection = _connect(path, _WRITER_CACHE)
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A second connection, that cannot write."""
    with sqlite_errors(path):
        connection = _connect(path, _READER_CACHE)
        connection.execute("PRAGMA query_only = ON")
    return connection


def make_folder(path: Path) -> None:
    """The folder that holds the file, for its owner only.

    Raises:
        SettingsError: it cannot be made.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise SettingsError(
            f"STOREFRONT_DATA_DIR: cannot make {path.parent}: {exc.strerror}"
        ) from exc


def _code(error: BaseException | None) -> int:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF


def _make_private(path: Path) -> None:
    """Make an empty file that only its owner reads; SQLite gives the WAL the same mode."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        if not path.is_file():
            raise SettingsError(f"STOREFRONT_DATA_DIR: {path} is not a file") from None
        return
    except OSError as exc:
        raise SettingsError(f"STOREFRONT_DATA_DIR: cannot make {path}: {exc.strerror}") from exc
    # The name must be as durable as what is committed under it.
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _inspect(path: Path) -> None:
    """Refuse what is not a log of ours, or not whole, without a byte written to it.

    A connection that may write would, on its way out, copy a WAL into a file it had just found
    damaged.
    """
    size, wal = path.stat().st_size, path.with_name(path.name + "-wal")
    has_wal = wal.exists() and wal.stat().st_size > 0
    # What is shorter than a page is empty to SQLite: it would delete the WAL and start anew.
    if size < _SMALLEST_PAGE and (size or has_wal):
        raise StoreCorruptError(f"{path} is damaged: too short for a database")
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not tables:  # new, or its maker was killed before the first commit
            return
        _know(connection, path)
        (page,) = connection.execute("PRAGMA page_size").fetchone()
        # With a WAL it may be a copy that was cut off, and will be made again. Without one it is
        # the end of the last page that is missing, which SQLite would read as zeros.
        if size % page and not has_wal:
            raise StoreCorruptError(f"{path} is damaged: its last page is cut off")
        (fault,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if fault != "ok":
            raise StoreCorruptError(f"{path} is damaged: {' '.join(fault.split())}")


def _know(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        raise StoreCorruptError(f"{path} is a database of another program")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise StoreCorruptError(
            f"{path} was written by a newer Storefront (schema {version}; this one knows"
            f" {SCHEMA_VERSION})"
        )


def _connect(path: Path, cache: int) -> sqlite3.Connection:
    # check_same_thread: Trio lends whichever thread is free; that only one is in here at a time is
    # seen to by a limiter of one per connection. isolation_level None: transactions are ours.
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.execute(f"PRAGMA cache_size = {cache}")
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise SettingsError(
            f"STOREFRONT_DATA_DIR: the file system of {path.parent} cannot hold a write-ahead log"
        )
    # FULL: the WAL is on the disk before COMMIT returns. NORMAL would be as consistent and lose the
    # last commits with the power, after their messages were acknowledged.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT}")
    if not connection.execute("PRAGMA user_version").fetchone()[0]:
        schema = files("storefront.store").joinpath("schema.sql").read_text("utf-8")
        connection.executescript(
            f"BEGIN; {schema} PRAGMA application_id = {APPLICATION_ID};"
            f" PRAGMA user_version = {SCHEMA_VERSION}; COMMIT"
        )
