"""The promises of all shelves of views, held by Redis: on one server, and on a cluster of three."""

from __future__ import annotations

import pytest

from storefront.store.redis_scripts import Keys
from storefront.store.redis_shelf import LARGEST, open_redis_shelf, view_key
from tests.queries.test_shelves import *  # noqa: F403 - all of them, those to come too
from tests.queries.test_shelves import happens
from tests.store.kit import ALICE
from tests.store.redis.kit import open_store


@pytest.fixture(params=["redis_server", "redis_cluster"])
def redis(request):
    return request.getfixturevalue(request.param)


@pytest.fixture  # type: ignore[no-redef] # in place of the one in memory
async def store(redis):
    async with open_store(redis.url) as opened:
        yield opened


@pytest.fixture  # type: ignore[no-redef] # as above
async def shelf(redis, store):
    # Patient: what is tested here is not how fast a busy machine is.
    async with open_redis_shelf(redis.url, read_within=5.0, write_within=5.0) as opened:
        yield opened


async def test_a_look_is_one_exchange_and_so_is_keeping(redis, store, shelf):
    counts = shelf._routes._counts
    await shelf.keep(ALICE, "warm", "", b"entry", 60.0)
    await shelf.look(ALICE, "warm")
    before = counts.round_trips
    await shelf.look(ALICE, "warm")
    assert counts.round_trips == before + 1
    await shelf.keep(ALICE, "warm", "", b"entry", 60.0)
    assert counts.round_trips == before + 2


async def test_a_view_that_is_too_large_is_not_kept(redis, store, shelf):
    assert await shelf.keep(ALICE, "large", "", bytes(LARGEST + 1), 60.0) == "too large"
    assert await shelf.look(ALICE, "large") == ("", None)
    assert shelf.statistics().too_large == 1


async def test_of_a_view_that_is_too_large_it_is_told_whether_it_was_overtaken(redis, store, shelf):
    old = await happens(store)
    assert await shelf.keep(ALICE, "large", old, bytes(LARGEST + 1), 60.0) == "too large"
    await happens(store, name="2")
    assert await shelf.keep(ALICE, "large", old, bytes(LARGEST + 1), 60.0) == "overtaken"


async def test_a_key_of_a_wrong_type_is_nothing_on_the_shelf_and_no_trouble_of_redis(
    redis_server, nursery
):
    async with (
        open_store(redis_server.url) as store,
        open_redis_shelf(redis_server.url, read_within=5.0, write_within=5.0) as shelf,
    ):
        generation = await happens(store)
        redis_server.command("HSET", view_key(ALICE, "cart"), "a", "b")
        assert await shelf.look(ALICE, "cart") == (generation, None)
        # Keeping replaces whatever is there.
        assert await shelf.keep(ALICE, "cart", generation, b"entry", 60.0) == "kept"
        redis_server.command("SET", Keys.of(ALICE).numbering, "planted")
        assert await shelf.look(ALICE, "cart") == (None, None)
        assert await shelf.keep(ALICE, "cart", generation, b"entry", 60.0) == "unknown"
        assert shelf.statistics().odd == 3
        assert shelf.statistics().failures == 0
