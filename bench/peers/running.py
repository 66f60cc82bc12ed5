"""A peer, installed where it is missing and started: what each one needs, and the settings it is
given.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from bench.children import REPOSITORY
from bench.servers.subject import PeerSubject
from tests.system.servers.ports import LOOPBACK, answers, free_port
from tests.system.servers.process import ServerProcess

HERE = Path(__file__).parent
CACHE = REPOSITORY / ".artefacts" / "bench"
NCHAN_MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
INSTALL = REPOSITORY / "tests" / "install-debian.sh"

# The hash is of the package's archive, as npm writes it into a lock file: what comes is this, or
# nothing.
BETTER_SSE = "0.16.1"
BETTER_SSE_HASH = (
    "sha512-1gc5LUmdMX49Whq/XWOfNKBmMpZCaFLWk0Pt4A5p41T/"
    "6/sK1cV7Px/3ep84gwZs6Vz6V/tgozz6EscTT0lLoA=="
)

PEERS = ("sse-starlette", "better-sse", "nchan")
SETTINGS: Mapping[str, Sequence[str]] = {
    "sse-starlette": (
        "uvicorn, one process, uvloop, httptools, no access log, backlog 4096",
        "frames are bytes, encoded by the publisher",
    ),
    "better-sse": (
        "Node's own HTTP server, backlog 4096",
        "one shared event buffer per event (session.batch)",
        "serializer and sanitizer are the identity",
    ),
    "nchan": (
        "one worker, access log off, multi_accept, backlog 4096",
        "message ids are nchan's own: a few bytes more than the others' frames",
    ),
    "pipeline": (
        "aio-pika, prefetch 100, an ack per message; sse-starlette as above; no log, no replay",
    ),
}


class Program(ServerProcess):
    """A peer's program."""

    start_within = 30.0


@asynccontextmanager
async def open_peer(
    name: str,
    folder: Path,
    *,
    heartbeat: int = 30,
    amqp: str = "",
    queue: str = "",
    workers: int = 1,
) -> AsyncIterator[PeerSubject]:
    """A peer by its name, running for the time of the block; `pipeline` consumes `queue` at
    `amqp`.
    """
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - nothing else runs yet
    port = free_port()
    environment: dict[str, str] = {}
    if name == "better-sse":
        command = _better_sse(port, heartbeat)
    elif name == "nchan":
        command = _nchan(folder, port, heartbeat, workers)
    else:
        # Interpreter and repository as for Storefront.
        environment["PYTHONPATH"] = str(REPOSITORY)
        command = [sys.executable, "-m", "bench.peers.starlette_app", str(port), str(heartbeat)]
    if name == "pipeline":
        environment |= {"BENCH_AMQP": amqp, "BENCH_QUEUE": queue}
    ready = b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
    if name == "better-sse":
        ready = b"POST /ready HTTP/1.1\r\nHost: bench\r\nContent-Length: 9\r\n\r\nid:\ndata:"
    process = Program(
        name,
        command,
        folder=folder,
        ready=lambda: answers(port, ready, b"HTTP/1.1"),
        environment=environment,
    )
    subject = PeerSubject(name=name, process=process, port=port, settings=SETTINGS[name])
    if name == "nchan":
        subject.opening_frame = False
        subject.as_frame = False
    # A stream is a file: the programs inherit our limit.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with process:
        await process.start()
        yield subject


def _better_sse(port: int, heartbeat: int) -> list[str]:
    _install_where_missing("node", "nodejs")
    folder = CACHE / f"better-sse-{BETTER_SSE}"
    if not (folder / "node_modules" / "better-sse" / "package.json").exists():
        _install_where_missing("npm", "npm")
        _fetch_better_sse(folder)
    return ["node", str(HERE / "better_sse.mjs"), str(port), str(heartbeat), str(folder)]


def _fetch_better_sse(folder: Path) -> None:
    """Through npm, held to the hash by a lock file. Nothing of the package is run while it is
    installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wants = {"name": "peer", "version": "1.0.0", "dependencies": {"better-sse": BETTER_SSE}}
    locked = {
        "": {"version": wants["version"], "dependencies": wants["dependencies"]},
        "node_modules/better-sse": {"version": BETTER_SSE, "integrity": BETTER_SSE_HASH},
    }
    lock = {"name": "peer", "version": "1.0.0", "lockfileVersion": 3, "packages": locked}
    (folder / "package.json").write_text(json.dumps(wants))
    (folder / "package-lock.json").write_text(json.dumps(lock))
    subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"],
        cwd=folder,
        check=True,
        timeout=120,
    )


def _nchan(folder: Path, port: int, heartbeat: int, workers: int) -> list[str]:
    if not NCHAN_MODULE.exists():
        subprocess.run([INSTALL, "nginx", "libnginx-mod-nchan"], check=True, timeout=600)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    text = (HERE / "nchan.conf").read_text()
    for word, value in {
        "WORKERS": workers,
        "FILES": hard,
        "FOLDER": folder,
        "MODULE": NCHAN_MODULE,
        "PORT": port,
        "HEARTBEAT": heartbeat,
    }.items():
        text = text.replace(f"@{word}@", str(value))
    configuration = folder / "nginx.conf"
    user = "user root;\n" if os.geteuid() == 0 else ""
    configuration.write_text(user + text)
    return [_nginx(), "-e", "stderr", "-p", str(folder), "-c", str(configuration)]


def _nginx() -> str:
    # Debian keeps it where only administrators look.
    return shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin") or "nginx"


def _install_where_missing(program: str, package: str) -> None:
    if shutil.which(program) is None:
        subprocess.run([INSTALL, package], check=True, timeout=600)


__all__ = ["LOOPBACK", "PEERS", "SETTINGS", "open_peer"]
