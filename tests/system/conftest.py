"""Servers for system tests, each at its first use; no test meets what another one left.

    rabbit          the run's broker, running             redis_server    a Redis of the test's own
    vhost           a virtual host of the test's own      redis_cluster   the run's three nodes, empty
    new_service     makes Storefront processes            chromium        a browser, for plain tests

The first use of the broker costs a run about 8 s, of the cluster 3 s; a virtual host and a Redis cost 30 ms, a browser
1 s. A test may stop, kill or freeze what it is given: the next one that asks finds it running again. A failed test
shows the end of the log of every server it used.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trio

from tests.system.servers.chromium import Chromium, open_chromium
from tests.system.servers.process import ServerProcess
from tests.system.servers.rabbitmq import RabbitNode, VirtualHost
from tests.system.servers.redis import RedisCluster, RedisServer
from tests.system.servers.service import ServiceProcess

USED = pytest.StashKey[list[ServerProcess]]()


@pytest.fixture(scope="session")
def rabbit_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    """Not for tests: they ask for `rabbit`, which sees that it runs."""
    with RabbitNode(tmp_path_factory.mktemp("rabbitmq")) as node:
        yield node


@pytest.fixture
def rabbit(rabbit_node: RabbitNode, request: pytest.FixtureRequest) -> RabbitNode:
    """The run's broker, running. What a test makes in it, it makes in its `vhost`."""
    note_use(request.node, rabbit_node)
    ensure_running(rabbit_node)
    return rabbit_node


@pytest.fixture
def vhost(rabbit: RabbitNode) -> Iterator[VirtualHost]:
    """A virtual host that is empty, and gone afterwards."""
    with rabbit.virtual_host() as found:
        yield found


@pytest.fixture
def redis_server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """A durable Redis, running and empty."""
    folder = tmp_path / "redis"
    folder.mkdir()
    with RedisServer(folder) as server:
        note_use(request.node, server)
        ensure_running(server)
        yield server


@pytest.fixture(scope="session")
def redis_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """Not for tests: they ask for `redis_cluster`, which sees that it runs and is empty."""
    with RedisCluster(tmp_path_factory.mktemp("redis-cluster")) as cluster:
        yield cluster


@pytest.fixture
def redis_cluster(redis_nodes: RedisCluster, request: pytest.FixtureRequest) -> RedisCluster:
    """Three masters that share the slots, empty."""
    for node in redis_nodes.nodes:
        note_use(request.node, node)
        ensure_running(node)
    trio.run(redis_nodes.agree)
    redis_nodes.flush()
    return redis_nodes


@pytest.fixture
def new_service(
    tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[..., ServiceProcess]]:
    """Makes a `ServiceProcess` (command, then settings without their prefix) for the test to start.

    Each has a data folder of its own, unless the test names one: DATA_DIR="...".
    """
    with ExitStack() as processes:
        made: list[ServiceProcess] = []

        def make(command: str = "serve", *arguments: str, **settings: str) -> ServiceProcess:
            folder = tmp_path / f"storefront-{len(made)}"
            folder.mkdir()
            process = ServiceProcess(folder, command, *arguments, **settings)
            made.append(processes.enter_context(process))
            note_use(request.node, process)
            return process

        yield make


@pytest.fixture
def chromium() -> Iterator[Chromium]:
    """A browser for a plain test: Playwright's loop stays on the main thread, so it lives for one test only."""
    with open_chromium() as browser:
        yield browser


def ensure_running(server: ServerProcess) -> None:
    """Undo what the last user of a server may have done to it. Fixtures of a run are set up outside Trio."""
    if server.running:
        server.thaw()
    else:
        trio.run(server.start)


def note_use(test: pytest.Item, server: ServerProcess) -> None:
    test.stash.setdefault(USED, []).append(server)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for server in item.stash.get(USED, []):
            report.sections.extend(server.logs())
    return report
