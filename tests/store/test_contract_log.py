"""Promises 1 to 3 of the store's contract: numbering, reading from a cursor, and what lapses."""

from __future__ import annotations

import pytest

from storefront.domain.positions import Position
from storefront.store.contract import HEAD_LIFE, Recording
from tests.store.kit import (
    ALICE,
    BOB,
    DAY,
    NOW,
    WINDOW,
    event,
    events,
    numbers,
    payloads,
    put,
    read,
    start_of,
)


async def test_numbers_run_from_1_without_holes_within_one_epoch(store):
    answers = [*await put(store, *events([1, 2])), *await put(store, *events([3]), now=NOW + 1)]
    assert [entry.position.seq for entry in answers] == [1, 2, 3]
    assert len({entry.position.epoch for entry in answers}) == 1


async def test_a_batch_is_answered_in_its_order_and_each_recording_once(store):
    answers = await put(store, event("a"), event("b", BOB), event("a"), event("c"))
    assert [entry and entry.payload for entry in answers] == [b"a", b"b", None, b"c"]
    assert [entry and entry.customer for entry in answers] == [ALICE, BOB, None, ALICE]


async def test_a_batch_of_nothing_is_answered_with_nothing(store):
    assert list(await put(store)) == []


async def test_an_entry_carries_to_the_byte_what_was_recorded(store):
    payload = b'{"text":"\x00\xff\xe2\x80\xa8"}'
    (entry,) = await put(
        store,
        Recording(message_id="m", customer=ALICE, payload=payload, traceparent="00-ab-cd-01"),
    )
    (found,) = (await read(store, start_of(entry.position))).entries
    assert found == entry
    assert (found.payload, found.traceparent, found.recorded_at) == (payload, "00-ab-cd-01", NOW)


async def test_positions_are_spelled_as_a_browser_may_hand_them_back(store):
    (entry,) = await put(store, event(1))
    for position in (entry.position, await store.position(BOB, now=NOW)):
        assert Position.parse(str(position)) == position


async def test_asking_for_the_position_starts_the_numbering(store):
    start = await store.position(ALICE, now=NOW)
    assert start.seq == 0
    assert await store.position(ALICE, now=NOW + 1) == start
    (entry,) = await put(store, event(1))
    assert entry.position == Position(start.epoch, 1)
    assert payloads(await read(store, start)) == ["1"]


async def test_the_position_is_that_of_the_last_event(store):
    *_, last = await put(store, *events(range(3)))
    assert await store.position(ALICE, now=NOW) == last.position


async def test_everything_after_the_cursor_is_read_in_order(store):
    entries = await put(store, *events(range(1, 6)))
    found = await read(store, entries[1].position)
    assert found.resumable
    assert list(found.entries) == list(entries[2:])
    assert found.head == entries[-1].position


async def test_a_cursor_at_the_head_is_resumed_and_nothing_follows(store):
    *_, last = await put(store, *events([1, 2]))
    found = await read(store, last.position)
    assert (found.resumable, list(found.entries), found.head) == (True, [], last.position)


async def test_an_event_can_be_read_at_300_seconds_and_not_just_after(store):
    (entry,) = await put(store, event(1))
    start = start_of(entry.position)
    await put(store, event("other", BOB), now=NOW + 300.0)  # makes a store tidy up
    assert payloads(await read(store, start, now=NOW + 300.0)) == ["1"]
    late = await read(store, start, now=NOW + 300.001)
    assert (late.resumable, list(late.entries), late.head) == (False, [], entry.position)


async def test_a_cursor_at_the_head_is_resumable_when_everything_before_it_is_gone(store):
    *_, last = await put(store, *events([1, 2]))
    later = NOW + WINDOW + 1000
    await put(store, event("other", BOB), now=later)  # makes a store tidy up
    found = await read(store, last.position, now=later)
    assert (found.resumable, list(found.entries), found.head) == (True, [], last.position)


async def test_a_cursor_whose_next_event_is_gone_is_not_resumable_though_later_ones_are_there(
    store,
):
    (first,) = await put(store, event(1))
    await put(store, event(2), now=NOW + 100)
    await put(store, event(3), now=NOW + 200)
    now = NOW + WINDOW + 1
    before_first = await read(store, start_of(first.position), now=now)
    assert (before_first.resumable, list(before_first.entries)) == (False, [])
    after_first = await read(store, first.position, now=now)
    assert (after_first.resumable, payloads(after_first)) == (True, ["2", "3"])


async def test_a_gone_event_stays_gone_when_the_next_ones_are_recorded(store):
    (first,) = await put(store, event(1))
    now = NOW + WINDOW + 1
    (second,) = await put(store, event(2), now=now)
    assert not (await read(store, start_of(first.position), now=now)).resumable
    assert payloads(await read(store, first.position, now=now)) == ["2"]
    assert second.position == Position(first.position.epoch, 2)


async def test_a_cursor_that_is_not_of_this_log_is_not_resumable(store):
    *_, mine = await put(store, *events([1, 2]))
    *_, foreign = await put(store, event("b1", BOB), event("b2", BOB))
    for cursor in (
        Position("unknown", 1),  # no epoch of anybody
        Position("unknown", 0),
        Position("unknown", 2),  # ... though the number is the head's
        foreign.position,
        Position(mine.position.epoch, 3),  # ahead of the log
        Position(mine.position.epoch, 10**17),
    ):
        found = await read(store, cursor)
        assert (found.resumable, list(found.entries)) == (False, []), cursor
        assert found.head == mine.position


async def test_reading_an_unknown_customer_starts_the_numbering_and_is_no_resumption(store):
    found = await read(store, Position("unknown", 0))
    assert (found.resumable, list(found.entries), found.head.seq) == (False, [], 0)
    assert await store.position(ALICE, now=NOW) == found.head
    await put(store, event(1))
    assert payloads(await read(store, found.head)) == ["1"]


async def test_two_customers_never_mix(store):
    batch = [event(f"{who}{n}", who) for n in range(20) for who in (ALICE, BOB)]
    await put(store, *batch)
    for who in (ALICE, BOB):
        start = start_of(await store.position(who, now=NOW))
        found = await read(store, start, who)
        assert payloads(found) == [f"{who}{n}" for n in range(20)]
        assert {entry.customer for entry in found.entries} == {who}


async def test_two_customers_have_two_epochs(store):
    alice, bob = [await store.position(who, now=NOW) for who in (ALICE, BOB)]
    assert alice.epoch != bob.epoch


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
async def test_slices_join_up_to_the_log_whatever_their_limit(store, limit):
    entries = await put(store, *events(range(10)))
    found = await read(store, start_of(entries[0].position), limit=limit)
    joined = list(found.entries)
    while joined[-1].position != found.head:
        assert len(found.entries) == limit
        found = await read(store, joined[-1].position, limit=limit)
        joined += found.entries
    assert joined == list(entries)


@pytest.mark.parametrize(("max_bytes", "count"), [(0, 1), (9, 1), (10, 1), (20, 2), (29, 2)])
async def test_a_slice_ends_before_its_bytes_are_exceeded_but_has_at_least_one(
    store, max_bytes, count
):
    entries = await put(store, *(event(f"{n:010}") for n in range(4)))
    found = await read(store, start_of(entries[0].position), max_bytes=max_bytes)
    assert numbers(found) == list(range(1, count + 1))
    assert (found.resumable, found.head) == (True, entries[-1].position)


async def test_a_slice_of_no_entries_at_most_has_one_all_the_same(store):
    (entry, *_) = await put(store, *events(range(3)))
    assert numbers(await read(store, start_of(entry.position), limit=0)) == [1]


async def test_a_clock_that_is_set_back_makes_no_hole_and_no_other_order(store):
    await put(store, event(1), now=NOW + 100)
    (second,) = await put(store, event(2), now=NOW)
    (third,) = await put(store, event(3), now=NOW + 101)
    start = start_of(second.position)
    assert numbers(await read(store, start, now=NOW + 101)) == [1, 2, 3]
    # The second is past the window by its own time, and is given because the first is.
    now = NOW + WINDOW + 100
    assert numbers(await read(store, start, now=now)) == [1, 2, 3]
    await put(store, event("other", BOB), now=now)
    assert numbers(await read(store, start, now=now)) == [1, 2, 3]
    assert numbers(await read(store, second.position, now=now)) == [third.position.seq]


async def test_a_numbering_lives_on_for_seven_days_after_the_last_event(store):
    *_, last = await put(store, *events([1, 2]))
    assert HEAD_LIFE == 7 * DAY
    (after,) = await put(store, event(3), now=NOW + HEAD_LIFE)
    assert after.position == Position(last.position.epoch, 3)


@pytest.mark.parametrize("question", ["position", "since", "heads"])
@pytest.mark.parametrize("after", [1.0, DAY / 2, DAY, DAY + 1, 6 * DAY, HEAD_LIFE])
async def test_a_numbering_lives_on_for_seven_days_after_the_last_question(store, question, after):
    (entry,) = await put(store, event(1))
    asked_at = NOW + after
    if question == "position":
        await store.position(ALICE, now=asked_at)
    elif question == "since":
        await read(store, entry.position, now=asked_at)
    else:
        await store.heads([ALICE, BOB], now=asked_at)
    now = asked_at + HEAD_LIFE
    await put(store, event("other", BOB), now=now)  # makes a store tidy up
    assert (await read(store, entry.position, now=now)).resumable
    assert await store.position(ALICE, now=now) == entry.position


async def test_after_that_the_numbering_starts_anew_under_another_epoch(store):
    *_, last = await put(store, *events([1, 2]))
    now = NOW + HEAD_LIFE + 2 * DAY
    assert await store.heads([ALICE], now=now) == {}
    anew = await store.position(ALICE, now=now)
    assert anew.seq == 0
    assert anew.epoch != last.position.epoch
    assert not (await read(store, last.position, now=now)).resumable


async def test_the_first_event_after_that_is_number_1_of_another_epoch(store):
    await put(store, *events([1, 2]))
    now = NOW + HEAD_LIFE + 2 * DAY
    old = await store.heads([ALICE], now=NOW)
    (entry,) = await put(store, event(3), now=now)
    assert entry.position.seq == 1
    assert entry.position.epoch != old[ALICE].epoch
    assert payloads(await read(store, start_of(entry.position), now=now)) == ["3"]


async def test_a_cursor_of_an_old_epoch_is_not_resumable_though_its_number_is_the_new_head(store):
    (old,) = await put(store, event(1))
    now = NOW + HEAD_LIFE + 2 * DAY
    (new,) = await put(store, event(2), now=now)
    assert new.position.seq == old.position.seq
    found = await read(store, old.position, now=now)
    assert (found.resumable, found.head) == (False, new.position)


async def test_heads_are_those_of_the_customers_who_have_a_numbering(store):
    *_, last = await put(store, *events([1, 2]))
    assert await store.heads([ALICE, BOB], now=NOW) == {ALICE: last.position}
    assert await store.heads([BOB], now=NOW) == {}
    assert await store.heads([], now=NOW) == {}


async def test_many_heads_come_in_one_answer(store):
    customers = [f"c{n:035}" for n in range(2000)]
    await put(store, *(event(n, customer) for n, customer in enumerate(customers)))
    heads = await store.heads(customers, now=NOW)
    assert [heads[customer].seq for customer in customers] == [1] * 2000
