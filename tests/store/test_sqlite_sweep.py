"""The file stops growing where its traffic does, and no event pays for the size of the log."""

from __future__ import annotations

from functools import partial

import trio

from storefront.domain.facts import Fact
from storefront.domain.ids import OrderId
from storefront.store.contract import FACT_LIFE, FACTS_KEPT, HEAD_LEEWAY, HEAD_LIFE, OWNER_LIFE
from tests.store.kit import (
    ALICE,
    BOB,
    DAY,
    KEPT_IDS,
    NOW,
    WINDOW,
    event,
    known,
    open_sqlite,
    put,
    read,
    start_of,
)


def counted(store):
    connection = store._reader._connection
    tables = ("numberings", "events", "messages", "facts", "owners")
    return {
        table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables
    }


def visitor(day, number, n):
    fact = Fact(kind="order", id=f"o{n}", state="Placed", occurred_at=NOW + day)
    return event(
        f"{n} {'x' * 200}", f"visitor {day}.{number}", message=f"{day}.{number}.{n}", fact=fact
    )


async def test_customers_who_never_come_back_do_not_fill_the_file(tmp_path):
    visitors, each, step, rounds = 10, 3, 2 * DAY, 200
    async with open_sqlite(tmp_path) as store:
        pages = []
        for day in range(rounds):
            now = NOW + day * step
            batch = [visitor(day, number, n) for number in range(visitors) for n in range(each)]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(store.record, batch, now=now))
                for number in range(visitors):
                    order = OrderId(f"order {day}.{number}")
                    nursery.start_soon(partial(store.place, [(order, ALICE)], now=now))
            pages.append(store._reader._connection.execute("PRAGMA page_count").fetchone()[0])
        found = counted(store)
    # What must be held, and as much again while it waits for its turn.
    held = {
        "events": each,
        "numberings": (HEAD_LIFE + HEAD_LEEWAY) / step + 1,
        "messages": each * ((HEAD_LIFE + HEAD_LEEWAY) / step + 1),
        "facts": each * (FACT_LIFE / step + 1),
        "owners": OWNER_LIFE / step + 1,
    }
    for table, rows in held.items():
        assert found[table] <= 2 * visitors * rows, table
    assert pages[-1] <= 1.05 * max(pages[: rounds * 3 // 4])


async def test_a_burst_of_one_customer_is_let_go_of_by_the_traffic_of_others(tmp_path):
    async with open_sqlite(tmp_path) as store:
        await put(store, *(event(n) for n in range(3000)))
        for n in range(120):
            await put(store, event(f"other {n}", BOB), now=NOW + WINDOW + 1)
        found = counted(store)
    assert found["events"] == 120
    assert found["messages"] == KEPT_IDS + 120


async def test_no_transaction_lets_go_of_much_at_once(tmp_path):
    async with open_sqlite(tmp_path) as store:
        await put(store, *(event(n) for n in range(3000)))
        before = counted(store)["events"]
        await put(store, event("other", BOB), now=NOW + WINDOW + 1)
        assert 0 < before - counted(store)["events"] < 100


async def test_the_newest_message_ids_stay_known_however_often_the_sweep_comes_by(tmp_path):
    async with open_sqlite(tmp_path) as store:
        await put(store, *(event(n, message=f"m{n}") for n in range(2 * KEPT_IDS)))
        for n in range(50):
            await put(store, event(f"other {n}", BOB), now=NOW + WINDOW + n)
        for n in range(KEPT_IDS, 2 * KEPT_IDS):
            assert await known(store, f"m{n}", now=NOW + WINDOW + 50)


async def test_no_more_facts_are_on_file_than_can_be_asked_for(tmp_path):
    async with open_sqlite(tmp_path) as store:
        facts = [
            Fact(kind="order", id=str(n), state="Placed", occurred_at=NOW + n)
            for n in range(FACTS_KEPT + 50)
        ]
        await put(store, *(event(fact.id, fact=fact) for fact in facts))
        assert counted(store)["facts"] == FACTS_KEPT


async def test_a_numbering_that_was_swept_is_not_remembered_by_the_writer(tmp_path):
    """Or the next event would be numbered in a row that is no more."""
    async with open_sqlite(tmp_path) as store:
        (old,) = await put(store, event(1))
        await put(store, event("sweeps", BOB), now=NOW + 30 * DAY)
        assert counted(store)["numberings"] == 1
        # The clock was wrong, and is set back to where the numbering would be alive.
        (new,) = await put(store, event(2), now=NOW + DAY)
        assert new.position.epoch != old.position.epoch
        assert await store.position(ALICE, now=NOW + DAY) == new.position


async def test_what_is_left_of_an_old_numbering_is_never_taken_for_the_new_ones(tmp_path):
    """Its events may still lie in the queue when the customer comes again."""
    async with open_sqlite(tmp_path) as store:
        for _ in range(3):
            await put(store, *(event(n, message=f"m{n}") for n in range(3)))
            connection = store.commits._ledger._connection
            connection.execute("DELETE FROM numberings")
            store.commits._ledger._numberings.undo()
            anew = await store.position(ALICE, now=NOW)
            assert (await read(store, anew)).resumable
            assert list((await read(store, anew)).entries) == []
            assert not await known(store, "m0", now=NOW)


async def instructions(store, *recordings, now):
    """How many instructions of SQLite's machine a batch takes, to the hundred."""
    ticks: list[int] = []
    connection = store.commits._ledger._connection
    connection.set_progress_handler(partial(ticks.append, 1), 100)
    await put(store, *recordings, now=now)
    connection.set_progress_handler(None, 0)
    return len(ticks)


async def test_an_event_costs_the_same_in_a_large_log_as_in_a_small_one(tmp_path):
    async with open_sqlite(tmp_path) as store:
        costs = []
        for size in (500, 10_000):
            fact = Fact(kind="order", id="o", state="Placed", occurred_at=NOW)
            await put(
                store,
                *(event(f"{size}.{n}", f"c{n % 1000}", fact=fact) for n in range(size)),
            )
            batch = [event(f"{size} hot {n}", f"c{n}", fact=fact) for n in range(100)]
            costs.append(await instructions(store, *batch, now=NOW))
        # ... and when all of it lapses at once.
        for late in (WINDOW + 1, 30 * DAY, 200 * DAY):
            batch = [event(f"late {late} {n}", f"c{n}", fact=fact) for n in range(100)]
            costs.append(await instructions(store, *batch, now=NOW + late))
        small, *large = costs
        assert max(large) < 3 * small + 30


async def test_a_replay_costs_what_it_reads(tmp_path):
    async with open_sqlite(tmp_path) as store:
        costs = []
        for round_ in range(2):
            await put(store, *(event(f"{round_}.{n}") for n in range(5000)))
            head = await store.position(ALICE, now=NOW)
            ticks: list[int] = []
            connection = store._reader._connection
            connection.set_progress_handler(partial(ticks.append, 1), 10)
            found = await read(store, start_of(head), limit=50)
            connection.set_progress_handler(None, 0)
            assert len(found.entries) == 50
            costs.append(len(ticks))
        assert costs[1] <= costs[0] + 2
