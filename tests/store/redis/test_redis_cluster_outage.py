"""One server of a Redis Cluster in trouble: its customers are held, and nobody else is."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial

import pytest
import trio
from redis.crc import key_slot

from storefront.domain.ids import OrderId
from storefront.errors import StoreUnavailableError
from storefront.store import redis as redis_module
from storefront.store import redis_follower, redis_rest
from storefront.store.contract import Refused
from storefront.store.redis import ANSWER_WITHIN
from storefront.store.redis_rest import LONGEST_PAUSE, PAUSE, Rest, Standing
from storefront.store.redis_scripts import Keys, order_key, ticket_key
from storefront.store.redis_shelf import open_redis_shelf
from storefront.store.tickets import digest_of
from tests.store.kit import (
    ALICE,
    BOB,
    NOW,
    event,
    eventually,
    payloads,
    put,
    read,
    start_of,
)
from tests.store.redis.kit import open_store, recovered, refused_in
from tests.store.test_contract_followers import Ear

SHARE = 16384 // 3 + 1
# Every third customer to each server, or nearly.
CUSTOMERS = [f"c{n:035}" for n in range(60)]


def server_of(key):
    """The number of the server that has a key."""
    return key_slot(key.encode()) // SHARE


def shared_out():
    """The customers by the number of the server that has their keys."""
    found = {0: [], 1: [], 2: []}
    for who in CUSTOMERS:
        found[server_of(Keys.of(who).log)].append(who)
    return found


def batch_of(round_):
    """One event of each customer."""
    return [event(round_, who, message=f"{round_} {who}") for who in CUSTOMERS]


def is_refusal(answer):
    return isinstance(answer, Refused)


@contextmanager
def frozen(*nodes):
    for node in nodes:
        node.freeze()
    try:
        yield
    finally:
        for node in nodes:
            node.thaw()


@pytest.mark.system
async def test_one_that_hangs_holds_its_own_customers_and_they_arrive_when_it_is_back(
    cluster, monkeypatch
):
    monkeypatch.setattr(redis_rest, "PAUSE", 0.2)
    monkeypatch.setattr(redis_follower, "CANARY_WITHIN", 0.3)
    theirs, others = shared_out()[0], shared_out()[1]  # of the very server in the URL
    waiting = []
    async with open_store(cluster.url) as store, trio.open_nursery() as followers:
        ear = Ear()
        await ear.listen(store, followers)
        await put(store, *batch_of("0"))
        with frozen(cluster.nodes[0]):
            for round_ in "123":
                batch = batch_of(round_)
                with trio.fail_after(1):
                    answers = await put(store, *batch)
                refused = {
                    each for each, answer in zip(batch, answers, strict=True) if is_refusal(answer)
                }
                assert {each.customer for each in refused} == set(theirs)
                waiting.append([each for each in batch if each in refused])
            heads = await store.heads(CUSTOMERS, now=NOW)
            assert {who for who, head in heads.items() if is_refusal(head)} == set(theirs)
            assert {head.seq for head in heads.values() if not is_refusal(head)} == {4}
            # It was listened to, too; the next canary was due in five seconds.
            await eventually(lambda: ear.losses == 1, within=3)
            before = len(ear.heard)
            (heard,) = await put(store, event("4", others[0], message="4"))
            await eventually(lambda: ear.heard[before:] == [heard])
        for batch in waiting:
            await recovered(partial(put, store, *batch))
        for who in CUSTOMERS:
            start = start_of(await store.position(who, now=NOW))
            expected = "01234" if who == others[0] else "0123"
            assert payloads(await read(store, start, who)) == list(expected)
        assert store.statistics().refusals.keys() == {"timeout"}
        assert store.statistics().failures == 0
        followers.cancel_scope.cancel()


@pytest.mark.system
async def test_one_that_hangs_is_waited_for_twice_and_then_left_alone_for_a_while(cluster):
    theirs = shared_out()[1]
    async with open_store(cluster.url) as store:
        await put(store, *(event(0, who) for who in CUSTOMERS))
        with frozen(cluster.nodes[1]):
            for _ in range(2):
                answers = await put(store, *(event(1, who) for who in CUSTOMERS))
                assert len(refused_in(answers)) == len(theirs)
            began = trio.current_time()
            for number in range(2, 12):
                await put(store, *(event(number, who) for who in CUSTOMERS))
            # Ten, of which one or two may have been the next try.
            assert trio.current_time() - began < 5 * ANSWER_WITHIN
            with pytest.raises(StoreUnavailableError):
                await store.position(theirs[0], now=NOW)


@pytest.mark.system
async def test_one_that_says_no_holds_its_own_customers_only(cluster):
    theirs = shared_out()[1]
    async with open_store(cluster.url) as store:
        await put(store, *(event(0, who) for who in CUSTOMERS))
        cluster.nodes[1].command("CONFIG", "SET", "maxmemory", "1")
        try:
            answers = await put(store, *(event(1, who) for who in CUSTOMERS))
        finally:
            cluster.nodes[1].command("CONFIG", "SET", "maxmemory", "0")
        assert [answer.kind for answer in refused_in(answers)] == ["out-of-memory"] * len(theirs)
        assert store.statistics().failures == 0
        assert refused_in(await put(store, *(event(1, who) for who in theirs))) == []


@pytest.mark.system
async def test_when_none_is_there_it_is_an_outage_and_nobody_is_refused(cluster, monkeypatch):
    monkeypatch.setattr(redis_rest, "PAUSE", 0.2)
    async with open_store(cluster.url) as store:
        await put(store, *(event(0, who) for who in CUSTOMERS))
        with frozen(*cluster.nodes):
            for _ in range(2):
                with pytest.raises(StoreUnavailableError):
                    await put(store, *(event(1, who) for who in CUSTOMERS))
            with pytest.raises(StoreUnavailableError):
                await store.heads(CUSTOMERS, now=NOW)
        await recovered(lambda: put(store, *(event(1, who) for who in CUSTOMERS)), within=15)


@pytest.mark.system
async def test_what_is_kept_on_one_that_is_gone_is_neither_found_nor_missing(cluster):
    orders = [OrderId(f"order {number}") for number in range(30)]
    there = {order for order in orders if server_of(order_key(order)) == 2}
    async with open_store(cluster.url) as store:
        await store.place([(order, ALICE) for order in orders], now=NOW)
        tickets = [await store.issue_ticket(b"x", until=NOW + 30, now=NOW) for _ in range(12)]
        lost = next(each for each in tickets if server_of(ticket_key(digest_of(each))) == 2)
        with frozen(cluster.nodes[2]):
            for order in orders:
                found = await store.owner(order, now=NOW)
                assert isinstance(found, Refused) if order in there else found == ALICE
            placed = await store.place([(order, ALICE) for order in orders], now=NOW)
            assert {order for order, each in zip(orders, placed, strict=True) if each} == there
            with pytest.raises(StoreUnavailableError):
                await store.spend_ticket(lost, now=NOW)


@pytest.mark.system
async def test_views_of_others_are_found_while_one_is_gone(cluster):
    theirs = shared_out()[2]
    async with (
        open_store(cluster.url) as store,
        open_redis_shelf(cluster.url, read_within=0.25, write_within=0.25) as shelf,
    ):
        generations = {}
        for who in CUSTOMERS:
            await put(store, event(0, who))
            generations[who] = await store.generation(who)
            assert await shelf.keep(who, "view", generations[who], b"kept", 30) == "kept"
        found = {}

        async def look(who):
            found[who] = await shelf.look(who, "view")

        async def look_for_all():
            async with trio.open_nursery() as nursery:
                for who in CUSTOMERS:
                    nursery.start_soon(look, who)

        with frozen(cluster.nodes[2]):
            for times in (1, 2):  # which finds out
                await look_for_all()
                await eventually(lambda times=times: shelf.statistics().failures >= times)
            with trio.fail_after(1):
                await look_for_all()
        for who in CUSTOMERS:
            answered = (None, None) if who in theirs else (generations[who], b"kept")
            assert found[who] == answered
        assert shelf.statistics().odd == shelf.statistics().spared == 0


@pytest.mark.system
async def test_one_who_was_refused_is_not_taken_with_a_later_part_of_the_batch(
    shared_server, monkeypatch
):
    monkeypatch.setattr(redis_module, "BATCH", 2)
    async with open_store(shared_server.url) as store:
        exchange, asked = store._exchange, []

        async def first_refused(commands):
            asked.append(len(commands))
            if len(asked) == 1:
                return [Refused("unreachable", "gone")] * len(commands)
            return await exchange(commands)

        monkeypatch.setattr(store, "_exchange", first_refused)
        batch = [event(1), event(2), event(3), event("b", BOB), event(4), event(5)]
        *hers, his, four, five = await put(store, *batch)
        assert refused_in([*hers, four, five]) == [*hers, four, five]
        assert his.payload == b"b"
        assert asked == [1, 1]


@pytest.mark.system
async def test_of_many_who_need_the_map_one_asks_for_it(cluster):
    def lessons():
        return sum(
            stats["calls"]
            for node in cluster.nodes
            for name, stats in node.client().info("commandstats").items()
            if name == "cmdstat_cluster|slots"
        )

    async with open_store(cluster.url) as store:
        await put(store, *(event(0, who) for who in CUSTOMERS))
        before = lessons()
        store._routes._map.doubt()
        async with trio.open_nursery() as nursery:
            for who in CUSTOMERS:
                nursery.start_soon(put, store, event(1, who))
        assert lessons() == before + 1


def test_a_pause_grows_with_each_try_in_vain_up_to_its_bound():
    rest, now = Rest(longest=LONGEST_PAUSE), 0.0
    for _ in range(20):
        rest.trouble(now)  # who asked before it was known says nothing new
    for pause in (PAUSE, 2 * PAUSE, LONGEST_PAUSE, LONGEST_PAUSE):
        assert not rest.may_ask(now + pause - 0.01)
        now += pause
        assert rest.may_ask(now)
        rest.trouble(now)
    assert rest.may_ask(now + LONGEST_PAUSE)
    rest.over()
    rest.trouble(now)
    assert rest.may_ask(now + PAUSE)


def test_one_that_misses_an_answer_is_left_alone_the_second_time_in_a_row():
    standing = Standing()
    for _ in range(3):
        standing.gone(TimeoutError(), 0.0)
        assert standing.ails(0.0)
        assert standing.may_ask(0.0)
        standing.answered()
    standing.gone(TimeoutError(), 0.0)
    standing.gone(TimeoutError(), 100.0)
    assert not standing.may_ask(100.0)
    assert standing.may_ask(100.0 + PAUSE)
    standing.gone(TimeoutError(), 200.0)
    assert standing.may_ask(200.0 + 2 * PAUSE), "and not claimed for ever by the one who tried"


def test_one_that_says_no_is_asked_again_and_is_no_reason_for_ever():
    standing = Standing()
    standing.said_no(ValueError(), 0.0)
    assert standing.may_ask(0.0)
    assert standing.ails(0.0)
    assert not standing.ails(60.0)
    standing.said_no(ValueError(), 60.0)
    standing.answered()
    assert not standing.ails(60.0)
