"""Promises 1 and 4 of the store's contract: a message that comes again is known."""

from __future__ import annotations

from storefront.store.contract import HEAD_LIFE
from tests.store.kit import (
    ALICE,
    BOB,
    DAY,
    KEPT_IDS,
    NOW,
    WINDOW,
    event,
    events,
    known,
    payloads,
    put,
    read,
    start_of,
)


async def test_a_repetition_within_a_batch_is_dropped(store):
    first, again, other = await put(
        store, event("a", message="m"), event("b", message="m"), event("c", message="n")
    )
    assert again is None
    assert [first.position.seq, other.position.seq] == [1, 2]
    assert payloads(await read(store, start_of(first.position))) == ["a", "c"]


async def test_a_repetition_in_a_later_batch_is_dropped_and_takes_no_number(store):
    await put(store, event("a", message="m"))
    assert await put(store, event("b", message="m"), now=NOW + 1) == [None]
    (entry,) = await put(store, event("c", message="n"), now=NOW + 2)
    assert entry.position.seq == 2


async def test_the_same_message_id_may_come_for_two_customers(store):
    answers = await put(store, event("a", ALICE, message="m"), event("b", BOB, message="m"))
    assert [entry.position.seq for entry in answers] == [1, 1]


async def test_message_ids_are_told_apart_to_the_last_character(store):
    long = "x" * 100_000
    ids = [long, long + "y", "", " ", "\x00", "ä", "a\u0308", "\ud800"]
    answers = await put(store, *(event(n, message=name) for n, name in enumerate(ids)))
    assert [entry.position.seq for entry in answers] == list(range(1, len(ids) + 1))
    assert await put(store, *(event("again", message=name) for name in ids)) == [None] * len(ids)


async def test_within_the_window_a_message_is_known_however_many_came_since(store):
    await put(store, event("first", message="m"))
    await put(store, *events(range(10 * KEPT_IDS)), now=NOW + WINDOW)
    assert await known(store, "m", now=NOW + WINDOW)


async def test_beyond_the_window_a_message_is_known_while_among_the_newest(store):
    await put(store, event("first", message="m"))
    later = NOW + WINDOW + 1000
    await put(store, *events(range(KEPT_IDS - 1)), now=later)
    assert await known(store, "m", now=later + DAY)


async def test_beyond_both_a_message_is_forgotten(store):
    await put(store, event("first", message="m"))
    later = NOW + WINDOW + 1000
    await put(store, *events(range(KEPT_IDS)), now=later)
    await put(store, event("makes a store tidy up", BOB), now=later)
    assert not await known(store, "m", now=later)


async def test_a_repetition_does_not_make_the_others_older(store):
    await put(store, event("first", message="m"))
    later = NOW + WINDOW + 1000
    for _ in range(3 * KEPT_IDS):
        await put(store, event("same", message="n"), now=later)
    assert await known(store, "m", now=later)


async def test_a_numbering_that_starts_anew_knows_nothing_of_the_old_one(store):
    await put(store, event("a", message="m"))
    now = NOW + HEAD_LIFE + 2 * DAY
    await store.position(ALICE, now=now)
    assert not await known(store, "m", now=now)
    assert await known(store, "m", now=now)
