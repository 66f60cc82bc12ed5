"""What Redis keeps of a customer, for how long, and what it decides by itself."""

from __future__ import annotations

import itertools

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storefront.domain.facts import Fact, standing
from storefront.errors import StoreUnavailableError
from storefront.store import redis_follower
from storefront.store.contract import FACT_LIFE, FACTS_KEPT, HEAD_LEEWAY, HEAD_LIFE, OWNER_LIFE
from storefront.store.redis_scripts import Keys
from tests.store.kit import (
    ALICE,
    BOB,
    DAY,
    EXAMPLES,
    KEPT_IDS,
    NOW,
    ORDER,
    WINDOW,
    event,
    events,
    put,
    read,
)
from tests.store.redis.kit import eventually, open_store
from tests.store.test_contract_followers import Ear
from tests.store.test_contract_memory_of_things import cart, shipment
from tests.system.servers.redis import RedisServer

pytestmark = pytest.mark.system

# Few, so that they meet: the same thing, the same moment, an empty detail.
moments = st.sampled_from([0.0, 1.5, 1_795_000_000.1, 1_795_000_000.2]) | st.floats(0, 4e9)
texts = st.sampled_from(["", "x", "\x00ü"])
facts = st.builds(
    Fact,
    kind=st.sampled_from(["cart", "order", "shipment"]),
    id=st.sampled_from(["", "a:b"]),
    state=texts,
    detail=st.none() | texts,
    order=st.none() | texts,
    occurred_at=moments,
)


def test_redis_decides_about_facts_as_the_domain_does(shared_server):
    """Whatever comes in whatever order, at once or one by one."""

    @settings(
        max_examples=EXAMPLES or 150,
        derandomize=not EXAMPLES,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(batches=st.lists(st.lists(facts, max_size=6), max_size=4))
    def run(batches):
        shared_server.command("FLUSHALL")
        trio.run(compare, batches)

    async def compare(batches):
        kept = {}
        async with open_store(shared_server.url) as store:
            for number, batch in enumerate(batches):
                await put(store, *(event(f"{number}.{n}", fact=f) for n, f in enumerate(batch)))
                for fact in batch:
                    old = kept.get((fact.kind, fact.id))
                    kept[fact.kind, fact.id] = standing(fact, old) or old
            found = await store.facts(ALICE, now=NOW)
        assert {(fact.kind, fact.id): fact for fact in found} == kept
        assert len(found) == len(kept)

    run()


async def test_every_key_ends_some_day_and_none_before_it_may(server, redis_store):
    await redis_store.position(BOB, now=NOW)
    await redis_store.renew_generation("only a generation", now=NOW)
    await redis_store.place([(ORDER, ALICE)], now=NOW)
    await put(redis_store, event(1, fact=cart("c1", at=1)))
    keys = Keys.of(ALICE)
    lives = {
        keys.numbering: HEAD_LIFE + HEAD_LEEWAY,
        keys.ids: HEAD_LIFE + HEAD_LEEWAY,
        keys.log: WINDOW,
        keys.facts: FACT_LIFE,
        Keys.of(BOB).numbering: HEAD_LIFE + HEAD_LEEWAY,
        Keys.of("only a generation").numbering: HEAD_LIFE + HEAD_LEEWAY,
        f"storefront:order:{ORDER}": OWNER_LIFE,
    }
    assert {key.decode() for key in server.command("KEYS", "*")} == set(lives)
    for key, life in lives.items():
        assert life < server.command("TTL", key) <= life + DAY, key


async def test_a_numbering_that_is_asked_for_day_by_day_is_renewed_once_a_day(server, redis_store):
    key = Keys.of(ALICE).numbering
    (entry,) = await put(redis_store, event(1))
    for day in range(1, 20):
        server.command("EXPIRE", key, 1000)
        now = NOW + day * (HEAD_LEEWAY + 1)
        assert (await redis_store.heads([ALICE], now=now))[ALICE] == entry.position
        assert server.command("TTL", key) > HEAD_LIFE
        server.command("EXPIRE", key, 1000)
        await redis_store.heads([ALICE], now=now + 1)
        assert server.command("TTL", key) <= 1000


async def test_a_question_writes_nothing(server, redis_store):
    """Each write waits for the disk: a thousand browsers that come back must not cost one."""
    *_, last = await put(redis_store, *events(range(5)))
    await redis_store.place([(ORDER, ALICE)], now=NOW)
    before = server.command("INFO", "persistence")["aof_current_size"]
    for _ in range(3):
        await read(redis_store, last.position, now=NOW + 5)
        await redis_store.position(ALICE, now=NOW + 5)
        await redis_store.heads([ALICE, BOB], now=NOW + 5)
        await redis_store.facts(ALICE, now=NOW)
        await redis_store.owner(ORDER, now=NOW)
        await redis_store.generation(ALICE)
        await put(redis_store, event(0), event(3))  # nor does what is known already
        await redis_store.place([(ORDER, BOB)], now=NOW)
    assert server.command("INFO", "persistence")["aof_current_size"] == before


async def test_a_long_log_goes_piece_by_piece(server, redis_store):
    keys = Keys.of(ALICE)
    await put(redis_store, *events(range(1000)))
    assert server.command("LLEN", keys.log) == 1000
    later = NOW + WINDOW + 1
    lengths = [1000]
    for number in range(60):
        await put(redis_store, event(f"late {number}"), now=later)
        lengths.append(server.command("LLEN", keys.log))
    steps = [before - after for before, after in itertools.pairwise(lengths)]
    assert max(steps) <= 2 * 1 + 16
    assert lengths[-1] == 60
    assert server.command("ZCARD", keys.ids) == 60  # more than KEPT_IDS, but not old


async def test_message_ids_leave_with_their_events(server, redis_store):
    keys = Keys.of(ALICE)
    for step in range(20):
        batch = [event(f"{step}.{n}") for n in range(10)]
        await put(redis_store, *batch, now=NOW + step * WINDOW)
        assert server.command("ZCARD", keys.ids) <= 20 + KEPT_IDS
    await put(redis_store, event("last"), now=NOW + 30 * WINDOW)
    assert server.command("ZCARD", keys.ids) == KEPT_IDS


async def test_facts_are_bounded_in_redis_too(server, redis_store):
    for start in range(0, 300, 50):
        batch = [shipment(f"s{n}", at=n) for n in range(start, start + 50)]
        await put(redis_store, *(event(f"{fact.id}", fact=fact) for fact in batch))
    assert server.command("HLEN", Keys.of(ALICE).facts) == FACTS_KEPT


@pytest.mark.parametrize("garbage", [b"", b"x" * 19, b"\x00" * 20, b"\xff" * 40])
async def test_what_somebody_else_wrote_into_our_keys_tears_no_record(server, redis_store, garbage):
    keys = Keys.of(ALICE)
    await put(redis_store, event(1, fact=cart("c1", at=1)))
    server.command("HSET", keys.facts, "cart:", garbage)
    server.command("LPUSH", keys.log, garbage[:11])
    (answer,) = await put(redis_store, event(2, fact=cart("c2", at=2)))
    assert answer.position.seq == 2
    found = await read(redis_store, await just_before(redis_store, 2))
    assert [entry.payload for entry in found.entries] == [b"2"]


async def just_before(store, seq):
    head = await store.position(ALICE, now=NOW)
    return type(head)(head.epoch, seq - 1)


async def test_what_cannot_be_read_is_a_refusal(server, redis_store):
    keys = Keys.of(ALICE)
    (entry,) = await put(redis_store, event(1, fact=cart("c1", at=1)))
    server.command("HSET", keys.facts, "cart:", "short")
    server.command("SET", f"storefront:order:{ORDER}", "yesterday somebody")
    server.command("HSET", keys.numbering, "touched", "yesterday")
    for question in (
        lambda: redis_store.facts(ALICE, now=NOW),
        lambda: redis_store.owner(ORDER, now=NOW),
        lambda: redis_store.heads([ALICE], now=NOW),
    ):
        with pytest.raises(StoreUnavailableError):
            await question()
    # An order whose owner is unreadable, and a numbering that is, are begun anew.
    await redis_store.place([(ORDER, BOB)], now=NOW)
    assert await redis_store.owner(ORDER, now=NOW) == BOB
    assert (await redis_store.position(ALICE, now=NOW)).epoch != entry.position.epoch


@pytest.mark.parametrize(
    ("setting", "value"),
    [("appendonly", "no"), ("appendfsync", "everysec"), ("maxmemory-policy", "allkeys-lru")],
)
async def test_a_redis_that_may_lose_what_it_took_is_not_called_durable(
    tmp_path, capsys, setting, value
):
    with RedisServer(tmp_path, **{setting.replace("-", "_"): value}) as server:
        await server.start()
        async with open_store(server.url) as store:
            assert store.durable is False
            assert f"{setting} is {value}" in capsys.readouterr().out
            server.command(
                "CONFIG",
                "SET",
                setting,
                {"appendonly": "yes", "appendfsync": "always"}.get(setting, "noeviction"),
            )
            await store.survey()
            assert store.durable is True


async def test_a_redis_that_will_not_say_is_not_called_durable(server, capsys):
    server.command("ACL", "SETUSER", "shy", "on", ">shy", "~*", "&*", "+@all", "-config")
    async with open_store(server.url.replace("//", "//shy:shy@")) as store:
        assert store.durable is False
        assert "appendonly is unknown" in capsys.readouterr().out
        assert None not in await put(store, event(1))


async def test_a_durable_redis_is_called_so(server):
    async with open_store(server.url) as store:
        assert store.durable is True


async def test_a_redis_that_has_become_durable_is_called_so(server, nursery, monkeypatch):
    monkeypatch.setattr(redis_follower, "CANARY_EVERY", 0.05)
    server.command("CONFIG", "SET", "appendfsync", "everysec")
    async with open_store(server.url) as store, trio.open_nursery() as followers:
        await Ear().listen(store, followers)
        assert store.durable is False
        server.command("CONFIG", "SET", "appendfsync", "always")
        await eventually(lambda: store.durable)
        followers.cancel_scope.cancel()
