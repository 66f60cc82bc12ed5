"""What Redis may do to us: nothing is acknowledged that is not there, nobody waits, and it passes."""

from __future__ import annotations

from functools import partial
from itertools import repeat

import pytest
import trio
from redis.exceptions import BusyLoadingError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from storefront.domain.positions import Position
from storefront.errors import StoreUnavailableError
from storefront.store.redis import ANSWER_WITHIN
from storefront.store.redis_refusals import kind_of
from storefront.store.redis_refusals import refused as refusal_of
from storefront.store.redis_scripts import Keys, order_key
from storefront.telemetry.metrics import Metrics
from tests.store.kit import ALICE, BOB, NOW, ORDER, event, events, payloads, put, read, start_of
from tests.store.redis.kit import eventually, open_store, recovered, speak
from tests.store.test_contract_memory_of_things import cart
from tests.system.servers.redis import RedisServer

pytestmark = pytest.mark.system

NOWHERE = Position("unknown", 0)
# Seconds that a refusal may take beyond ANSWER_WITHIN on a busy machine.
LENIENCE = 0.5


async def log_of(store, customer=ALICE):
    start = start_of(await store.position(customer, now=NOW))
    return payloads(await read(store, start, customer))


def snapshot(server):
    """Every key and what it holds."""
    with server.client() as client:
        return {key: client.dump(key) for key in client.scan_iter()}


async def refused(question):
    """Ask, and see it refused in time."""
    with trio.fail_after(ANSWER_WITHIN + LENIENCE), pytest.raises(StoreUnavailableError) as raised:
        await question()
    return str(raised.value)


async def test_what_was_acknowledged_before_a_sigkill_is_in_the_log(server, redis_store):
    acknowledged = []

    async def record():
        for number in range(10**6):
            try:
                await put(redis_store, *events([2 * number, 2 * number + 1]))
            except StoreUnavailableError:
                return
            acknowledged.extend([f"{2 * number}", f"{2 * number + 1}"])

    for kill in range(5):
        acknowledged.clear()
        await put(redis_store, event("before"))
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(record)
                await trio.sleep(0.05 + 0.03 * kill)
                server.kill()
        await server.start()
        found = await recovered(partial(log_of, redis_store))
        assert found[: len(acknowledged) + 1] == ["before", *acknowledged]
        # What was under way may be there, and is known then.
        assert len(found) <= len(acknowledged) + 1 + 2
        assert len(acknowledged) > 2
        server.command("FLUSHALL")


async def test_an_idle_connection_that_died_costs_nobody_an_error(server, redis_store):
    await put(redis_store, event(1))
    server.command("CLIENT", "KILL", "TYPE", "normal")
    assert await log_of(redis_store) == ["1"]
    await server.stop()
    await server.start()
    assert await log_of(redis_store) == ["1"]


async def test_a_connection_that_dies_of_a_question_is_replaced_and_the_question_repeated(nursery):
    no_cluster, nobody = b"-ERR no cluster\r\n", b"$-1\r\n"
    url = await nursery.start(
        speak, iter([no_cluster, 3 * nobody, nobody, None, nobody, None, None])
    )
    async with open_store(url) as store:
        assert await store.owner(ORDER, now=NOW) is None
        assert await store.owner(ORDER, now=NOW) is None
        assert store.statistics().retries == 1
        # Once, and not on a connection that was made for it.
        await refused(lambda: store.owner(ORDER, now=NOW))
        assert store.statistics().retries == 2
    nursery.cancel_scope.cancel()


async def test_a_connection_that_breaks_in_the_middle_leaves_nothing_half_said(server, redis_store):
    """All connections are cut again and again: each event is recorded once all the same."""
    done = []

    async def record(number):
        await recovered(partial(put, redis_store, event(number)))
        done.append(number)

    kill = partial(server.command, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    async with trio.open_nursery() as recorders:
        for number in range(150):
            recorders.start_soon(record, number)
            if number % 5 == 0:
                await trio.to_thread.run_sync(kill)
    found = await log_of(redis_store)
    assert redis_store.statistics().connections > 15
    assert sorted(map(int, found)) == sorted(done) == list(range(150))


@pytest.mark.parametrize("which", ["numbering", "log", "ids", "facts"])
async def test_a_key_of_a_wrong_type_stops_its_customer_only_and_before_anything_is_written(
    server, redis_store, which
):
    await put(redis_store, event(1, fact=cart("c1", at=1)))
    key = getattr(Keys.of(ALICE), which)
    server.command("RENAME", key, "aside")
    server.command("SET", key, "planted")
    before = snapshot(server)
    batch = [event(2, fact=cart("c2", at=2)), event("b", BOB), event(3)]
    one, other, two = await put(redis_store, *batch)
    assert one == two
    assert (one.kind, "WRONGTYPE" in one.detail) == ("wrong-type", True)
    assert other.payload == b"b"
    after = snapshot(server)
    assert {name: after[name] for name in before} == before
    assert await log_of(redis_store, BOB) == ["b"]
    assert redis_store.statistics().refusals == {"wrong-type": 1}
    assert redis_store.statistics().failures == 0
    server.command("DEL", key)
    server.command("RENAME", "aside", key)
    first, other, second = await put(redis_store, *batch)
    assert (first.position.seq, other, second.position.seq) == (2, None, 3)


async def test_a_question_about_a_key_of_a_wrong_type_fails_and_is_counted(server, redis_store):
    (answer,) = await put(redis_store, event(1))
    key = Keys.of(ALICE).log
    server.command("DEL", key)
    server.command("SET", key, "planted")
    assert "WRONGTYPE" in await refused(lambda: read(redis_store, start_of(answer.position)))
    assert redis_store.statistics().refusals == {"wrong-type": 1}


async def test_a_numbering_of_a_wrong_type_keeps_nobody_else_from_their_head(server, redis_store):
    _, others = await put(redis_store, event(1), event(2, BOB))
    server.command("SET", Keys.of(ALICE).numbering, "planted")
    heads = await redis_store.heads([ALICE, BOB], now=NOW)
    assert (heads[ALICE].kind, heads[BOB]) == ("wrong-type", others.position)
    assert redis_store.statistics().refusals == {"wrong-type": 1}


async def test_an_order_whose_key_is_of_a_wrong_type_keeps_no_other_from_being_placed(
    server, redis_store
):
    server.command("RPUSH", order_key(ORDER), "planted")
    first, second = await redis_store.place([(ORDER, ALICE), ("another", BOB)], now=NOW)
    assert (first.kind, second) == ("wrong-type", None)
    # No error, which would hold all that waits for the store's word.
    assert (await redis_store.owner(ORDER, now=NOW)).kind == "wrong-type"
    assert await redis_store.owner("another", now=NOW) == BOB
    server.command("DEL", order_key(ORDER))
    assert await redis_store.place([(ORDER, ALICE)], now=NOW) == [None]
    assert await redis_store.owner(ORDER, now=NOW) == ALICE


async def test_many_orders_are_placed_in_one_round_trip(redis_store):
    await redis_store.place([(ORDER, ALICE)], now=NOW)
    before = redis_store.statistics().round_trips
    owners = [(f"order {number}", ALICE) for number in range(200)]
    assert await redis_store.place(owners, now=NOW) == [None] * 200
    assert redis_store.statistics().round_trips == before + 1
    assert await redis_store.owner("order 199", now=NOW) == ALICE


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("OOM command not allowed", "out-of-memory"),
        ("MISCONF Redis is configured to save RDB snapshots", "disk"),
        ("NOREPLICAS Not enough good replicas", "no-replicas"),
        ("ERR user_script:1: attempt to index a nil value script: 4", "script-error"),
        ("ERR Error running script (call to f_1): @user_script:1: -OOM command", "out-of-memory"),
        ("ERR Error running script (call to f_1): @user_script:1: WRONGTYPE Op", "wrong-type"),
        ("ERR something new", "other"),
    ],
)
def test_what_redis_says_is_known_by_a_word_and_by_whose_fault_it_is(said, kind):
    error = ResponseError(said)
    assert kind_of(error) == kind
    assert (refusal_of(error) is not None) is (kind in {"wrong-type", "script-error"})


def test_what_is_no_answer_of_a_redis_is_called_unreachable():
    assert kind_of(ConnectionRefusedError()) == "unreachable"
    assert kind_of(RedisConnectionError("closed")) == "unreachable"
    assert kind_of(BusyLoadingError("loading", status_code="LOADING")) == "loading"


async def test_a_full_redis_records_nothing_rather_than_a_part(server, redis_store):
    await put(redis_store, event(1, fact=cart("c1", at=1)))
    before = snapshot(server)
    server.command("CONFIG", "SET", "maxmemory", "1")
    batch = [event(2, fact=cart("c2", at=2)), event("b", BOB)]
    assert "maxmemory" in await refused(lambda: put(redis_store, *batch))
    assert "maxmemory" in await refused(lambda: redis_store.position(BOB, now=NOW))
    assert redis_store.statistics().refusals == {"out-of-memory": 2}
    assert snapshot(server) == before
    assert await log_of(redis_store) == ["1"]
    server.command("CONFIG", "SET", "maxmemory", "0")
    assert None not in await put(redis_store, *batch)


async def test_a_redis_that_was_made_a_replica_takes_nothing_and_is_left(server, redis_store):
    await put(redis_store, event(1))
    server.command("REPLICAOF", "127.0.0.1", "1")
    assert "read only" in await refused(lambda: put(redis_store, event(2)))
    assert redis_store.statistics().refusals == {"read-only": 1}
    assert await log_of(redis_store) == ["1"]
    server.command("REPLICAOF", "NO", "ONE")
    (answer,) = await put(redis_store, event(2))
    assert answer.position.seq == 2


async def test_after_a_refusal_for_being_a_replica_the_name_in_the_url_is_asked_anew(
    server, redis_store
):
    await put(redis_store, event(1))
    before = redis_store.statistics().connections
    server.command("REPLICAOF", "127.0.0.1", "1")
    await refused(lambda: put(redis_store, event(2)))
    await refused(lambda: put(redis_store, event(2)))
    assert redis_store.statistics().connections == before + 1
    server.command("REPLICAOF", "NO", "ONE")


async def test_a_slow_redis_is_not_waited_for_and_what_it_did_late_is_known(tmp_path):
    with RedisServer(tmp_path, enable_debug_command="local") as server:
        await server.start()
        async with open_store(server.url) as store, trio.open_nursery() as nursery:
            await put(store, event(1))
            nursery.start_soon(trio.to_thread.run_sync, server.command, "DEBUG", "SLEEP", "1.5")
            await trio.sleep(0.1)
            assert "within" in await refused(lambda: put(store, event(2), event(3)))
            await refused(lambda: read(store, NOWHERE))
            await recovered(lambda: put(store, event(2), event(3)))
            assert await log_of(store) == ["1", "2", "3"]
            assert store.statistics().timeouts >= 2


async def test_a_redis_that_says_nothing_at_all_is_not_waited_for(server, redis_store):
    await put(redis_store, event(1))
    server.freeze()
    try:
        async with trio.open_nursery() as nursery:
            for _ in range(
                40
            ):  # more than may ask at once: those who wait their turn are refused too
                nursery.start_soon(refused, lambda: put(redis_store, event(2)))
    finally:
        server.thaw()
    (answer,) = await put(redis_store, event(3))
    assert sorted(await log_of(redis_store)) in (["1", "3"], ["1", "2", "3"])
    assert answer is not None


async def test_a_redis_that_is_not_there_yet_does_not_keep_the_shop_closed(tmp_path):
    losses = []
    with RedisServer(tmp_path) as server:
        async with open_store(server.url) as store, trio.open_nursery() as nursery:
            assert store.durable is False
            with trio.fail_after(1):
                follow = partial(store.follow, lambda _: None, partial(losses.append, 1))
                await nursery.start(follow)
            for question in questions(store):
                await refused(question)
            assert losses == []
            await server.start()
            assert await recovered(lambda: put(store, event(1))) != [None]
            await eventually(lambda: losses == [1] and store.durable)
            nursery.cancel_scope.cancel()


def questions(store):
    return [
        lambda: put(store, event(1), event(2)),
        lambda: read(store, NOWHERE),
        lambda: store.position(ALICE, now=NOW),
        lambda: store.heads([ALICE], now=NOW),
        lambda: store.facts(ALICE, now=NOW),
        lambda: store.owner(ORDER, now=NOW),
        lambda: store.place([(ORDER, ALICE)], now=NOW),
        lambda: store.generation(ALICE),
        lambda: store.renew_generation(ALICE, now=NOW),
    ]


@pytest.mark.parametrize(
    "reply",
    [
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"-CLUSTERDOWN The cluster is down\r\n",
        b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
        b"-MASTERDOWN Link with MASTER is down\r\n",
        b"-MISCONF Errors writing to the AOF file\r\n",
        b"-NOREPLICAS Not enough good replicas to write.\r\n",
        b"-BUSY Redis is busy running a script.\r\n",
        b"-NOAUTH Authentication required.\r\n",
        b"-NOPERM this user has no permissions\r\n",
        b"-ERR max number of clients reached\r\n",
        b"-MOVED 1 127.0.0.1:1\r\n",
        b"-MOVED nonsense\r\n",
        b"-ASK 1 127.0.0.1:1\r\n",
        b"-NOSCRIPT No matching script. Please use EVAL.\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b":seventeen\r\n",
        b"*1\r\n$3\r\nabc",  # and never the rest
        None,
    ],
    ids=lambda reply: (reply or b"hang up").split(b" ")[0].split(b"\r")[0].decode(),
)
async def test_whatever_a_server_says_is_an_answer_or_a_refusal(nursery, reply):
    url = await nursery.start(speak, repeat(reply))
    async with open_store(url) as store:
        for question in questions(store):
            await refused(question)
        assert store.durable is False
    nursery.cancel_scope.cancel()


async def test_what_is_counted_can_be_told_to_prometheus(server, redis_store):
    await put(redis_store, event(1))
    server.command("REPLICAOF", "127.0.0.1", "1")
    await refused(lambda: put(redis_store, event(2)))
    metrics = Metrics()
    metrics.read_from(redis_store.readings)
    told = metrics.exposition().decode()
    assert 'storefront_store_refusals_total{kind="read-only"} 1.0' in told
    assert "storefront_redis_failures_total 1.0" in told
    assert "storefront_redis_round_trips_total" in told
