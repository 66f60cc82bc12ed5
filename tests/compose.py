"""compose.yaml and the Dockerfile as an engine reads them, as far as this project uses them.

What is read: values after interpolation, command lines, environments. Nothing is judged here; test_compose judges,
and system/test_compose_runs runs. Something that is not understood is an error, never passed over.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped] # its types are a package of their own, for one call

ROOT = Path(__file__).parent.parent
COMPOSE_FILE = ROOT / "compose.yaml"
DOCKERFILE = ROOT / "Dockerfile"

# ${NAME}, ${NAME:-default}, ${NAME:?why}, and $$ for a dollar.
VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>\w+)(?::(?P<way>[-?])(?P<rest>[^}]*))?\})")
DURATION = re.compile(r"(?:(\d+)m)?(?:(\d+)s)?")

Document = dict[str, Any]


@dataclass(kw_only=True)
class Image:
    """What the last stage of a Dockerfile leaves behind; `instructions` are those of all stages."""

    instructions: list[tuple[str, str]]
    environment: dict[str, str] = field(default_factory=dict)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health_check: list[str] = field(default_factory=list)
    user: str = ""
    stop_signal: str = ""
    volumes: list[str] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        """The arguments of every instruction of this name."""
        return [arguments for each, arguments in self.instructions if each == name]


def read_dockerfile(path: Path = DOCKERFILE) -> Image:
    """The instructions, with continued lines joined; JSON (exec) forms only, for there is no shell to ask."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text("utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n", " ", text).splitlines()
    words = [line.strip().partition(" ") for line in lines if line.strip()]
    image = Image(instructions=[(name, arguments.strip()) for name, _, arguments in words])
    last_stage = max(i for i, (name, _) in enumerate(image.instructions) if name == "FROM")
    for name, arguments in image.instructions[last_stage:]:
        match name:
            case "ENV":
                image.environment |= dict(pair.split("=", 1) for pair in shlex.split(arguments))
            case "ENTRYPOINT":
                image.entrypoint = json.loads(arguments)
            case "CMD":
                image.command = json.loads(arguments)
            case "HEALTHCHECK":
                image.health_check = json.loads(arguments.partition("CMD ")[2])
            case "USER":
                image.user = arguments
            case "STOPSIGNAL":
                image.stop_signal = arguments
            case "VOLUME":
                image.volumes.append(arguments)
    return image


def read_compose(environ: Mapping[str, str], path: Path = COMPOSE_FILE) -> Document:
    """The document with every variable replaced by its value in `environ`, or by its default."""
    document: Document = interpolated(yaml.safe_load(path.read_text("utf-8")), environ)
    return document


def interpolated(value: Any, environ: Mapping[str, str]) -> Any:
    """The same structure with the variables in its texts replaced.

    Raises:
        ValueError: a variable that must be set is not.
    """
    if isinstance(value, dict):
        return {key: interpolated(each, environ) for key, each in value.items()}
    if isinstance(value, list):
        return [interpolated(each, environ) for each in value]
    if isinstance(value, str):
        return VARIABLE.sub(lambda found: _replaced(found, environ), value)
    return value


def _replaced(found: re.Match[str], environ: Mapping[str, str]) -> str:
    name, rest = found["name"], found["rest"]
    if name is None:
        return "$"
    if environ.get(name):
        return environ[name]
    if found["way"] == "?":
        raise ValueError(f"{name}: {rest}")
    return rest or ""


def is_ours(service: Mapping[str, Any]) -> bool:
    """Whether a service runs the image of our Dockerfile."""
    return service.get("build") == "."


def command_line(image: Image, service: Mapping[str, Any]) -> list[str]:
    """What the container runs."""
    entrypoint: Sequence[str] = service.get("entrypoint", image.entrypoint)
    return [*entrypoint, *service.get("command", image.command)]


def environment(image: Image, service: Mapping[str, Any]) -> dict[str, str]:
    """What is set in the container."""
    return image.environment | {k: str(v) for k, v in service.get("environment", {}).items()}


def seconds(duration: str) -> float:
    """`1m30s` is 90.

    Raises:
        ValueError: it is no such duration.
    """
    found = DURATION.fullmatch(duration)
    if not found or not duration:
        raise ValueError(f"{duration!r} is not a duration")
    return int(found[1] or 0) * 60 + int(found[2] or 0)
