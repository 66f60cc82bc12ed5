"""Storefront itself as operators run it: `python -m storefront serve` or `demo`, a child with nothing but variables.

The port is the system's choice (`STOREFRONT_BIND=127.0.0.1:0`), so the URL is read from the line that says the service
is listening. The environment is written down here and not inherited: a variable of the developer's shell must not
decide a test.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

from tests.system.servers.ports import LOOPBACK
from tests.system.servers.process import ServerError, ServerProcess

REPOSITORY = Path(__file__).parents[3]

# In either style of log: `listening url=http://...`, {"event": "listening", "url": "http://..."}.
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
LISTENING = re.compile(r"^(?=.*\blistening\b).*?(https?://[\w.\[\]:-]+)", re.MULTILINE)


class ServiceProcess(ServerProcess):
    """One process of Storefront (with WORKERS, one group of them), in `with` so that it always ends."""

    start_within = 30.0  # imports alone take one
    stop_within = 20.0  # the drain (10), the last resort (5), and a busy machine

    def __init__(
        self, folder: Path, command: str = "serve", *arguments: str, **settings: str
    ) -> None:
        """`settings` are the variables without their prefix: RABBITMQ_URL, JWT_SECRET, ..."""
        own = {"BIND": f"{LOOPBACK}:0", "DATA_DIR": str(folder / "data")} | settings
        super().__init__(
            "storefront",
            [sys.executable, "-m", "storefront", command, *arguments],
            folder=folder,
            ready=self._accepts,
            environment={
                **{f"STOREFRONT_{name}": value for name, value in own.items()},
                "PYTHONPATH": str(REPOSITORY),
                "PYTHONUNBUFFERED": "1",
                "PYTHONFAULTHANDLER": "1",  # a test that hangs sends SIGABRT and reads the stacks
            },
        )
        self._said_before = 0

    @property
    def url(self) -> str:
        """Where it listens since its last start, without a slash at the end.

        Raises:
            ServerError: it has not said so yet.
        """
        said = LISTENING.search(COLOUR.sub("", self.output()[self._said_before :]))
        if said is None:
            raise self.failure("has not said where it listens")
        return said[1]

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    def spawn(self) -> None:
        """Start it again or for the first time; what it says from now on counts for `url`."""
        self._said_before = len(self.output())
        super().spawn()

    def rss(self) -> int:
        """Resident memory of the first process in KiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        (kib,) = re.findall(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
        return int(kib)

    def cpu_seconds(self) -> float:
        """Processor time of the first process so far, user and system."""
        # Fields 14 and 15 (proc(5)); the second one, the name, may hold spaces and ends with the last parenthesis.
        after_name = Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")

    def _accepts(self) -> bool:
        try:
            address = (LOOPBACK, self.port)
        except ServerError:
            return False
        try:
            with socket.create_connection(address, timeout=1.0):
                return True
        except OSError:
            return False
