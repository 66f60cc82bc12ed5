"""One process per file: the second one is told so, in a line that names the setting.

The lock is on a file of its own beside the database. SQLite holds POSIX locks on the database, and
those are let go when *any* descriptor of that file is closed in the process, so nobody but SQLite
may open it. `flock` and not a POSIX lock, because it also keeps out a second store of this process.
It ends with the descriptor, so with the process however that ends: nothing stale is left after a
SIGKILL. The file itself stays: to remove it would let two processes lock two files of one name.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storefront.errors import SettingsError


@contextmanager
def held_alone(database: Path) -> Iterator[None]:
    """Hold a database for this process as long as the block lasts.

    Raises:
        SettingsError: another process, or another store of this one, holds it; or the folder cannot
            be written.
    """
    path = database.with_name(database.name + ".lock")
    try:
        # O_CLOEXEC: a child that outlives us must not hold the log for us.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise SettingsError(
            f"STOREFRONT_DATA_DIR: cannot write in {database.parent}: {exc.strerror}"
        ) from exc
    try:
        _lock(descriptor, database)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, database: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SettingsError(
            f"STOREFRONT_DATA_DIR: the log in {database.parent} is in use by another process;"
            " give each process its own folder, or share a Redis (STOREFRONT_REDIS_URL)"
        ) from None
    except OSError as exc:
        raise SettingsError(
            f"STOREFRONT_DATA_DIR: cannot lock a file in {database.parent}: {exc.strerror}"
        ) from exc
