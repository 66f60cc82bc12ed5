"""Real Redis servers for the tests of the Redis store, and the store on them.

shared_server   the run's, durable, empty        cluster       the run's three nodes, empty
server          one of the test's own, durable   redis_store   the store on `server`
store           on the shared server and on the cluster in turn
"""

from __future__ import annotations

import pytest
import trio

from tests.store.redis.kit import Announcing, open_store
from tests.system.servers.redis import RedisCluster, RedisServer


@pytest.fixture(scope="session")
def one_server(tmp_path_factory):
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        trio.run(server.start)
        yield server


@pytest.fixture(scope="session")
def three_nodes(tmp_path_factory):
    with RedisCluster(tmp_path_factory.mktemp("redis-cluster")) as cluster:
        trio.run(cluster.start)
        yield cluster


@pytest.fixture
def shared_server(one_server):
    one_server.command("FLUSHALL")
    return one_server


@pytest.fixture
def cluster(three_nodes):
    trio.run(three_nodes.start)  # a test may have ended one
    three_nodes.flush()
    return three_nodes


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "redis"
    folder.mkdir()
    with RedisServer(folder) as server:
        trio.run(server.start)
        yield server


@pytest.fixture
async def redis_store(server):
    async with open_store(server.url) as store:
        yield store


@pytest.fixture(params=["shared_server", "cluster"])
def redis_url(request):
    return request.getfixturevalue(request.param).url


@pytest.fixture
async def store(redis_url):
    async with open_store(redis_url) as opened:
        yield Announcing(opened)
