"""compose.yaml without an engine: its command lines as processes, its health checks, and the README's lines on it.

What is run is what the file names, word for word. `Here` is the one place where the containers' world is mapped to
this machine: names of hosts, ports, the volume, and the two programs of the image.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request as web
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.compose import (
    ROOT,
    command_line,
    environment,
    is_ours,
    read_compose,
    read_dockerfile,
    seconds,
)
from tests.system.conftest import note_use
from tests.system.servers.ports import LOOPBACK, free_port
from tests.system.servers.process import ServerProcess
from tests.system.servers.redis import DURABLE
from tests.system.shopfloor import ALICE, until

IMAGE = read_dockerfile()
DOCUMENT = read_compose({})
README = (ROOT / "README.md").read_text("utf-8")

CHECK_WITHIN = 10.0  # seconds; the check's own patience is four

# What stands before the lines of a README block so that they run here: `docker compose exec -T storefront` is our own
# process with that service's environment, and `curl` is this one, for not every machine that runs tests has it.
DOCKER = """#!/bin/sh
[ "$*" != "${*#compose exec -T storefront storefront }" ] || exit 64
shift 5
exec "$PYTHON" -m storefront "$@"
"""
CURL = '''#!/usr/bin/env python3
"""curl, as far as the README uses it; an option it does not know ends it."""
import argparse, sys, urllib.request as web
options = argparse.ArgumentParser()
options.add_argument("--silent", action="store_true")
options.add_argument("--no-buffer", action="store_true")
options.add_argument("--header", action="append", default=[])
options.add_argument("--data")
options.add_argument("url")
asked = options.parse_args()
headers = dict(header.split(": ", 1) for header in asked.header)
body = None if asked.data is None else asked.data.encode()
opener = web.build_opener(web.ProxyHandler({}))
with opener.open(web.Request(asked.url, body, headers), timeout=30) as answer:
    while read := answer.read1():
        sys.stdout.buffer.write(read)
        sys.stdout.flush()
'''


class Here:
    """Where the things are that the files speak of."""

    def __init__(self, broker: str) -> None:
        self._places: dict[str, str] = {}
        (url,) = {
            service["environment"]["STOREFRONT_RABBITMQ_URL"]
            for service in DOCUMENT["services"].values()
            if is_ours(service)
        }
        self.lies(url, broker)
        self.lies("0.0.0.0:8080", f"{LOOPBACK}:0")
        self.lies("0.0.0.0", LOOPBACK)

    def lies(self, there: str, here: str) -> None:
        """What is called `there` in the files is `here`."""
        self._places[there] = here

    def text(self, written: str) -> str:
        for there, here in self._places.items():
            written = written.replace(there, here)
        return written

    def command(self, words: list[str]) -> list[str]:
        """A command of the image: its two programs are this interpreter, and our module in it."""
        programs = {
            "python": [sys.executable],
            # What the console script of this name calls; test_compose looks it up in pyproject.toml.
            "storefront": [sys.executable, "-m", "storefront"],
        }
        return [*programs[words[0]], *map(self.text, words[1:])]


class Container(ServerProcess):
    """A service of compose.yaml as a process of this machine."""

    start_within = 30.0  # seconds; measured 1.5 s, of which imports take one

    def __init__(self, name: str, folder: Path, here: Here) -> None:
        service = DOCUMENT["services"][name]
        self._here = here
        self._check = service["healthcheck"]["test"][1:]
        self.stop_within = seconds(service["stop_grace_period"])
        given = {k: here.text(v) for k, v in environment(IMAGE, service).items()}
        self.settings = {k: v for k, v in given.items() if k.startswith("STOREFRONT_")}
        self.settings["STOREFRONT_DATA_DIR"] = str(folder / "data")
        super().__init__(
            name,
            here.command(command_line(IMAGE, service)),
            folder=folder,
            ready=self.is_healthy,
            environment=self.settings | {"PYTHONPATH": str(ROOT)},
        )

    def is_healthy(self) -> bool:
        """The verdict of the file's own health check, once it is known which ports were given."""
        return self._is_listening() and self.says_healthy(self._check)

    def says_healthy(self, check: list[str]) -> bool:
        """Whether a health check, run here, ends with 0."""
        asked = self._here.command(check)
        run = subprocess.run(asked, capture_output=True, check=False, timeout=CHECK_WITHIN)
        return run.returncode == 0

    def _is_listening(self) -> bool:
        """Read from its log where it listens, and note it for all."""
        urls: dict[str, str] = {}
        for line in self.output().splitlines():
            said = json.loads(line) if line.startswith("{") else {}
            if said.get("event") == "listening":
                urls = {"8080": said["url"]}
            elif said.get("event") == "services are open":
                urls = {"5236": said["shopping"], "5231": said["orders"]}
        for port, url in urls.items():
            self._here.lies(f"http://{self.name}:{port}", url)
            self._here.lies(f"http://127.0.0.1:{port}", url)
        return bool(urls)


class Terminal(ServerProcess):
    """A shell in which the README's lines mean what they mean beside a running compose."""

    start_within = 15.0  # seconds; measured 1 s: a token is made by a process of its own

    def __init__(self, name: str, lines: str, storefront: Container, folder: Path) -> None:
        path = f"{programs(folder)}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        super().__init__(
            name,
            ["sh", "-euc", lines],
            folder=folder,
            ready=lambda: "event: stream" in self.output(),
            environment=storefront.settings
            | {"PATH": path, "PYTHON": sys.executable, "PYTHONPATH": str(ROOT)},
        )

    def events(self) -> list[tuple[str, int, float]]:
        """Customer, lines and total of each event that was shown."""
        shown = re.findall(r"^data: (\{\"eventType.*\})$", self.output(), re.MULTILINE)
        events = map(json.loads, shown)
        return [(each["customerId"], each["itemCount"], each["totalAmount"]) for each in events]


def programs(folder: Path) -> Path:
    """A folder with the two programs that the README's lines call."""
    found = folder / "bin"
    found.mkdir(exist_ok=True)
    for name, source in (("docker", DOCKER), ("curl", CURL)):
        (found / name).write_text(source)
        (found / name).chmod(0o755)
    return found


def section(title: str) -> str:
    """What the README says under a heading, as far as the next one."""
    return re.split(r"^#+ ", README.split(f"# {title}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]


def shell_blocks(title: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", section(title), re.MULTILINE | re.DOTALL)


def metric_names(url: str) -> set[str]:
    """What is served, without the moments of creation that the client library adds to counters."""
    with web.build_opener(web.ProxyHandler({})).open(url, timeout=5) as answer:
        names = re.findall(r"^# TYPE (\S+) ", answer.read().decode(), re.MULTILINE)
    return {name for name in names if not name.endswith("_created")}


@pytest.fixture
def here(vhost) -> Here:
    return Here(vhost.url)


@pytest.fixture
def contain(here, tmp_path, request) -> Iterator[Callable[[str], Container]]:
    """Makes the container of a service, once the services it asks are up: only then is it known where they listen."""
    with ExitStack() as containers:

        def make(name: str) -> Container:
            folder = tmp_path / name
            folder.mkdir()
            container = containers.enter_context(Container(name, folder, here))
            note_use(request.node, container)
            return container

        yield make


async def test_the_command_lines_become_healthy_do_what_the_readme_says_and_leave_when_told(
    contain, here, tmp_path
):
    services = contain("services")
    await services.start()
    storefront = contain("storefront")
    await storefront.start()
    assert storefront.says_healthy(IMAGE.health_check)

    listen, shop = map(here.text, shell_blocks("With Docker compose"))
    with Terminal("listening", listen, storefront, tmp_path) as listening:
        await listening.start()
        with Terminal("shopping", shop, storefront, tmp_path) as shopping:
            shopping.spawn()
            assert await shopping.wait(within=30) == 0, shopping.output()
        await until(lambda: len(listening.events()) == 2)
        assert listening.events() == [(ALICE, 1, 39.98), (ALICE, 3, 59.97)]

    listed = set(re.findall(r"^\| `(\w+)`", section("Metrics"), re.MULTILINE))
    # The last of them appears with the first stream that ended.
    await until(lambda: metric_names(here.text("http://127.0.0.1:8080/metrics")) == listed)

    assert await storefront.stop() == 0
    assert not storefront.is_healthy()
    assert await services.stop() == 0
    assert not services.is_healthy()


async def test_redis_as_the_file_starts_it_is_healthy_and_keeps_every_write(tmp_path, request):
    service = DOCUMENT["services"]["redis"]
    port, check = free_port(), service["healthcheck"]["test"][1:]

    def cli(*words: str) -> str:
        asked = [check[0], "-p", str(port), *words]
        return subprocess.run(asked, capture_output=True, text=True, check=False, timeout=10).stdout

    where = ["--port", str(port), "--bind", LOOPBACK, "--dir", str(tmp_path)]
    redis = ServerProcess(
        "redis",
        [*service["command"], *where],
        folder=tmp_path,
        ready=lambda: cli(*check[1:]) == "PONG\n",
    )
    note_use(request.node, redis)
    with redis:
        await redis.start(within=seconds(service["healthcheck"]["start_period"]))
        settings = {name: cli("config", "get", name).split()[1] for name in DURABLE}
        assert settings == DURABLE
        assert await redis.stop(within=10) == 0
        assert cli(*check[1:]) == ""
