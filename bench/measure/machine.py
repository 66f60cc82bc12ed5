"""Where a figure was taken: a figure without its machine is a rumour."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
from importlib import metadata
from pathlib import Path

PACKAGES = (
    "trio", "hypercorn", "quart", "quart-trio", "httpx", "aio-pika", "trio-asyncio", "redis",
    "msgspec", "uvicorn", "uvloop", "httptools", "sse-starlette", "starlette", "hdrhistogram",
)  # fmt: skip
DEBIAN = ("rabbitmq-server", "redis-server", "nginx", "libnginx-mod-nchan", "nodejs")


def machine() -> dict[str, object]:
    """Processor, memory, kernel, limits, versions, and what else was running."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
        "open_files": {"soft": soft, "hard": hard},
        "somaxconn": _number("/proc/sys/net/core/somaxconn"),
        "packages": {name: _version(name) for name in PACKAGES},
        "debian": {name: _debian(name) for name in DEBIAN},
        "revision": _said("git", "describe", "--always", "--dirty"),
    }


def allow_many_files(needed: int) -> str:
    """Raise the soft limit of open files to the hard one; a complaint where even that is too low,
    else "".
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # A few hundred for what is not a stream.
    if hard < needed + 300:
        return f"the hard limit of open files is {hard}: {needed} streams in a process need more"
    return ""


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.machine()


def _number(path: str) -> int:
    return int(Path(path).read_text())


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _debian(package: str) -> str:
    return _said("dpkg-query", "--show", "--showformat=${Version}", package)


def _said(*command: str) -> str:
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except OSError:
        return ""
    return run.stdout.strip()
