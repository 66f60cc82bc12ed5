"""Announcements: to every process, in order, and none missed without a word."""

from __future__ import annotations

from functools import partial

import pytest
import trio

from storefront.errors import StoreUnavailableError
from storefront.store import redis_follower
from storefront.store.contract import Recording
from tests.store.kit import ALICE, BOB, NOW, event, events, put, read, start_of
from tests.store.redis.kit import Middleman, eventually, open_store, open_stores, recovered
from tests.store.test_contract_followers import Ear

pytestmark = pytest.mark.system


async def test_what_one_process_records_the_others_hear_and_number_on(redis_url, nursery):
    async with open_stores(redis_url, redis_url) as (one, other):
        ears = [Ear(), Ear()]
        async with trio.open_nursery() as followers:
            for store, ear in zip((one, other), ears, strict=True):
                await ear.listen(store, followers)
            async with trio.open_nursery() as recorders:
                for number in range(30):
                    store = (one, other)[number % 2]
                    recorders.start_soon(put, store, event(f"a{number}"), event(f"b{number}", BOB))
            for ear in ears:
                await eventually(lambda ear=ear: len(ear.heard) == 60)
                for who in (ALICE, BOB):
                    mine = [entry for entry in ear.heard if entry.customer == who]
                    assert [entry.position.seq for entry in mine] == list(range(1, 31))
                    log = await read(one, start_of(mine[0].position), who)
                    assert list(log.entries) == mine
            followers.cancel_scope.cancel()


async def test_an_announcement_carries_the_whole_entry(redis_store, nursery):
    ear = Ear()
    await ear.listen(redis_store, nursery)
    payload = b'{"text":"\x00\xff\r\n"}'
    batch = [
        Recording(message_id="1", customer=ALICE, payload=payload, traceparent="00-ab-cd-01"),
        Recording(message_id="2", customer=ALICE, payload=b"", traceparent=""),
        Recording(message_id="3", customer=ALICE, payload=b" \n "),
    ]
    answers = await redis_store.record(batch, now=NOW + 0.123456)
    await eventually(lambda: len(ear.heard) == 3)
    assert ear.heard == list(answers)
    log = await read(redis_store, start_of(answers[0].position), now=NOW + 1)
    assert list(log.entries) == list(answers)


async def test_another_database_of_the_same_redis_is_another_shop(server, nursery):
    ear = Ear()
    stores = open_stores(server.url, server.url[:-1] + "1")
    async with stores as (ours, theirs), trio.open_nursery() as followers:
        await ear.listen(ours, followers)
        await put(theirs, event("theirs"))
        await put(ours, event("ours"))
        await eventually(lambda: ear.heard)
        assert [entry.payload for entry in ear.heard] == [b"ours"]
        assert (await theirs.position(ALICE, now=NOW)).seq == 1
        followers.cancel_scope.cancel()


async def test_after_every_cut_those_who_listen_are_told_and_the_log_has_all(
    server, redis_store, nursery
):
    """As a stream does: write what follows, read the log when told, and miss nothing."""
    start = await redis_store.position(ALICE, now=NOW)
    seen, told = [start], trio.Event()

    class Stream(Ear):
        def hear(self, entries):
            for entry in entries:
                if entry.position.seq == seen[-1].seq + 1:
                    seen.append(entry.position)

        def lost(self):
            super().lost()
            told.set()

    stream = Stream()
    await stream.listen(redis_store, nursery)
    for cut in range(1, 6):
        server.command("CLIENT", "KILL", "TYPE", "pubsub")
        await recovered(partial(put, redis_store, *events(range(cut * 10, cut * 10 + 5))))
        await eventually(lambda cut=cut: stream.losses >= cut)
        found = await read(redis_store, seen[-1])
        seen.extend(entry.position for entry in found.entries)
        await put(redis_store, *events(range(cut * 10 + 5, cut * 10 + 10)))
        await eventually(lambda cut=cut: seen[-1].seq == 10 * cut)
    assert [position.seq for position in seen] == list(range(51))
    assert redis_store.statistics().followings == 6


async def test_lost_is_called_when_the_subscription_stands_again_and_not_before(
    server, redis_store, nursery
):
    subscribers = []

    class Stream(Ear):
        def lost(self):
            super().lost()
            (count,) = server.command("PUBSUB", "NUMSUB", "storefront:0:events")[1:]
            subscribers.append(count)

    stream = Stream()
    await stream.listen(redis_store, nursery)
    await server.stop()
    await trio.sleep(0.3)
    assert stream.losses == 0
    await server.start()
    await eventually(lambda: stream.losses)
    assert subscribers == [1]


async def test_following_starts_only_when_redis_has_confirmed(server, redis_store, nursery):
    ear = Ear()
    await ear.listen(redis_store, nursery)
    assert server.command("PUBSUB", "NUMSUB", "storefront:0:events")[1] == 1


async def test_a_subscription_that_is_refused_is_not_taken_for_one(server, nursery):
    server.command("ACL", "SETUSER", "deaf", "on", ">deaf", "~*", "+@all", "resetchannels")
    opening = open_store(server.url.replace("//", "//deaf:deaf@"))
    async with opening as store, trio.open_nursery() as followers:
        ear = Ear()
        await ear.listen(store, followers)
        assert store.statistics().followings == 0
        server.command("ACL", "SETUSER", "deaf", "allchannels")
        await eventually(lambda: ear.losses == 1)
        assert store.statistics().followings == 1
        followers.cancel_scope.cancel()


async def test_a_subscription_that_died_without_a_word_is_made_anew(server, nursery, monkeypatch):
    monkeypatch.setattr(redis_follower, "CANARY_EVERY", 0.1)
    monkeypatch.setattr(redis_follower, "CANARY_WITHIN", 0.3)
    middleman = Middleman(server.port)
    url = await nursery.start(middleman.run)
    stores = open_stores(url, server.url)
    async with stores as (store, other), trio.open_nursery() as followers:
        ear = Ear()
        await ear.listen(store, followers)
        await trio.sleep(0.5)
        assert ear.losses == 0, "a canary that came back was not noticed"
        middleman.swallow()
        await put(other, event("unheard"))
        await eventually(lambda: ear.losses)
        assert ear.heard == []
        await put(other, event("heard"))
        await eventually(lambda: ear.heard)
        followers.cancel_scope.cancel()
    nursery.cancel_scope.cancel()


async def test_a_redis_that_answers_nobody_is_no_reason_to_give_a_subscription_up(
    server, redis_store, nursery, monkeypatch
):
    monkeypatch.setattr(redis_follower, "CANARY_EVERY", 0.1)
    monkeypatch.setattr(redis_follower, "CANARY_WITHIN", 0.2)
    ear = Ear()
    await ear.listen(redis_store, nursery)
    server.freeze()
    with trio.move_on_after(0.8):
        with pytest.raises(StoreUnavailableError):
            await put(redis_store, event(1))
        await trio.sleep_forever()
    server.thaw()
    await recovered(partial(put, redis_store, event(1)))
    await eventually(lambda: ear.heard)
    assert ear.losses == 0


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\x00",
        b"\x00\x05ab",
        b"\x00\x02ab",
        b"\x00\x02abe 1",
        b"\x00\x02abe x " + bytes(12),
        b"\x00\x02abe 01 " + bytes(12),
        b"\x00\x02ab- 1 " + bytes(12),
        b"\x00\x02abe 1 " + bytes(11),
        b"\x00\x02abe 1 " + bytes(8) + b"\x00\x00\x01\x00",
        b"\x00\x02\xff\xffe 1 " + bytes(12),
        b"\xff" * 1000,
    ],
)
async def test_an_announcement_that_is_none_of_ours_is_counted_and_nothing_else(
    server, redis_store, nursery, garbage
):
    ear = Ear()
    await ear.listen(redis_store, nursery)
    server.command("PUBLISH", "storefront:0:events", garbage)
    await put(redis_store, event(1))
    await eventually(lambda: ear.heard)
    assert [entry.payload for entry in ear.heard] == [b"1"]
    assert redis_store.statistics().unreadable == 1
    assert ear.losses == 0


async def test_an_error_of_one_who_hears_is_not_kept_quiet(redis_store):
    def hear(entries):
        raise ValueError("a bug")

    with pytest.RaisesGroup(ValueError, flatten_subgroups=True):
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                await nursery.start(partial(redis_store.follow, hear, lambda: None))
                await put(redis_store, event(1))


async def test_an_event_whose_announcement_is_refused_is_recorded_all_the_same(server):
    server.command("ACL", "SETUSER", "mute", "on", ">mute", "~*", "+@all", "resetchannels")
    async with open_store(server.url.replace("//", "//mute:mute@")) as store:
        (answer,) = await put(store, event(1))
        assert answer.position.seq == 1
        assert store.statistics().unannounced == 1


async def test_a_slow_listener_delays_no_operation_of_the_store(redis_store, nursery):
    """A burst of announcements is heard in pieces: questions are answered in between."""
    ear = Ear()
    await ear.listen(redis_store, nursery)
    async with trio.open_nursery() as recorders:
        for burst in range(10):
            recorders.start_soon(put, redis_store, *events(range(burst * 100, burst * 100 + 100)))
        for _ in range(20):
            await redis_store.position(BOB, now=NOW)
    await eventually(lambda: len(ear.heard) == 1000)
    assert [entry.position.seq for entry in ear.heard] == list(range(1, 1001))
