"""What is wrong with a compose file of this project, as lines of words. Judged without an engine.

A key outside the tables here counts as a fault: it is misspelt, or nobody has thought about it yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

from storefront.__main__ import cli
from storefront.demo.addresses import Ports
from storefront.errors import SettingsError
from storefront.process import LAST_RESORT_AFTER_DRAIN
from storefront.service import check
from storefront.settings import PREFIX, describe, from_environment
from tests.compose import ROOT, Document, Image, command_line, environment, is_ours, seconds
from tests.compose_nginx import Directive, every, last_word, read_nginx

# Of the Compose Specification, what this project has a use for: a misspelt key is not among them.
TOP_LEVEL = {"name", "services", "volumes", "configs"}
SERVICE = {
    "build", "cap_drop", "command", "configs", "depends_on", "deploy", "environment", "healthcheck", "hostname",
    "image", "ports", "read_only", "restart", "security_opt", "stop_grace_period", "sysctls", "tmpfs", "ulimits",
    "user", "volumes",
}  # fmt: skip
HEALTH_CHECK = {"test", "interval", "timeout", "start_period", "retries"}

IMAGE_NAME = re.compile(r"[a-z0-9./-]+:(?P<tag>[\w.-]+)")
LOOPBACK_PORT = re.compile(r"127\.0\.0\.1:(?P<host>\d+):\d+")
EVERYWHERE = "0.0.0.0"


def faults(document: Document, image: Image) -> Iterator[str]:
    """What is wrong, a line each."""
    services = document["services"]
    for key in document.keys() - TOP_LEVEL:
        if not key.startswith("x-"):
            yield f"unknown key {key}"
    for name, service in services.items():
        for what in (
            *_keys(service),
            *_source(service),
            *_privileges(service),
            *_health(service),
            *_neighbours(service, services),
            *(_ours(service, image, services) if is_ours(service) else ()),
            *_replicas(service, image),
            *(_proxy(service, image, document) if "configs" in service else ()),
        ):
            yield f"{name}: {what}"
    yield from _shared(document)


def _keys(service: dict[str, Any]) -> Iterator[str]:
    for key in service.keys() - SERVICE:
        yield f"unknown key {key}"
    if service.get("restart") != "unless-stopped":
        yield "is not started again"


def _source(service: dict[str, Any]) -> Iterator[str]:
    if ("image" in service) == ("build" in service):
        yield "needs an image or a build, and not both"
    named = IMAGE_NAME.fullmatch(service.get("image", "x:1"))
    if named is None or named["tag"] == "latest":
        yield "is an image without a version"


def _privileges(service: dict[str, Any]) -> Iterator[str]:
    for port in service.get("ports", ()):
        if not LOOPBACK_PORT.fullmatch(port):
            yield f"port {port} is not bound to loopback"
    for volume in service.get("volumes", ()):
        if volume.startswith(("/", ".", "~")):
            yield f"{volume} is a folder of the machine"
    # RabbitMQ and Redis begin as root, to take their folders over.
    if is_ours(service) or "configs" in service:
        if not service.get("read_only") or service.get("cap_drop") != ["ALL"]:
            yield "may write to its image, or has capabilities"
        if "no-new-privileges:true" not in service.get("security_opt", ()):
            yield "may gain privileges"


def _health(service: dict[str, Any]) -> Iterator[str]:
    check_ = service.get("healthcheck", {})
    if check_.keys() != HEALTH_CHECK:
        yield "has no health check, or not all of one"
        return
    if check_["test"][0] != "CMD" or len(check_["test"]) < 2:
        yield "has a health check that needs a shell"
    if min(seconds(check_[key]) for key in ("interval", "timeout", "start_period")) <= 0:
        yield "has a health check without patience"


def _neighbours(service: dict[str, Any], services: dict[str, Any]) -> Iterator[str]:
    for other, how in service.get("depends_on", {}).items():
        if other not in services:
            yield f"depends on {other}, which is not there"
        if how != {"condition": "service_healthy"}:
            yield f"does not wait until {other} is healthy"


def _ours(service: dict[str, Any], image: Image, services: dict[str, Any]) -> Iterator[str]:
    line = command_line(image, service)
    if line[0] != "storefront" or line[1] not in cli.commands:
        yield f"runs {' '.join(line)}, which is no command of ours"
    given = environment(image, service)
    try:
        settings = from_environment(given)
        if line[1] == "serve":
            check(settings)
    except SettingsError as exc:
        yield str(exc)
        return
    if (
        seconds(service.get("stop_grace_period", "10s"))
        <= settings.serving.drain + LAST_RESORT_AFTER_DRAIN
    ):
        yield "is killed before its last resort"
    # A neighbour that is not set would be looked for in the container itself.
    urls = describe(settings) if line[1] == "serve" else given
    yield from _ways(service, services, image, urls)


def _ways(
    service: dict[str, Any], services: dict[str, Any], image: Image, urls: Mapping[str, str]
) -> Iterator[str]:
    if not (listens := listening_ports(service, image)):
        yield "listens where no other container can reach it"
    for port in (int(each.split(":")[-1]) for each in service.get("ports", ())):
        if port not in listens:
            yield f"publishes {port}, where nobody listens"
    for name in (key for key in urls if key.endswith("_URL") and urls[key]):
        url = urlsplit(urls[name])
        if url.hostname not in service.get("depends_on", {}) or url.hostname not in services:
            yield f"{name} leads to {url.hostname}, which it does not wait for"
            continue
        neighbour = services[url.hostname]
        if is_ours(neighbour) and url.port not in listening_ports(neighbour, image):
            yield f"{name} leads to {url.port}, where nobody listens"


def _replicas(service: dict[str, Any], image: Image) -> Iterator[str]:
    if replicas(service) == 1:
        return
    if service.get("ports"):
        yield "has replicas that want one port"
    if service.get("volumes"):
        yield "has replicas that write into one volume"
    if not environment(image, service).get(PREFIX + "REDIS_URL"):
        yield "has replicas without a common log"


def replicas(service: Mapping[str, Any]) -> int:
    """How many containers a service is."""
    number: int = service.get("deploy", {}).get("replicas", 1)
    return number


def _proxy(service: dict[str, Any], image: Image, document: Document) -> Iterator[str]:
    """Of nginx: that its file is there, and leads where somebody listens."""
    files = {name: ROOT / each["file"] for name, each in document.get("configs", {}).items()}
    for named in service["configs"]:
        if not (path := files.get(named["source"], ROOT / "nowhere")).is_file():
            yield f"{named['source']} is a file that is not there"
            continue
        said = read_nginx(path)
        yield from _ways_of_nginx(said, service, document["services"], image)
        yield from _bounds_of_nginx(said, service)
    if service.get("user", "0").split(":")[0] in {"0", "root"}:
        yield "runs as root"


def _ways_of_nginx(
    said: list[Directive], service: dict[str, Any], services: dict[str, Any], image: Image
) -> Iterator[str]:
    listens = {each.words[0] for each in every(said, "listen")}
    for port in (each.split(":")[-1] for each in service.get("ports", ())):
        if port not in listens:
            yield f"publishes {port}, where nobody listens"
    for server in (
        each for group in every(said, "upstream") for each in every(group.block, "server")
    ):
        host, _, port = server.words[0].partition(":")
        if host not in services or host not in service.get("depends_on", {}):
            yield f"leads to {host}, which it does not wait for"
        elif int(port) not in listening_ports(services[host], image):
            yield f"leads to {port}, where nobody listens"
        if "resolve" not in server.words:
            yield f"does not notice when {host} has another address"


def _bounds_of_nginx(said: list[Directive], service: dict[str, Any]) -> Iterator[str]:
    if int(last_word(said, "worker_connections")) > service.get("ulimits", {}).get("nofile", 1024):
        yield "takes more connections than it may open files"
    leaves = seconds(last_word(said, "worker_shutdown_timeout"))
    if seconds(service.get("stop_grace_period", "10s")) <= leaves:
        yield "is killed before it has left"


def listening_ports(service: dict[str, Any], image: Image) -> set[int]:
    """Of a container of ours, those that can be reached from outside it."""
    line = command_line(image, service)
    if line[1:] == ["serve"]:
        host, port = environment(image, service)[PREFIX + "BIND"].split(":")
        return {int(port)} if host == EVERYWHERE else set()
    return set(asdict(Ports()).values()) if line[-2:] == ["--host", EVERYWHERE] else set()


def _shared(document: Document) -> Iterator[str]:
    services = document["services"].values()
    ports = [port.split(":")[1] for service in services for port in service.get("ports", ())]
    for port in {port for port in ports if ports.count(port) > 1}:
        yield f"port {port} is given twice"
    named = {each["source"] for service in services for each in service.get("configs", ())}
    if named != set(document.get("configs", {})):
        yield f"files are declared or used, not both: {named ^ set(document['configs'])}"
    mounted = {
        volume.split(":")[0] for service in services for volume in service.get("volumes", ())
    }
    if mounted != set(document.get("volumes", {})):
        yield f"volumes are declared or used, not both: {mounted ^ set(document['volumes'])}"
