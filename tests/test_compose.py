"""compose.yaml, Dockerfile, .dockerignore and deploy/nginx.conf, judged without an engine.

`faults` lists what is wrong with a document. It finds nothing in ours, and it finds every fault that is put in on
purpose: a check that never speaks would prove nothing. Where the docker client has compose, its verdict counts too.
"""

from __future__ import annotations

import copy
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from fnmatch import fnmatch
from functools import partial
from urllib.parse import urlsplit

import pytest

from storefront.serving import Limits
from storefront.settings import PREFIX, Settings
from tests.compose import (
    COMPOSE_FILE,
    ROOT,
    Document,
    Image,
    environment,
    interpolated,
    read_compose,
    read_dockerfile,
    seconds,
)
from tests.compose_faults import faults, replicas
from tests.compose_nginx import NGINX_FILE, last_word, location, octets, read_nginx
from tests.system.servers.nginx import COMMAND, CONFIGURATION

SECRET = re.compile(r"PASS|SECRET|TOKEN|KEY")
DEVELOPMENT = "development-only"

# What a person would set elsewhere; not the defaults of the file.
SET_ELSEWHERE = {"STOREFRONT_JWT_SECRET": "s" * 32, "RABBITMQ_PASSWORD": "elsewhere"}


@pytest.fixture
def image() -> Image:
    return read_dockerfile()


@pytest.fixture
def document() -> Document:
    return read_compose({})


def test_the_compose_file_is_as_an_engine_wants_it(document, image):
    """One verdict whoever gives it: compose's own where the client has it, and ours in any case."""
    assert list(faults(document, image)) == []
    if has_compose():
        said = subprocess.run(
            ["docker", "compose", "--file", COMPOSE_FILE, "config", "--quiet"],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
        )
        assert (said.returncode, said.stderr) == (0, "")


def has_compose() -> bool:
    if shutil.which("docker") is None:
        return False
    asked = ["docker", "compose", "version"]
    return subprocess.run(asked, capture_output=True, check=False, timeout=30).returncode == 0


def change(*path: str, to: object) -> Callable[[Document], None]:
    """Puts `to` in the place that `path` names; None takes the place out."""

    def apply(document: Document) -> None:
        *way, last = path
        place = document
        for step in way:
            place = place[step]
        place[last] = to
        if to is None:
            del place[last]

    return apply


on_storefront = partial(change, "services", "storefront")
on_nginx = partial(change, "services", "nginx")
FAULTS = {
    "a key that compose does not know": (on_storefront("helthcheck", to={}), "unknown key"),
    "a section that compose does not know": (change("service", to={}), "unknown key"),
    "an image of no version": (change("services", "redis", "image", to="redis:latest"), "without a version"),
    "an image of no tag": (change("services", "redis", "image", to="redis"), "without a version"),
    "neither image nor build": (change("services", "redis", "image", to=None), "needs an image"),
    "a port on every address": (on_storefront("ports", to=["8080:8080"]), "loopback"),
    "a port that two want": (on_storefront("ports", to=["127.0.0.1:5236:8080"]), "given twice"),
    "a privileged container": (on_storefront("privileged", to=True), "unknown key"),
    "the network of the machine": (on_storefront("network_mode", to="host"), "unknown key"),
    "a folder of the machine": (on_storefront("volumes", to=["/var/run:/run"]), "folder of the machine"),
    "capabilities": (on_storefront("cap_drop", to=[]), "capabilities"),
    "no health check": (on_storefront("healthcheck", to=None), "health check"),
    "half a health check": (on_storefront("healthcheck", "timeout", to=None), "health check"),
    "a health check for a shell": (on_storefront("healthcheck", "test", to="curl -f x"), "needs a shell"),
    "no restart": (on_storefront("restart", to="no"), "not started again"),
    "a stranger to wait for": (
        on_storefront("depends_on", "apache", to={"condition": "service_healthy"}),
        "not there",
    ),
    "somebody awaited half": (
        on_storefront("depends_on", "rabbitmq", to={"condition": "service_started"}),
        "healthy",
    ),
    "a neighbour that is not awaited": (on_storefront("depends_on", "services", to=None), "does not wait for"),
    "a service that nobody can reach": (
        change("services", "services", "command", to=["demo", "--only-services"]),
        "no other container can reach",
    ),
    "a service of ours on its own loopback": (
        on_storefront("environment", "STOREFRONT_BIND", to="127.0.0.1:8080"),
        "no other container can reach",
    ),
    "a port published for nobody": (
        on_storefront("ports", to=["127.0.0.1:8080:80"]),
        "publishes 80, where nobody listens",
    ),
    "a way to a port of nobody": (
        on_storefront("environment", "STOREFRONT_ORDERS_URL", to="http://services:80"),
        "leads to 80, where nobody listens",
    ),
    "a neighbour that is not set": (
        on_storefront("environment", "STOREFRONT_SHOPPING_URL", to=None),
        "STOREFRONT_SHOPPING_URL leads to 127.0.0.1",
    ),
    "an unknown command": (on_storefront("command", to=["server"]), "no command of ours"),
    "a misspelt setting": (on_storefront("environment", "STOREFRONT_DATADIR", to="x"), "no such setting"),
    "a setting that serve needs": (
        on_storefront("environment", "STOREFRONT_RABBITMQ_URL", to=None),
        "needed by serve",
    ),
    "a kill before the last resort": (on_storefront("stop_grace_period", to="15s"), "killed before"),
    "a volume nobody declared": (on_storefront("volumes", to=["elsewhere:/data"]), "declared or used"),
    "a service that is not named": (on_storefront("environment", "STOREFRONT_CATALOG_URL", to=None), "CATALOG_URL leads to"),
    "a port for both replicas": (on_storefront("ports", to=["127.0.0.1:8081:8080"]), "want one port"),
    "a volume for both replicas": (on_storefront("volumes", to=["redis-data:/data"]), "one volume"),
    "a log for each replica": (on_storefront("environment", "STOREFRONT_REDIS_URL", to=None), "common log"),
    "a proxy that does not wait": (on_nginx("depends_on", to=None), "does not wait for"),
    "a proxy at another door": (on_nginx("ports", to=["127.0.0.1:8080:80"]), "publishes 80, where nobody listens"),
    "a proxy that may write": (on_nginx("read_only", to=None), "may write"),
    "a proxy of root's": (on_nginx("user", to=None), "runs as root"),
    "a proxy without files": (on_nginx("ulimits", to=None), "open files"),
    "a proxy killed early": (on_nginx("stop_grace_period", to="3s"), "before it has left"),
    "a proxy without its file": (change("configs", "nginx", "file", to="./deploy/apache.conf"), "not there"),
    "a file nobody uses": (on_nginx("configs", to=None), "declared or used"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_put_in_on_purpose_is_found(name, document, image):
    break_it, words = FAULTS[name]
    broken = copy.deepcopy(document)
    break_it(broken)
    assert any(words in fault for fault in faults(broken, image)), list(faults(broken, image))


WRONG_TURNS = {
    "a replica of another name": ("storefront:8080", "shop:8080", "leads to shop, which it does not wait"),
    "a port of nobody": ("storefront:8080", "storefront:80", "leads to 80, where nobody listens"),
    "an address for ever": (" resolve ", " ", "does not notice"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_TURNS)
def test_a_wrong_turn_in_the_proxys_file_is_found(name, document, image, tmp_path):
    right, wrong, words = WRONG_TURNS[name]
    path = tmp_path / "nginx.conf"
    text = NGINX_FILE.read_text("utf-8")
    path.write_text(text.replace(right, wrong))
    document["configs"]["nginx"]["file"] = str(path)
    assert any(words in fault for fault in faults(document, image)), list(faults(document, image))


def test_the_proxys_file_is_the_one_that_is_tried(document):
    assert document["configs"] == {"nginx": {"file": "./deploy/nginx.conf"}}
    service = document["services"]["nginx"]
    assert service["configs"] == [{"source": "nginx", "target": "/etc/nginx/nginx.conf"}]
    assert tuple(service["command"]) == COMMAND
    assert (ROOT / "deploy/nginx.conf") == NGINX_FILE == CONFIGURATION


def test_the_proxy_waits_for_what_the_service_may_take_and_not_much_longer():
    said, settings, limits = read_nginx(), Settings(), Limits()
    stream, other = location(said, "=", "/sse/storefront"), location(said, "/")
    assert seconds(last_word(stream, "proxy_read_timeout")) > 2 * settings.streams.heartbeat
    assert seconds(last_word(other, "proxy_read_timeout")) > settings.services.command_timeout
    assert seconds(last_word(said, "send_timeout")) == settings.serving.send_timeout
    assert seconds(last_word(said, "client_header_timeout")) == limits.head_seconds
    # The other side closes an idle connection after this: a command sent at that moment would be lost.
    assert seconds(last_word(said, "keepalive_timeout")) < limits.idle_seconds
    assert octets(last_word(said, "large_client_header_buffers")) >= limits.head_bytes


def test_the_proxy_may_carry_as_many_streams_as_one_replica_takes():
    assert int(last_word(read_nginx(), "worker_connections")) >= 2 * Settings().streams.max_streams


def test_a_block_that_is_not_closed_is_no_configuration(tmp_path):
    path = tmp_path / "nginx.conf"
    for text in ("http { a 1;", "http { a 1", "a 1; }"):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"closed|end"):
            read_nginx(path)


def test_no_secret_stands_in_the_file_but_defaults_that_say_what_they_are(image):
    plain, changed = read_compose({}), read_compose(SET_ELSEWHERE)
    for name, service in plain["services"].items():
        elsewhere = changed["services"][name].get("environment", {})
        for variable, value in service.get("environment", {}).items():
            secret = urlsplit(value).password if "://" in value else value
            if secret is not None and (SECRET.search(variable) or "@" in value):
                assert secret.startswith(DEVELOPMENT), variable
                assert DEVELOPMENT not in elsewhere[variable], f"{variable} cannot be set"


def test_both_sides_of_a_password_change_together():
    services = read_compose(SET_ELSEWHERE)["services"]
    asked = services["rabbitmq"]["environment"]
    for name in ("services", "storefront"):
        url = urlsplit(services[name]["environment"]["STOREFRONT_RABBITMQ_URL"])
        given = (url.username, url.password)
        assert given == (asked["RABBITMQ_DEFAULT_USER"], asked["RABBITMQ_DEFAULT_PASS"])


def test_a_variable_that_must_be_set_is_asked_for_by_name():
    with pytest.raises(ValueError, match="PASSWORD: say which"):
        interpolated({"a": ["${PASSWORD:?say which}"]}, {})
    assert interpolated("$$ ${A:-x} ${B}${A:-y}", {"A": "a"}) == "$ a a"


def test_the_broker_and_the_store_keep_what_they_were_given_over_a_restart(document):
    services = document["services"]
    assert services["redis"]["command"] == [
        "redis-server",
        *("--appendonly", "yes"),
        *("--appendfsync", "always"),
        *("--maxmemory-policy", "noeviction"),
    ]
    kept = {name: service.get("volumes") for name, service in services.items()}
    assert kept["redis"] == ["redis-data:/data"]
    assert kept["rabbitmq"] == ["rabbitmq-data:/var/lib/rabbitmq"]
    # RabbitMQ's folder is named for its host.
    assert services["rabbitmq"]["hostname"] == "rabbitmq"


def test_two_replicas_share_one_log_that_outlives_them(document, image):
    services = document["services"]
    service = services["storefront"]
    assert replicas(service) == 2
    url = urlsplit(environment(image, service)["STOREFRONT_REDIS_URL"])
    assert (url.scheme, url.hostname, url.port) == ("redis", "redis", 6379)
    # Nothing of a replica is kept; and the image's own volume would leave one behind with every container.
    assert "volumes" not in service
    assert environment(image, service)["STOREFRONT_DATA_DIR"] in service["tmpfs"]
    assert set(document["volumes"]) == {"rabbitmq-data", "redis-data"}


def test_a_container_may_open_as_many_streams_as_the_service_takes(document, monkeypatch):
    files = document["services"]["storefront"]["ulimits"]["nofile"]
    monkeypatch.setattr("resource.getrlimit", lambda _: (files, files))
    assert Limits().most_connections() >= Settings().streams.max_streams


def test_the_image_runs_serve_as_nobody_in_particular(image):
    assert (image.entrypoint, image.command) == (["storefront"], ["serve"])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["scripts"] == {"storefront": "storefront.__main__:main"}
    assert image.user == "storefront"
    assert image.stop_signal == "SIGTERM"
    assert image.volumes == [image.environment[PREFIX + "DATA_DIR"]] == ["/data"]
    assert any("useradd" in line and "--uid 10001" in line for line in image.all("RUN"))


def test_the_image_asks_itself_without_a_shell_and_without_a_proxy(image):
    python, option, source = image.health_check
    assert (python, option) == ("python", "-c")
    assert "http://127.0.0.1:8080/health/live" in source
    assert "ProxyHandler({})" in source
    assert image.environment[PREFIX + "BIND"].endswith(":8080")


def test_the_image_is_built_from_the_lock_and_needs_no_compiler(image):
    installs = [line for line in image.all("RUN") if "pip install" in line]
    assert any(
        "--require-hashes --requirement deploy/requirements.txt" in line for line in installs
    )
    for line in installs:
        # What is not checked against the lock may fetch nothing.
        assert "--require-hashes" in line or {"--no-deps", "--no-build-isolation"} <= set(
            line.split()
        )
    bases = {line.split()[0] for line in image.all("FROM")}
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.\d+-slim", bases.pop())


def test_a_build_is_sent_what_it_copies_and_nothing_else(image):
    copied = [
        source
        for line in image.all("COPY")
        if not line.startswith("--from")
        for source in line.split()[:-1]
    ]
    assert sorted(copied) == [
        "README.md",
        "deploy/requirements.txt",
        "pyproject.toml",
        "storefront",
    ]
    for source in copied:
        assert (ROOT / source).exists()
        assert sent(source), source
    assert sent("storefront/store/schema.sql")
    for private in (
        ".git/config",
        ".data/demo-secret",
        ".venv/bin/python",
        "tests/compose.py",
        ".env",
    ):
        assert not sent(private), private
    assert not sent("storefront/domain/__pycache__/ids.cpython-311.pyc")


def sent(path: str) -> bool:
    """Whether .dockerignore lets a path through: the last pattern that fits it, or a folder above it, decides."""
    let_through = True
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        pattern = line.removeprefix("!").removeprefix("**/")
        if line.startswith("#") or not pattern:
            continue
        steps = path.split("/")
        above = ["/".join(steps[: n + 1]) for n in range(len(steps))]
        fits = steps if line.startswith("**/") else above
        if any(fnmatch(each, pattern) for each in fits):
            let_through = line.startswith("!")
    return let_through
