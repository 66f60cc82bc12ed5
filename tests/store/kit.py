"""What the tests of the stores share: the stores themselves, and short ways to say things.

A further implementation joins all tests of the contract by one line in OPENERS.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import trio

from storefront.domain.facts import Fact
from storefront.domain.ids import CustomerId, OrderId
from storefront.domain.positions import Position
from storefront.store.contract import Recording, Slice, Store
from storefront.store.memory import MemoryStore
from storefront.store.sqlite import SqliteStore, open_sqlite_store

ALICE = CustomerId("a11ce000-0000-4000-8000-000000000001")
BOB = CustomerId("b0b00000-0000-4000-8000-000000000002")
ORDER = OrderId("0d0d0000-0000-4000-8000-000000000003")

# A whole number of seconds (2026-11-18), so that sums of tests are exact.
NOW = 1_795_000_000.0
WINDOW = 300.0
KEPT_IDS = 5
DAY = 24 * 3600.0

# The properties are tried with the same examples every time; with so many others where this is set.
EXAMPLES = int(os.environ.get("STOREFRONT_TEST_EXAMPLES", "0"))

Opener = Callable[[Path], AbstractAsyncContextManager[Store]]


@asynccontextmanager
async def open_memory(folder: Path) -> AsyncIterator[Store]:
    tokens = count()
    yield MemoryStore(window=WINDOW, kept_ids=KEPT_IDS, token=lambda: f"t{next(tokens)}")


def open_sqlite(folder: Path) -> AbstractAsyncContextManager[SqliteStore]:
    return open_sqlite_store(folder / "data" / "log.db", window=WINDOW, kept_ids=KEPT_IDS)


OPENERS: dict[str, Opener] = {"memory": open_memory, "sqlite": open_sqlite}


def event(
    payload: object,
    customer: str = ALICE,
    *,
    message: str | None = None,
    fact: Fact | None = None,
    also: Fact | None = None,
) -> Recording:
    """A recording; its message id is its payload unless told."""
    text = str(payload)
    return Recording(
        message_id=text if message is None else message,
        customer=CustomerId(customer),
        payload=text.encode(),
        fact=fact,
        also=also,
    )


def events(numbers: Sequence[int] | range, customer: str = ALICE) -> list[Recording]:
    return [event(number, customer) for number in numbers]


async def put(store: Store, *recordings: Recording, now: float = NOW) -> Any:
    return await store.record(recordings, now=now)


async def read(
    store: Store,
    cursor: Position,
    customer: str = ALICE,
    *,
    now: float = NOW,
    limit: int = 1000,
    max_bytes: int = 1_000_000,
) -> Slice:
    return await store.since(
        CustomerId(customer), cursor, now=now, limit=limit, max_bytes=max_bytes
    )


def start_of(position: Position) -> Position:
    """The place before the first event of the same numbering."""
    return Position(position.epoch, 0)


def payloads(found: Slice) -> list[str]:
    return [entry.payload.decode() for entry in found.entries]


def numbers(found: Slice) -> list[int]:
    return [entry.position.seq for entry in found.entries]


async def known(store: Store, message: str, *, now: float) -> bool:
    """Whether a message of this id is taken for a repetition (and if not, it is recorded)."""
    (answer,) = await put(store, event("again", message=message), now=now)
    return answer is None


async def eventually(condition: Callable[..., Any], within: float = 5.0) -> None:
    """Wait until something is so."""
    with trio.fail_after(within):
        while not condition():
            await trio.sleep(0.005)
