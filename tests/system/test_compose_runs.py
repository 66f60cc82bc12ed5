"""compose.yaml without an engine: its command lines as processes, its health checks, and the README's lines on it.

What is run is what the file names, word for word. `Here` is the one place where the containers' world is mapped to
this machine: names of hosts, ports, folders, and the programs of the images.
"""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
import urllib.request as web
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trio

from storefront.demo.addresses import Ports
from tests.compose import (
    ROOT,
    command_line,
    environment,
    is_ours,
    read_compose,
    read_dockerfile,
    seconds,
)
from tests.compose_faults import replicas
from tests.system.conftest import note_use
from tests.system.servers.nginx import NginxServer
from tests.system.servers.ports import LOOPBACK, free_port
from tests.system.servers.process import ServerProcess
from tests.system.servers.redis import DURABLE
from tests.system.shopfloor import ALICE, until

IMAGE = read_dockerfile()
DOCUMENT = read_compose({})
README = (ROOT / "README.md").read_text("utf-8")
PORTS = asdict(Ports())

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

# The health check's, of which the image's differs from Debian's; it ends with 1 where wget would not end with 0.
WGET = """
import argparse, sys, urllib.request as web
options = argparse.ArgumentParser()
options.add_argument("-q", action="store_true", required=True)
options.add_argument("-Y", choices=["off"], required=True)
options.add_argument("-T", type=float, required=True)
options.add_argument("-O", choices=["/dev/null"], required=True)
options.add_argument("url")
asked = options.parse_args()
web.build_opener(web.ProxyHandler({})).open(asked.url, timeout=asked.T)
"""


class Here:
    """Where the things are that the files speak of, seen from this machine or from inside a container."""

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

    def inside(self) -> Here:
        """The same for a container of its own: what is its loopback is nobody else's."""
        found = copy.copy(self)
        found._places = dict(self._places)
        return found

    def lies(self, there: str, here: str) -> None:
        """What is called `there` in the files is `here`."""
        self._places[there] = here

    def text(self, written: str) -> str:
        for there, here in self._places.items():
            written = written.replace(there, here)
        return written

    def command(self, words: list[str]) -> list[str]:
        """A command of an image."""
        programs = {
            "python": [sys.executable],
            # What the console script of this name calls; test_compose looks it up in pyproject.toml.
            "storefront": [sys.executable, "-m", "storefront"],
            "wget": [sys.executable, "-c", WGET],
        }
        return [*programs[words[0]], *map(self.text, words[1:])]

    def says_healthy(self, check: list[str]) -> bool:
        """Whether a health check, run here, ends with 0."""
        asked = self.command(check)
        run = subprocess.run(asked, capture_output=True, check=False, timeout=CHECK_WITHIN)
        return run.returncode == 0


class Container(ServerProcess):
    """A container of one of our services in compose.yaml, as a process of this machine."""

    start_within = 30.0  # seconds; measured 1.5 s, of which imports take one

    def __init__(self, name: str, folder: Path, here: Here) -> None:
        service = DOCUMENT["services"][name]
        self._outside, self.inside = here, here.inside()
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

    @property
    def url(self) -> str:
        """Of a replica, past nginx."""
        return self.inside.text("http://127.0.0.1:8080")

    def is_healthy(self) -> bool:
        """The verdict of the file's own health check, once it is known which ports were given."""
        return self._is_listening() and self.inside.says_healthy(self._check)

    def _is_listening(self) -> bool:
        """Read from its log where it listens, and note it for all whom it concerns."""
        for line in self.output().splitlines():
            said = json.loads(line) if line.startswith("{") else {}
            if said.get("event") == "listening":
                self.inside.lies("http://127.0.0.1:8080", said["url"])
                return True
            if said.get("event") == "services are open":
                self._note_services({str(port): said[who] for who, port in PORTS.items()})
                return True
        return False

    def _note_services(self, urls: dict[str, str]) -> None:
        for port, url in urls.items():
            for where in (self.inside, self._outside):
                where.lies(f"http://127.0.0.1:{port}", url)
            self._outside.lies(f"http://{self.name}:{port}", url)


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


def metric_names(served_by: list[Container]) -> set[str]:
    """What is served, without the moments of creation that the client library adds to counters."""
    names: set[str] = set()
    for each in served_by:
        with web.build_opener(web.ProxyHandler({})).open(f"{each.url}/metrics", timeout=5) as told:
            names |= set(re.findall(r"^# TYPE (\S+) ", told.read().decode(), re.MULTILINE))
    return {name for name in names if not name.endswith("_created")}


def listed_metrics() -> set[str]:
    """The README's, which has one row for all that differ in a word."""
    listed = set(re.findall(r"^\| `(\w+)`", section("Metrics"), re.MULTILINE))
    rows = re.findall(r"^\| `(\w+_)…(_\w+)` \| (.*)$", section("Metrics"), re.MULTILINE)
    for before, after, words in rows:
        listed |= {f"{before}{name}{after}" for name in re.findall(r"`(\w+)`", words)}
    return listed


@pytest.fixture
def here(vhost) -> Here:
    return Here(vhost.url)


@pytest.fixture
def contain(here, tmp_path, request) -> Iterator[Callable[[str], Container]]:
    """Makes a container of a service, once the services it asks are up: only then is it known where they listen."""
    with ExitStack() as containers:
        made: list[Container] = []

        def make(name: str) -> Container:
            folder = tmp_path / f"{name}-{len(made)}"
            folder.mkdir()
            made.append(containers.enter_context(Container(name, folder, here)))
            note_use(request.node, made[-1])
            return made[-1]

        yield make


@pytest.fixture
def redis(here, tmp_path, request) -> Iterator[ServerProcess]:
    """Redis as the file starts it; its health is the file's own verdict."""
    service, port = DOCUMENT["services"]["redis"], free_port()
    asked = [*redis_cli(port), *service["healthcheck"]["test"][2:]]
    folder = tmp_path / "redis"
    folder.mkdir()
    server = ServerProcess(
        "redis",
        [*service["command"], "--port", str(port), "--bind", LOOPBACK, "--dir", str(folder)],
        folder=folder,
        ready=lambda: said_by(asked) == "PONG\n",
    )
    here.lies("redis://redis:6379", f"redis://{LOOPBACK}:{port}")
    note_use(request.node, server)
    with server:
        trio.run(partial(server.start, within=seconds(service["healthcheck"]["start_period"])))
        yield server


def redis_cli(port: int) -> list[str]:
    program: str = DOCUMENT["services"]["redis"]["healthcheck"]["test"][1]
    return [program, "-p", str(port)]


def said_by(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=10).stdout


@pytest.fixture
def open_nginx(here, tmp_path, request) -> Iterator[Callable[[list[Container]], NginxServer]]:
    """Makes nginx in front of these replicas: the one door at 127.0.0.1:8080."""
    with ExitStack() as running:

        def make(behind: list[Container]) -> NginxServer:
            folder = tmp_path / "nginx"
            folder.mkdir()
            addresses = [urlsplit(each.url).netloc for each in behind]
            service = DOCUMENT["services"]["nginx"]
            nginx = running.enter_context(
                NginxServer(folder, addresses, command=service["command"])
            )
            note_use(request.node, nginx)
            here.lies("http://127.0.0.1:8080", nginx.url)
            return nginx

        yield make


async def test_the_command_lines_become_healthy_do_what_the_readme_says_and_leave_when_told(
    contain, redis, open_nginx, here, tmp_path
):
    services = contain("services")
    await services.start()
    both = [contain("storefront") for _ in range(replicas(DOCUMENT["services"]["storefront"]))]
    async with trio.open_nursery() as nursery:
        for each in both:
            nursery.start_soon(each.start)
    assert [each.inside.says_healthy(IMAGE.health_check) for each in both] == [True, True]
    nginx = open_nginx(both)
    await nginx.start()
    check = DOCUMENT["services"]["nginx"]["healthcheck"]["test"][1:]
    assert here.says_healthy(check)

    listen, shop = map(here.text, shell_blocks("With Docker compose"))
    with Terminal("listening", listen, both[0], tmp_path) as listening:
        await listening.start()
        with Terminal("shopping", shop, both[0], tmp_path) as shopping:
            shopping.spawn()
            assert await shopping.wait(within=30) == 0, shopping.output()
        await until(lambda: len(listening.events()) == 2)
        assert listening.events() == [(ALICE, 1, 39.98), (ALICE, 3, 59.97)]

    # It appears with the first stream that ended, in the replica that had it.
    await until(lambda: "storefront_streams_ended_total" in metric_names(both))
    assert metric_names(both) <= listed_metrics()
    assert metric_names(both) >= {name for name in listed_metrics() if "_redis_" in name}

    for each in both:
        assert await each.stop() == 0
        assert not each.is_healthy()
    assert not here.says_healthy(check)
    assert await nginx.stop() == 0
    assert await services.stop() == 0
    assert not services.is_healthy()


async def test_redis_as_the_file_starts_it_is_healthy_and_keeps_every_write(here, redis):
    port = urlsplit(here.text("redis://redis:6379")).port
    settings = {
        name: said_by([*redis_cli(port), "config", "get", name]).split()[1] for name in DURABLE
    }
    assert settings == DURABLE
    assert await redis.stop(within=10) == 0
    assert said_by([*redis_cli(port), "-e", "ping"]) == ""
