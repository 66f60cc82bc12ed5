"""Two shops on one Redis: what one takes from the broker, the other's browsers hear."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager

import pytest
import trio

from storefront.back_office import Ports, run_back_office
from storefront.messaging.amqp import open_island
from storefront.messaging.memory import MemoryBroker
from storefront.service import open_store
from storefront.settings import StoreSettings
from storefront.store.redis import RedisStore
from storefront.store.sqlite import SqliteStore
from storefront.web.auth import mint
from tests.service.browsers import open_tab
from tests.service.conftest import ALICE, SETTINGS, World
from tests.store.redis.kit import eventually

pytestmark = pytest.mark.system


def settings_for(**store):
    return type(SETTINGS)(
        **{name: getattr(SETTINGS, name) for name in SETTINGS.__struct_fields__ if name != "store"},
        store=StoreSettings(**store),
    )


def token():
    """ALICE's, by the real clock."""
    return mint(SETTINGS.auth, customer=ALICE, now=time.time(), lifetime=3600.0)


@asynccontextmanager
async def two_shops(url):
    settings = settings_for(redis_url=url)
    async with (
        open_island(),
        open_store(settings) as one,
        open_store(settings) as other,
        trio.open_nursery() as nursery,
    ):
        worlds = []
        for store in (one, other):
            broker = MemoryBroker()
            nursery.start_soon(broker.run)
            ports = Ports(store=store, broker=broker)
            shop = await nursery.start(run_back_office, settings, ports)
            worlds.append(World(shop, settings, store, broker))
        yield worlds
        nursery.cancel_scope.cancel()


async def test_the_settings_choose_the_store(shared_server, tmp_path):
    async with open_island():
        async with open_store(settings_for(redis_url=shared_server.url)) as store:
            assert isinstance(store, RedisStore)
        async with open_store(settings_for(data_dir=str(tmp_path / "data"))) as store:
            assert isinstance(store, SqliteStore)


async def test_a_browser_hears_of_what_another_process_received(redis_url):
    async with (
        two_shops(redis_url) as (consuming, streaming),
        open_tab(consuming.app, token()) as here,
        open_tab(streaming.app, token()) as there,
    ):
        await eventually(lambda: here.blocks and there.blocks)
        for count in range(1, 6):
            await consuming.add_item(count=count)
        for tab in (here, there):
            await eventually(lambda tab=tab: len(tab.events) == 5)
            assert [each["itemCount"] for each in tab.events] == [1, 2, 3, 4, 5]
        assert here.ids == there.ids


async def test_a_browser_misses_nothing_while_redis_is_restarted(server):
    async with (
        two_shops(server.url) as (consuming, streaming),
        open_tab(streaming.app, token()) as tab,
    ):
        await eventually(lambda: tab.blocks)
        await consuming.add_item(count=1)
        await eventually(lambda: len(tab.events) == 1)
        server.kill()
        for count in range(2, 6):
            await consuming.add_item(count=count)
        await trio.sleep(0.3)
        assert len(tab.events) == 1
        await server.start()
        await eventually(lambda: len(tab.events) == 5, within=10)
        assert [each["itemCount"] for each in tab.events] == [1, 2, 3, 4, 5]
