"""A Redis that comes back with less than it had said: no number is ever given to a second event."""

from __future__ import annotations

import pytest
import trio

from storefront.domain.positions import Position
from storefront.store.redis_heads import Heads, behind
from tests.store.kit import ALICE, BOB, NOW, event, events, payloads, put, read, start_of
from tests.store.redis.kit import eventually, open_stores
from tests.store.redis.test_redis_faults import snapshot
from tests.store.test_contract_followers import Ear


def restore(server, kept):
    """Make Redis forget all that came after a snapshot."""
    server.command("FLUSHALL")
    with server.client() as client:
        for key, value in kept.items():
            client.restore(key, 0, value)


async def forgetful(server, store):
    """A Redis that had said 5, and now knows of 3; what was last said."""
    await put(store, *events([1, 2, 3]))
    kept = snapshot(server)
    *_, last = await put(store, *events([4, 5]))
    restore(server, kept)
    return last.position


@pytest.mark.system
async def test_the_next_event_after_a_loss_is_number_1_of_another_epoch(server, redis_store):
    last = await forgetful(server, redis_store)
    (answer,) = await put(redis_store, event("new"))
    assert answer.position.seq == 1
    assert answer.position.epoch != last.epoch
    found = await read(redis_store, last)
    assert (found.resumable, list(found.entries), found.head) == (False, [], answer.position)
    assert payloads(await read(redis_store, start_of(answer.position))) == ["new"]


@pytest.mark.system
@pytest.mark.parametrize("question", ["since", "position", "heads"])
async def test_a_loss_is_noticed_by_whoever_asks_first(server, redis_store, question):
    last = await forgetful(server, redis_store)
    if question == "since":
        found = await read(redis_store, last)
        assert not found.resumable
        head = found.head
    elif question == "position":
        head = await redis_store.position(ALICE, now=NOW)
    else:
        head = (await redis_store.heads([ALICE, BOB], now=NOW))[ALICE]
    assert head.seq == 0
    assert head.epoch != last.epoch
    assert await redis_store.position(ALICE, now=NOW) == head
    assert redis_store.statistics().renumbered == 1


@pytest.mark.system
async def test_one_who_only_heard_of_an_event_knows_that_it_is_lost(server):
    async with open_stores(server.url, server.url) as (recorder, listener):
        kept = {}
        ear = Ear()
        async with trio.open_nursery() as nursery:
            await ear.listen(listener, nursery)
            await put(recorder, *events([1, 2, 3]))
            kept = snapshot(server)
            await put(recorder, *events([4, 5]))
            await eventually(lambda: len(ear.heard) == 5)
            nursery.cancel_scope.cancel()
        last = ear.heard[-1].position
        restore(server, kept)
        found = await read(listener, last)
        assert not found.resumable
        assert found.head.epoch != last.epoch


@pytest.mark.system
async def test_a_cursor_nobody_was_given_makes_nobody_start_anew(server, redis_store):
    (answer,) = await put(redis_store, event(1))
    ahead = Position(answer.position.epoch, 100)
    assert not (await read(redis_store, ahead)).resumable
    assert await redis_store.position(ALICE, now=NOW) == answer.position


@pytest.mark.system
async def test_a_redis_that_forgot_everything_starts_everything_anew(server, redis_store):
    (answer,) = await put(redis_store, event(1))
    server.command("FLUSHALL")
    anew = await redis_store.position(ALICE, now=NOW)
    assert anew.seq == 0
    assert anew.epoch != answer.position.epoch


def test_the_furthest_position_is_remembered_and_a_new_epoch_replaces_it():
    heads = Heads()
    for position in (Position("e", 2), Position("e", 5), Position("e", 4)):
        heads.note(ALICE, position)
    assert heads.of(ALICE) == Position("e", 5)
    heads.note(ALICE, Position("f", 0))
    assert heads.of(ALICE) == Position("f", 0)


def test_only_a_lower_number_of_the_same_epoch_is_behind():
    known = Position("e", 5)
    assert behind(Position("e", 4), known)
    assert not behind(Position("e", 5), known)
    assert not behind(Position("f", 4), known)
    assert not behind(Position("e", 0), Heads().of(BOB))


def test_at_the_bound_the_one_longest_unheard_of_is_forgotten():
    heads = Heads(kept=2)
    for who in ("a", "b", "a", "c"):
        heads.note(who, Position("e", 1))
    assert [heads.of(who).seq for who in "abc"] == [1, 0, 1]
