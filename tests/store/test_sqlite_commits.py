"""Transactions: shared, whole or not at all, announced whoever has left, never on Trio's thread.

Threads, so the real clock (hazards H22f); `now` is an argument all the same.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import asynccontextmanager, closing, contextmanager

import pytest
import trio
import trio.testing

from storefront.errors import StoreUnavailableError
from storefront.store import sqlite_file, sqlite_numberings
from storefront.telemetry.metrics import Metrics
from tests.store.kit import (
    ALICE,
    BOB,
    NOW,
    ORDER,
    event,
    events,
    eventually,
    numbers,
    open_sqlite,
    payloads,
    put,
    read,
    start_of,
)
from tests.store.test_contract_followers import Ear


@pytest.fixture
async def store(tmp_path):
    async with open_sqlite(tmp_path) as opened:
        yield opened


@contextmanager
def locked(tmp_path):
    """Somebody with a shell has begun a transaction on the file."""
    with closing(sqlite3.connect(tmp_path / "data" / "log.db", isolation_level=None)) as shell:
        shell.execute("BEGIN IMMEDIATE")
        yield
        shell.execute("ROLLBACK")


@asynccontextmanager
async def writing(store):
    """The writer's thread is in the middle of a transaction as long as the block lasts.

    Gives a list of what is to be called the moment that transaction is over.
    """
    begun, may_end = threading.Event(), threading.Event()
    ends: list[Callable[[], None]] = []

    def hold(ledger):
        begun.set()
        may_end.wait(10)

    async def write():
        await store.commits.write(hold)
        for call in ends:
            call()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await trio.to_thread.run_sync(begun.wait, 10)
        try:
            yield ends
        finally:
            may_end.set()


@asynccontextmanager
async def beating():
    """Counts the beats of Trio's loop."""
    beats = []

    async def beat():
        while True:
            await trio.sleep(0.001)
            beats.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(beat)
        yield beats
        nursery.cancel_scope.cancel()


def commits(store):
    """The COMMITs of the store from now on."""
    seen = []
    store.commits._ledger._connection.set_trace_callback(
        lambda sql: seen.append(sql) if sql == "COMMIT" else None
    )
    return seen


async def test_the_loop_goes_on_while_the_writer_waits_for_a_lock(store, tmp_path):
    async with beating() as beats, trio.open_nursery() as nursery:
        with locked(tmp_path):
            nursery.start_soon(put, store, event(1))
            before = len(beats)
            await trio.sleep(0.3)
            # 300 if nobody else wants the machine; none if the loop waited for the lock.
            assert len(beats) - before > 10


async def test_the_loop_goes_on_while_a_large_batch_is_written(store):
    async with beating() as beats:
        before = len(beats)
        began = trio.current_time()
        await put(store, *events(range(20_000)))
        took = trio.current_time() - began
    assert len(beats) - before > took / 0.1


async def test_a_read_does_not_wait_for_a_write(store):
    (entry,) = await put(store, event(1))
    await store.place([(ORDER, ALICE)], now=NOW)
    async with writing(store):
        with trio.fail_after(5):
            assert payloads(await read(store, start_of(entry.position))) == ["1"]
            assert await store.position(ALICE, now=NOW) == entry.position
            assert await store.heads([ALICE], now=NOW) == {ALICE: entry.position}
            assert await store.owner(ORDER, now=NOW) == ALICE
            assert await store.facts(ALICE, now=NOW) == []
            assert await store.generation(ALICE) != ""


async def test_those_who_wait_share_one_commit(store, nursery):
    seen = commits(store)
    async with trio.open_nursery() as recorders, writing(store):
        for number in range(50):
            recorders.start_soon(put, store, event(number))
            recorders.start_soon(place_and_ask, store, number)
        await trio.testing.wait_all_tasks_blocked(0.01)
    assert len(seen) == 2
    start = start_of(await store.position(ALICE, now=NOW))
    assert sorted(map(int, payloads(await read(store, start)))) == list(range(50))


async def place_and_ask(store, number):
    await store.place([(f"order {number}", BOB)], now=NOW)
    assert await store.owner(f"order {number}", now=NOW) == BOB


async def test_each_of_those_gets_its_own_answer(store):
    answers = {}

    async def record(number):
        (answers[number],) = await put(store, event(number))

    async with trio.open_nursery() as nursery, writing(store):
        for number in range(20):
            nursery.start_soon(record, number)
        await trio.testing.wait_all_tasks_blocked(0.01)
    assert {number: entry.payload for number, entry in answers.items()} == {
        number: str(number).encode() for number in range(20)
    }


async def test_one_who_is_cancelled_before_its_turn_records_nothing(store):
    async with trio.open_nursery() as nursery, writing(store):
        scope = trio.CancelScope()

        async def leaves():
            with scope:
                await put(store, event("never"))

        nursery.start_soon(leaves)
        nursery.start_soon(put, store, event("stays"))
        await trio.testing.wait_all_tasks_blocked(0.01)
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked(0.01)
    assert scope.cancelled_caught
    start = start_of(await store.position(ALICE, now=NOW))
    assert payloads(await read(store, start)) == ["stays"]


async def test_one_who_is_cancelled_during_its_commit_has_recorded_and_it_is_announced(
    store, tmp_path, nursery
):
    ear = Ear()
    await ear.listen(store, nursery)
    with locked(tmp_path):
        async with trio.open_nursery() as recording:
            recording.start_soon(put, store, event("committed"))
            await trio.sleep(0.1)  # in its thread by now, waiting for the lock
            recording.cancel_scope.cancel()
        assert ear.heard == []
    await eventually(lambda: ear.heard)
    assert [entry.payload for entry in ear.heard] == [b"committed"]
    start = start_of(await store.position(ALICE, now=NOW))
    assert payloads(await read(store, start)) == ["committed"]
    assert await put(store, event("committed")) == [None]


async def test_one_who_is_cancelled_as_its_turn_comes_takes_nobody_along(store):
    nurseries = trio.open_nursery(), trio.open_nursery()
    async with nurseries[0] as others, nurseries[1] as recording, writing(store) as ends:
        recording.start_soon(put, store, event("leads"))
        await trio.testing.wait_all_tasks_blocked(0.01)
        others.start_soon(put, store, event("shares"))
        await trio.testing.wait_all_tasks_blocked(0.01)
        # Called when the turn has been handed on, and before whose it is could run.
        ends.append(recording.cancel_scope.cancel)
    start = start_of(await store.position(ALICE, now=NOW))
    assert "shares" in payloads(await read(store, start))


async def test_the_next_one_waits_no_longer_for_one_who_left(store):
    for _ in range(20):
        with trio.move_on_after(0):
            await put(store, event("left"))
    with trio.fail_after(5):
        (entry,) = await put(store, event("next"))
    assert entry.position.seq == 1


async def test_a_full_disk_leaves_nothing_behind_and_the_numbers_have_no_hole(store, nursery):
    (first,) = await put(store, event(1))
    ear = Ear()
    await ear.listen(store, nursery)
    connection = store.commits._ledger._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreUnavailableError, match=r"log\.db: database or disk is full"):
        await put(store, *(event(f"{n} {'x' * 1000}") for n in range(100)))
    assert ear.heard == []
    assert numbers(await read(store, start_of(first.position))) == [1]
    connection.execute("PRAGMA max_page_count = 100000")
    (second,) = await put(store, event(2))
    assert second.position.seq == 2


async def test_a_full_disk_fails_all_who_shared_and_each_may_try_again(store):
    connection = store.commits._ledger._connection
    await put(store, event(0))
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    failures = []

    async def record(number):
        try:
            await put(store, event(f"{number} {'x' * 5000}"))
        except StoreUnavailableError as exc:
            failures.append(exc)

    async with trio.open_nursery() as nursery, writing(store):
        connection.execute(f"PRAGMA max_page_count = {pages}")
        for number in range(10):
            nursery.start_soon(record, number)
        await trio.testing.wait_all_tasks_blocked(0.01)
    assert len(failures) == len(set(map(id, failures))) == 10
    connection.execute("PRAGMA max_page_count = 100000")
    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(record, number)
    assert len(failures) == 10
    start = start_of(await store.position(ALICE, now=NOW))
    assert numbers(await read(store, start)) == list(range(1, 12))


async def test_a_lock_that_is_not_let_go_is_an_outage_and_not_a_hang(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0.05)
    async with open_sqlite(tmp_path) as store:
        with locked(tmp_path), pytest.raises(StoreUnavailableError, match="locked"):
            await put(store, event(1))
        (entry,) = await put(store, event(1))
        assert entry.position.seq == 1


async def test_a_bug_in_what_is_written_ends_its_caller_and_strands_nobody(store):
    outcomes = []

    async def wrong():
        with pytest.raises(ZeroDivisionError):
            await store.commits.write(lambda _ledger: 1 / 0)
        outcomes.append("wrong")

    async def shares():
        with pytest.raises(StoreUnavailableError):
            await put(store, event(1))
        outcomes.append("shares")

    async with trio.open_nursery() as nursery, writing(store):
        nursery.start_soon(wrong)
        await trio.testing.wait_all_tasks_blocked(0.01)
        nursery.start_soon(shares)
        await trio.testing.wait_all_tasks_blocked(0.01)
    assert sorted(outcomes) == ["shares", "wrong"]
    (entry,) = await put(store, event(1))
    assert entry.position.seq == 1


async def test_a_bug_in_what_is_written_for_one_who_left_ends_the_store_and_strands_nobody(
    tmp_path,
):
    begun, may_end = threading.Event(), threading.Event()

    def wrong(_ledger):
        begun.set()
        may_end.wait(10)
        return 1 / 0

    with pytest.RaisesGroup(ZeroDivisionError):
        async with open_sqlite(tmp_path) as store:
            async with trio.open_nursery() as leaving:
                leaving.start_soon(store.commits.write, wrong)
                await trio.to_thread.run_sync(begun.wait, 10)
                leaving.cancel_scope.cancel()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(refused, store)
                await trio.testing.wait_all_tasks_blocked(0.01)
                may_end.set()
                await trio.sleep(10)
            raise AssertionError("the store ended")


async def refused(store):
    with pytest.raises(StoreUnavailableError):
        await put(store, event(1))


async def test_more_customers_than_are_kept_at_hand_are_numbered_without_holes(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(sqlite_numberings, "NUMBERINGS_KEPT", 3)
    customers = [f"c{n}" for n in range(10)]
    async with open_sqlite(tmp_path) as store:
        for round_ in range(3):
            batch = [event(f"{round_}{n}", who) for n in range(2) for who in customers]
            answers = await put(store, *batch)
            first, second = [2 * round_ + 1] * 10, [2 * round_ + 2] * 10
            assert [entry.position.seq for entry in answers] == first + second
            assert len(store.commits._ledger._numberings._at_hand) == 3


async def test_a_hot_customers_event_costs_no_select_of_its_numbering(store):
    await put(store, event(0))
    seen: list[str] = []
    store.commits._ledger._connection.set_trace_callback(seen.append)
    await put(store, *events(range(1, 20)))
    assert not [sql for sql in seen if sql.startswith("SELECT") and "WHERE customer" in sql]


async def test_of_many_who_ask_on_one_morning_nobody_waits_and_one_commit_is_for_all(store):
    customers = [f"c{n}" for n in range(200)]
    await put(store, *(event(n, who) for n, who in enumerate(customers)))
    morning = NOW + 2 * 24 * 3600
    async with writing(store):
        seen = commits(store)
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                for who in customers:
                    nursery.start_soon(ask_position, store, who, morning)
            await store.heads(customers, now=morning + 1)  # noted already
    await put(store, event("behind them"), now=morning)
    assert len(seen) == 3
    rows = store._reader._connection.execute("SELECT DISTINCT touched FROM numberings").fetchall()
    assert rows == [(morning,)]


async def test_what_was_asked_for_lives_on_though_that_is_not_written_down_yet(store):
    (entry,) = await put(store, event(1))
    first, second, third = (NOW + number * 6 * 24 * 3600 for number in (1, 2, 3))
    async with trio.open_nursery() as nursery:
        async with writing(store):
            for now in (first, second, third):
                assert await store.position(ALICE, now=now) == entry.position
            nursery.start_soon(put_at, store, event(2), third)
        assert (await read(store, entry.position, now=third)).resumable
    assert (await store.position(ALICE, now=third)).seq == 2


async def put_at(store, recording, now):
    await put(store, recording, now=now)


async def test_questions_that_nobody_wrote_down_are_written_at_the_end(tmp_path):
    customers = [f"c{n}" for n in range(20)]
    later = NOW + 2 * 24 * 3600
    async with open_sqlite(tmp_path) as store:
        await put(store, *(event(n, who) for n, who in enumerate(customers)))
        async with trio.open_nursery() as nursery:
            for who in customers:
                nursery.start_soon(ask_position, store, who, later)
    async with open_sqlite(tmp_path) as store:
        found = store._reader._connection.execute("SELECT DISTINCT touched FROM numberings")
        assert found.fetchall() == [(later,)]


async def ask_position(store, who, now):
    await store.position(who, now=now)


async def test_a_question_is_answered_though_it_cannot_be_written_down(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0.05)
    async with open_sqlite(tmp_path) as store:
        (entry,) = await put(store, event(1))
        with locked(tmp_path):
            later = NOW + 2 * 24 * 3600
            assert await store.position(ALICE, now=later) == entry.position
            assert (await read(store, entry.position, now=later)).resumable


async def test_commits_are_counted_and_what_the_disk_refused_by_its_kind(store):
    await put(store, event(1))
    await store.place([(f"order {number}", BOB) for number in range(50)], now=NOW)
    connection = store.commits._ledger._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreUnavailableError):
        await put(store, event("x" * 100_000))
    metrics = Metrics()
    metrics.read_from(store.readings)
    told = metrics.exposition().decode()
    assert "storefront_store_commits_total 2.0" in told
    assert "storefront_store_commit_jobs_total 2.0" in told
    assert 'storefront_store_refusals_total{kind="full"} 1.0' in told
