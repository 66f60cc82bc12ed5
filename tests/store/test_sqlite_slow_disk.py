"""A disk that hangs: whoever has no time left leaves, the thread goes on, and nothing of it is lost.

Threads, so the real clock (hazards H22f). What hangs, hangs for as long as the test says.
"""

from __future__ import annotations

import threading
from contextlib import AsyncExitStack, contextmanager
from functools import partial

import pytest
import trio
import trio.testing

from storefront.domain.positions import Position
from storefront.errors import SettingsError
from storefront.queries.remembered import PATIENCE, Remembered
from storefront.store import sqlite
from tests.store.kit import (
    ALICE,
    BOB,
    NOW,
    ORDER,
    event,
    eventually,
    numbers,
    open_sqlite,
    payloads,
    put,
    read,
    start_of,
)
from tests.store.test_contract_followers import Ear
from tests.store.test_sqlite_commits import commits, locked, writing

# Seconds that a caller has, and how late a busy machine may make its leaving. What hangs here would
# hang for ten.
DEADLINE, LENIENCE = 0.1, 1.0


@pytest.fixture
async def store(tmp_path):
    async with open_sqlite(tmp_path) as opened:
        yield opened


@contextmanager
def hanging(connection):
    """Whatever the connection does takes until the block ends, and at most ten seconds."""
    may_end = threading.Event()
    # SQLite calls it before each step of a statement; a handler that answers 0 lets it go on.
    connection.set_progress_handler(lambda: not may_end.wait(10), 1)
    try:
        yield
    finally:
        may_end.set()


def writer_of(store):
    return store.commits._ledger._connection


def reader_of(store):
    return store._reader._connection


async def leaves(question):
    """Ask with little time; see that it is given up when the time is over, and not later."""
    began = trio.current_time()
    with trio.move_on_after(DEADLINE) as scope:
        await question()
    assert scope.cancelled_caught
    assert trio.current_time() - began < DEADLINE + LENIENCE


def writes(store):
    return {
        "record": partial(put, store, event("left")),
        "place": partial(store.place, [(ORDER, ALICE)], now=NOW),
        "position": partial(store.position, BOB, now=NOW),
        "since": partial(read, store, Position("unknown", 0), BOB),
    }


def questions(store):
    return {
        "position": partial(store.position, ALICE, now=NOW),
        "heads": partial(store.heads, [ALICE], now=NOW),
        "since": partial(read, store, Position("unknown", 0)),
        "owner": partial(store.owner, ORDER, now=NOW),
        "facts": partial(store.facts, ALICE, now=NOW),
    }


async def log_of(store, customer=ALICE):
    return await read(store, start_of(await store.position(customer, now=NOW)), customer)


@pytest.mark.parametrize("which", ["record", "place", "position", "since"])
async def test_one_who_waits_for_a_commit_behind_one_that_hangs_leaves_in_time(store, which):
    async with trio.open_nursery() as others, writing(store):
        await leaves(writes(store)[which])
        others.start_soon(put, store, event("stays"))
        await trio.testing.wait_all_tasks_blocked(0.01)
    assert payloads(await log_of(store)) == ["stays"]
    assert await store.heads([BOB], now=NOW) == {}
    assert await store.owner(ORDER, now=NOW) is None


@pytest.mark.parametrize("which", ["record", "place", "position", "since"])
async def test_one_whose_own_commit_hangs_leaves_in_time_and_it_is_made_all_the_same(
    store, nursery, which
):
    ear = Ear()
    await ear.listen(store, nursery)
    with hanging(writer_of(store)):
        await leaves(writes(store)[which])
        assert ear.heard == []
    await put(store, event("next"))
    made = {
        "record": await put(store, event("left")) == [None],
        "place": await store.owner(ORDER, now=NOW) == ALICE,
        "position": (await store.heads([BOB], now=NOW)).keys() == {BOB},
        "since": (await store.heads([BOB], now=NOW)).keys() == {BOB},
    }
    assert made[which]
    heard = ["left", "next"] if which == "record" else ["next", "left"]
    assert [entry.payload.decode() for entry in ear.heard] == heard


async def test_one_whose_own_commit_hangs_takes_nobody_along_who_shares_it(store, tmp_path):
    seen = commits(store)
    answers = []

    async def shares():
        answers.extend(await put(store, event("shares")))

    async with trio.open_nursery() as others:
        with locked(tmp_path):
            others.start_soon(leaves, partial(put, store, event("left")))
            others.start_soon(shares)
            await trio.sleep(DEADLINE + 0.2)
            assert answers == []
    assert len(seen) == 1
    assert [entry.payload for entry in answers] == [b"shares"]
    assert await put(store, event("left")) == [None], "it is in the log, and known"


@pytest.mark.parametrize("which", ["position", "heads", "since", "owner", "facts"])
async def test_one_whose_read_hangs_leaves_in_time_and_the_next_is_answered(store, which):
    (entry,) = await put(store, event(1))
    with hanging(reader_of(store)):
        await leaves(questions(store)[which])
    assert await store.position(ALICE, now=NOW) == entry.position


async def test_however_many_leave_a_read_that_hangs_one_thread_waits_and_the_others_stay(store):
    (entry,) = await put(store, event(1))
    heads = {}

    async def ask():
        heads.update(await store.heads([ALICE], now=NOW))

    async with trio.open_nursery() as others:
        with hanging(reader_of(store)):
            for _ in range(20):
                others.start_soon(leaves, questions(store)["heads"])
            await trio.sleep(DEADLINE / 2)
            others.start_soon(ask)
            await trio.sleep(DEADLINE)
            assert (heads, store._thread.borrowed_tokens) == ({}, 1)
    assert heads == {ALICE: entry.position}
    await eventually(lambda: store._thread.borrowed_tokens == 0)


async def test_those_who_left_while_a_commit_hung_leave_no_hole_and_those_who_stay_share_one(store):
    seen = commits(store)
    async with trio.open_nursery() as others, writing(store):
        for number in range(20):
            others.start_soon(leaves, partial(put, store, event(f"left {number}")))
            others.start_soon(put, store, event(f"stays {number}"))
        await trio.sleep(DEADLINE + 0.2)
    assert len(seen) == 2
    found = await log_of(store)
    assert sorted(payloads(found)) == sorted(f"stays {number}" for number in range(20))
    assert numbers(found) == list(range(1, 21))


@pytest.mark.parametrize("which", [writer_of, reader_of], ids=["writing", "reading"])
async def test_a_view_does_without_its_place_in_the_log_when_the_log_hangs(store, which):
    remembered = Remembered(store, clock=lambda: NOW)
    with hanging(which(store)):
        began = trio.current_time()
        assert await remembered.position(ALICE, deadline=began + 10) is None
        assert trio.current_time() - began < PATIENCE + LENIENCE
    assert (await remembered.position(ALICE, deadline=trio.current_time() + 10)).seq == 0


@pytest.mark.parametrize("which", [writer_of, reader_of], ids=["writing", "reading"])
async def test_a_store_that_is_closed_while_the_disk_hangs_does_not_wait_longer_than_is_said(
    tmp_path, monkeypatch, which
):
    """And its file stays held until the thread is back: nobody else may write beside it."""
    monkeypatch.setattr(sqlite, "CLOSED_WITHIN", 0.2)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_sqlite(tmp_path))
        with hanging(which(store)):
            await leaves((writes if which is writer_of else questions)(store)["position"])
            began = trio.current_time()
            await stack.aclose()
            assert trio.current_time() - began < 2 * 0.2 + LENIENCE
            with pytest.raises(SettingsError, match="in use"):
                async with open_sqlite(tmp_path):
                    pass
    heads = await opened_again(tmp_path)
    assert heads.keys() == ({BOB} if which is writer_of else set())


async def opened_again(tmp_path):
    """The heads there are once the file can be opened."""
    with trio.fail_after(5):
        while True:
            try:
                async with open_sqlite(tmp_path) as store:
                    return await store.heads([ALICE, BOB], now=NOW)
            except SettingsError:
                await trio.sleep(0.01)


async def test_a_store_that_is_closed_waits_for_what_is_under_way(tmp_path):
    async with open_sqlite(tmp_path) as store, trio.open_nursery() as nursery:
        with locked(tmp_path):
            nursery.start_soon(put, store, event("begun"))
            await trio.sleep(0.1)
            nursery.cancel_scope.cancel()
    async with open_sqlite(tmp_path) as store:
        assert payloads(await log_of(store)) == ["begun"]


async def test_a_store_that_is_closed_takes_nothing_and_says_so(tmp_path):
    async with open_sqlite(tmp_path) as store:
        await put(store, event(1))
    with trio.fail_after(5), pytest.raises(sqlite.StoreUnavailableError, match="closed"):
        await put(store, event(2))
