"""nginx of our own, with the repository's deploy/nginx.conf: the file as it is, but for where things are on this machine.

`settled` is the one place where the container's world is mapped to a test's: addresses of replicas, port, folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from tests.system.servers.ports import LOOPBACK, answers, free_port
from tests.system.servers.process import ServerProcess

CONFIGURATION = Path(__file__).parents[3] / "deploy" / "nginx.conf"

# As compose.yaml starts it; its foreground is its only process of ours, ended by its pid.
COMMAND = ("nginx", "-e", "stderr", "-g", "daemon off;")


class NginxServer(ServerProcess):
    """One nginx on a port that stays the same over its restarts, in front of these `host:port` addresses."""

    start_within = 10.0  # measured 0.05 s
    stop_within = 10.0  # measured 0.03 s; three seconds more with SIGQUIT and streams open

    def __init__(
        self,
        folder: Path,
        replicas: Sequence[str],
        *,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self.port = free_port()
        text = settled(CONFIGURATION.read_text("utf-8"), folder, self.port, replicas)
        configuration = folder / "nginx.conf"
        configuration.write_text(text)
        *words, directives = command
        super().__init__(
            "nginx",
            [*words, directives + _user(), "-p", str(folder), "-c", str(configuration)],
            folder=folder,
            # Nothing that could be passed on: no replica hears of it.
            ready=lambda: answers(self.port, b"are you there?\r\n\r\n", b"HTTP/1.1 400 "),
            # Debian keeps it where only administrators look.
            environment={"PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"},
        )

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"


def settled(text: str, folder: Path, port: int, replicas: Sequence[str]) -> str:
    """The configuration for this machine.

    Raises:
        ValueError: the file no longer says what is to be replaced.
    """
    # Addresses need no looking up, and Debian's nginx is too old to do it more than once.
    servers = "\n".join(rf"server {address} \g<how>;" for address in replicas)
    text = replaced(r"server storefront:8080 resolve (?P<how>[^;]*);", servers, text)
    text = replaced(r"\blisten 8080\b(?= backlog=4096;\n\n)", f"listen {LOOPBACK}:{port}", text)
    return replaced(r"(?<= )/tmp/", f"{folder}/", text)


def replaced(pattern: str, new: str, text: str) -> str:
    """The text with every match replaced.

    Raises:
        ValueError: there is none.
    """
    result, times = re.subn(pattern, new, text)
    if not times:
        raise ValueError(f"{CONFIGURATION.name} says nothing like {pattern}")
    return result


def _user() -> str:
    """Root's nginx would hand its work to a user who may not enter a test's folder."""
    return " user root;" if os.geteuid() == 0 else ""
