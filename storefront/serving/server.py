"""Hypercorn on our socket: its configuration, its listeners, and the order in which it leaves.

    serving     the listener accepts, connections are used again
    draining    no write outlasts the drain; connections end with their present answers;
                new ones are still let in
    closing     nobody new; over with the last connection, at the latest GRACE after the drain's end

In place of `hypercorn.trio.serve`, of which it is the same dozen lines without the lifespan
protocol: the application is built and torn down by the composition root, and Hypercorn would go on
"without lifespan support" after a start that failed.
"""

from __future__ import annotations

import logging
import math
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.typing import ASGIFramework
from hypercorn.utils import repr_socket_addr

from storefront.errors import SettingsError
from storefront.serving.corrections import require_corrected_version
from storefront.serving.door import Door
from storefront.serving.drain import Drain
from storefront.serving.limits import Limits
from storefront.serving.patience import Patience
from storefront.serving.watch import ServingWatch

ASGIApp = ASGIFramework

# Between the drain's end, at which every write has ended, and the cancellation of what has not
# drawn the consequence: an application's own tidying up.
GRACE = 1.0


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files: a certificate with its chain, and its key.

    HTTP/2 and HTTP/1.1 are both offered (ALPN).
    """

    cert: str | Path
    key: str | Path


async def serve_http(
    app: ASGIApp,
    listening: socket.socket,
    *,
    send_timeout: float = 10.0,
    drain: Drain,
    tls: Tls | None = None,
    watch: ServingWatch | None = None,
    limits: Limits | None = None,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `app` until the drain is over; `started` carries the URLs.

    Returns when the listeners are closed and the last connection is gone, at the latest GRACE
    seconds after the drain's end, whatever browsers do. Cancelled, it ends at once. Closes
    `listening`.

    Args:
        app: An ASGI 3 application; it gets HTTP scopes only, each with a `Connection`.
        listening: From `open_listening_socket`.
        send_timeout: Seconds that one write of at most 16 KiB may take; then its browser is cut
            off.
        drain: When to leave.
        tls: None for plain HTTP, then also HTTP/2 with prior knowledge.
        watch: What to count in.
        limits: Bounds per connection; tests make them small.
        task_status: Trio's.

    Raises:
        SettingsError: The certificate or its key cannot be used; one line that names the variables.
        StorefrontError: The installed Hypercorn is not the one that is corrected here.
    """
    require_corrected_version()
    watch, limits = watch or ServingWatch(), limits or Limits()
    config = _configuration(limits)
    context = _tls_context(config, tls) if tls else None
    patience = Patience(send_timeout, drain, watch)
    door = Door(ASGIWrapper(app), config, patience=patience, limits=limits, watch=watch)
    plain = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
    secured = trio.SSLListener(plain, context, https_compatible=True) if context else None
    accepting = trio.CancelScope()
    async with trio.open_nursery() as connections:
        connections.start_soon(door.abort_when_cancelled)
        connections.start_soon(_leave, drain, door, patience, accepting, connections.cancel_scope)
        connections.start_soon(_close, drain, accepting)
        task_status.started([f"{'https' if tls else 'http'}://{_name(listening)}"])
        with accepting:
            await trio.serve_listeners(door.admit, [secured or plain], handler_nursery=connections)
        # Those who were accepted in the last moment have a task by now, and hear of it too.
        await trio.lowlevel.checkpoint()
        await door.retire()
        await door.wait_empty()
        connections.cancel_scope.cancel()


async def _close(drain: Drain, accepting: trio.CancelScope) -> None:
    await drain.wait_closing()
    accepting.cancel()


async def _leave(
    drain: Drain,
    door: Door,
    patience: Patience,
    accepting: trio.CancelScope,
    connections: trio.CancelScope,
) -> None:
    """Hold everybody to the drain's end, each time it comes nearer."""
    end = math.inf
    while True:
        end = await drain.wait_nearer(end)
        accepting.deadline = end  # also if nobody closes the listeners
        connections.deadline = end + GRACE
        patience.hurry()
        await door.retire()


def _configuration(limits: Limits) -> Config:
    """What Hypercorn's own classes still ask of its configuration; the rest is in Limits."""
    config = Config()
    config.errorlog = logging.getLogger(__name__)  # a name would make it add a handler of its own
    config.accesslog = (
        None  # it costs with every request; requests are counted and traced elsewhere
    )
    config.include_server_header = False
    config.h11_max_incomplete_size = limits.head_bytes
    config.h2_max_header_list_size = limits.head_bytes
    config.h2_max_concurrent_streams = limits.streams
    config.keep_alive_max_requests = limits.requests
    return config


def _tls_context(config: Config, tls: Tls) -> ssl.SSLContext:
    config.certfile, config.keyfile = str(tls.cert), str(tls.key)
    try:
        context = config.create_ssl_context()
    except OSError as exc:  # ssl.SSLError is one
        names = f"STOREFRONT_TLS_CERT={config.certfile!r}, STOREFRONT_TLS_KEY={config.keyfile!r}"
        raise SettingsError(f"{names}: {exc.strerror or exc}") from exc
    if context is None:  # two paths are set, so there is one; Hypercorn's type cannot say it
        raise AssertionError
    # Renegotiation would let a TLS 1.2 client buy our private key's work for a few bytes.
    context.options |= ssl.OP_NO_RENEGOTIATION
    return context


def _name(listening: socket.socket) -> str:
    return repr_socket_addr(listening.family, listening.getsockname())
