"""The building's rules, held against every module, and each against a violation planted for it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from tests import architecture
from tests.architecture import (
    ALLOWED_CLOCKS,
    RULES,
    SIDEWAYS,
    Module,
    alive_at_import,
    clocks,
    direction,
    fences,
    habits_of_tests,
    names_of_this_place,
    purity,
    says_what_it_is,
    startables,
    tree_of_tasks,
)

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "storefront"
TESTS = REPOSITORY / "tests"
MODULES = sorted(PACKAGE.rglob("*.py"))


def module(path: Path, root: Path) -> Module:
    return Module(PurePosixPath(path.relative_to(root)), path.read_text())


def planted(path: str, source: str) -> Module:
    return Module(PurePosixPath(path), source)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_keeps_the_rules_of_the_building(path):
    found = module(path, PACKAGE)
    assert [f"{path.name}:{fault}" for rule in RULES for fault in rule(found)] == []


def test_the_rules_are_held_against_something():
    assert len(MODULES) > 20


def test_every_exception_has_its_reason():
    reasons = [*SIDEWAYS.values(), *(reason for _, reason in ALLOWED_CLOCKS.values())]
    assert all(len(reason.split()) > 3 for reason in reasons)


def test_no_test_sleeps_on_the_wall_clock_or_excuses_itself():
    found = [module(path, TESTS) for path in sorted(TESTS.rglob("*.py"))]
    assert [f"{one.path}:{fault}" for one in found for fault in habits_of_tests(one)] == []


def texts() -> Iterator[tuple[str, str]]:
    """(path, text) of every file that is, or will be, in the repository; what is not text is left out."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        try:
            yield name, (REPOSITORY / name).read_text()
        except (UnicodeDecodeError, FileNotFoundError):
            continue


def test_no_text_names_this_machine_or_a_package_registry():
    found = [f"{name}:{fault}" for name, text in texts() for fault in names_of_this_place(text)]
    assert found == []


# --- each rule sees its violation ----------------------------------------------------------------------------------

PLANTED = [
    (fences, "web/views.py", "import httpx"),
    (fences, "downstream/guard.py", "def f():\n    from httpx import Timeout"),
    (fences, "a/downstream/http.py", "import httpx"),
    (fences, "messaging/consumer.py", "import asyncio.events as e"),
    (fences, "service.py", "from trio_asyncio import open_loop"),
    (fences, "store/sqlite.py", "import redis.asyncio"),
    (fences, "queries/cache.py", "from redis.asyncio import Redis"),
    (fences, "realtime/hub.py", "from quart import Response"),
    (fences, "web/app.py", "import hypercorn.trio"),
    (fences, "web/sse.py", "import jwt"),
    (fences, "domain/ids.py", "if True:\n    import msgspec, aio_pika"),
    (fences, "store/memory.py", "import sqlite3"),
    (direction, "domain/events.py", "from storefront.store.contract import Entry"),
    (direction, "domain/events.py", "from storefront.settings import Settings"),
    (direction, "realtime/hub.py", "from storefront.web.app import create_app"),
    (direction, "realtime/hub.py", "def f():\n    import storefront.store.sqlite"),
    (direction, "realtime/hub.py", "from storefront.store import sqlite"),
    (direction, "realtime/hub.py", "from storefront.store.contracts import X"),
    (direction, "store/redis.py", "from ..realtime import hub"),
    (direction, "store/redis.py", "from .. import web"),
    (direction, "messaging/amqp.py", "from storefront import service"),
    (direction, "downstream/http.py", "from storefront.queries import cart"),
    (direction, "web/sse.py", "from storefront.messaging.broker import Broker"),
    (direction, "errors.py", "from storefront.domain import ids"),
    (direction, "web/auth.py", "from storefront.settings import StoreSettings"),
    (direction, "web/auth.py", "from storefront.settings import Settings"),
    (direction, "web/auth.py", "from storefront import settings"),
    (direction, "attic/box.py", "import trio"),
    (direction, "__init__.py", "from storefront.service import serve"),
    (purity, "domain/events.py", "async def f(): ..."),
    (purity, "domain/messages/base.py", "import trio"),
    (purity, "realtime/frames.py", "from time import monotonic"),
    (purity, "downstream/breaker.py", "def f():\n    import random"),
    (purity, "domain/ids.py", "from os import environ"),
    (clocks, "realtime/hub.py", "import time\ntime.time()"),
    (clocks, "realtime/hub.py", "from time import monotonic as m\nm()"),
    (clocks, "realtime/hub.py", "import datetime as d\nd.datetime.now(d.UTC)"),
    (clocks, "realtime/hub.py", "from datetime import datetime\ndatetime.now()"),
    (clocks, "realtime/hub.py", "from random import uniform\ndef f(): return uniform(0, 1)"),
    (clocks, "realtime/hub.py", "import random\nf = random.uniform"),
    (clocks, "realtime/hub.py", "from uuid import uuid4\nuuid4()"),
    (clocks, "realtime/hub.py", "import secrets\nsecrets.token_hex()"),
    (clocks, "domain/ids.py", "import os\nos.urandom(8)"),
    (clocks, "store/sqlite.py", "import time\ntime.time()"),
    (clocks, "service.py", "import random\nrandom.random()"),
    (tree_of_tasks, "web/app.py", "app.nursery.start_soon(f)"),
    (tree_of_tasks, "web/app.py", "self._app.nursery"),
    (tree_of_tasks, "web/app.py", "current_app.add_background_task(f)"),
    (tree_of_tasks, "web/app.py", "@app.before_serving\nasync def f(): ..."),
    (tree_of_tasks, "web/app.py", "@app.while_serving\nasync def f(): ..."),
    (tree_of_tasks, "realtime/hub.py", "import trio, math\ntrio.open_memory_channel(math.inf)"),
    (
        tree_of_tasks,
        "realtime/hub.py",
        "from trio import open_memory_channel as o\nfrom math import inf\no[int](max_buffer_size=inf)",
    ),
    (tree_of_tasks, "realtime/hub.py", "import trio\ntrio.open_memory_channel[int](float('inf'))"),
    (startables, "realtime/hub.py", "async def run(*, task_status=None): await f()"),
    (alive_at_import, "realtime/hub.py", "import trio\nready = trio.Event()"),
    (alive_at_import, "realtime/hub.py", "import trio\nclass A:\n    lock: object = trio.Lock()"),
    (alive_at_import, "realtime/hub.py", "import trio\ndef f(e=trio.Event()): ..."),
    (
        alive_at_import,
        "realtime/hub.py",
        "from trio import open_memory_channel as o\ns, r = o[int](1)",
    ),
    (alive_at_import, "downstream/http.py", "import httpx\nif True:\n    c = httpx.AsyncClient()"),
    (alive_at_import, "web/app.py", "from quart_trio import QuartTrio\napp = QuartTrio(__name__)"),
    (alive_at_import, "store/redis.py", "from redis.asyncio import Redis\nr = Redis.from_url('x')"),
    (says_what_it_is, "web/app.py", "import quart"),
    (says_what_it_is, "web/__init__.py", ""),
    (habits_of_tests, "test_x.py", "import time\ntime.sleep(1)"),
    (habits_of_tests, "test_x.py", "import pytest\n@pytest.mark.skipif(True)\ndef test(): ..."),
    (habits_of_tests, "test_x.py", "from pytest import skip\ndef test(): skip('no')"),
]


@pytest.mark.parametrize(("rule", "path", "source"), PLANTED)
def test_a_planted_violation_is_seen(rule, path, source):
    assert len(list(rule(planted(path, source)))) >= 1


IN_ORDER = [
    (fences, "downstream/http.py", "import httpx, httpcore"),
    (fences, "store/redis_scripts.py", "import redis.asyncio, asyncio, trio_asyncio"),
    (fences, "web/views/cart.py", "import quart"),
    (direction, "realtime/hub.py", "from storefront.store.contract import Entry"),
    (direction, "realtime/hub.py", "from storefront.realtime.frames import encode\nimport trio"),
    (direction, "realtime/hub.py", "from . import frames\nfrom .frames import encode"),
    (direction, "web/views.py", "from storefront.domain import ids\nfrom storefront import errors"),
    (direction, "web/auth.py", "from storefront.settings import AuthSettings"),
    (direction, "domain/ids.py", "from storefront.errors import StorefrontError"),
    (direction, "__main__.py", "from storefront import service"),
    (purity, "realtime/hub.py", "import trio\nasync def f(): await trio.sleep(1)"),
    (clocks, "service.py", "import time\nclock = time.time"),
    (clocks, "realtime/hub.py", "import trio\ntrio.current_time()"),
    (clocks, "domain/events.py", "from datetime import datetime\ndatetime.fromisoformat('x')"),
    (clocks, "realtime/hub.py", "def f(random): return random.uniform(0, 1)"),
    (tree_of_tasks, "service.py", "import trio\nnursery.start_soon(f)\nself.nursery"),
    (tree_of_tasks, "realtime/hub.py", "import trio\ntrio.open_memory_channel[int](64)"),
    (startables, "realtime/hub.py", "async def run(*, task_status): task_status.started()"),
    (
        startables,
        "realtime/hub.py",
        "async def run(*, task_status): await f(task_status=task_status)",
    ),
    (startables, "store/contract.py", "async def run(*, task_status):\n    'Says so.'\n    ..."),
    (alive_at_import, "realtime/hub.py", "import trio\ndef f(): return trio.Event()"),
    (alive_at_import, "realtime/hub.py", "import trio\nf = lambda: trio.Event()"),
    (
        habits_of_tests,
        "test_x.py",
        "import pytest, trio\n@pytest.mark.parametrize('a', [1])\ndef test(a): ...",
    ),
]


@pytest.mark.parametrize(("rule", "path", "source"), IN_ORDER)
def test_what_is_in_order_is_left_in_peace(rule, path, source):
    assert list(rule(planted(path, source))) == []


def test_every_rule_has_a_planted_violation():
    assert {rule for rule, *_ in PLANTED} >= set(RULES)


@pytest.mark.parametrize(
    "parts", [("/wo", "rk/main"), ("/r", "oot/.cache"), ("cd /ho", "me/me"), ("/wo", "rk")]
)
def test_a_path_of_one_machine_is_seen(parts):
    assert list(names_of_this_place("".join(parts)))


@pytest.mark.parametrize("parts", [("https://pypi", ".org/simple"), ("files.python", "hosted.org")])
def test_a_registry_is_seen(parts):
    assert list(names_of_this_place("".join(parts)))


@pytest.mark.parametrize(
    "text",
    ["the/work/of", "http://host/home/", "./root/", "/workers", "~/work", "/homes", "/var/lib/x"],
)
def test_other_paths_are_left_in_peace(text):
    assert list(names_of_this_place(text)) == []


def test_the_drawing_has_no_way_round():
    """If a room may import another, that one may not import it: the arrows never come back."""
    for room, may in architecture.ROOMS.items():
        assert all(room not in architecture.ROOMS[other] for other in may), room
