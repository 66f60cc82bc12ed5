"""The listening socket: bound by us, before anything is served, so that failing is one clear line.

What is set on it is inherited by every accepted connection, which is the only place where the
kernel's share of a stream can be bounded: Hypercorn neither knows nor asks.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

from storefront.errors import ListenError

# What the kernel says, in the operator's words.
_REASONS = {
    errno.EADDRINUSE: "the address is already in use",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.EACCES: "this process may not listen there",
    errno.EBADF: "there is no such descriptor",
    errno.ENOTSOCK: "that descriptor is no socket",
}


def open_listening_socket(
    bind: str,
    *,
    backlog: int = 4096,
    user_timeout: float = 30.0,
    send_buffer: int = 256 * 1024,
) -> socket.socket:
    """The socket that listens at `bind`; the caller closes it, or hands it to `serve_http`.

    Args:
        bind: The value of STOREFRONT_BIND: "host:port", "[v6]:port", ":port" (every IPv4 address),
            port 0 (the system picks), "unix:/path", or "fd://3": a listening socket opened by
            whoever started us, as systemd does; `backlog` is theirs then.
        backlog: Connections that may wait for accept(2). 1,000 browsers coming back at once took
            8-28 s through a backlog of 100 and 1-2 s through 4096, which is also where
            net.core.somaxconn stands; past it the kernel drops the SYN, and the browser sends it
            again by itself.
        user_timeout: Seconds after which a peer that acknowledges nothing has vanished. Set to 3 s
            it also reset readers that were merely slow: it is the second line behind the write
            deadline.
        send_buffer: Bytes asked for per connection, of which Linux grants the double. Measured:
            left to the kernel's tuning one vanished browser pinned 4.1 MiB, so 0.5 MiB. (One that
            is there and does not read pins about 50 KiB either way: Trio's TCP_NOTSENT_LOWAT sees
            to that.) It allows 2.5 MB/s at 100 ms of round trip, far beyond a stream of events.

    Raises:
        ListenError: The address is malformed, taken, not ours or not allowed; one line that names
            it.
    """
    try:
        if bind.startswith("unix:"):
            return _listen_unix(bind.removeprefix("unix:"), backlog)
        if bind.startswith("fd://"):
            listening = _take_over(bind.removeprefix("fd://"))
            _bound_what_it_accepts(listening, user_timeout, send_buffer)
            return listening
        return _listen_tcp(*_host_and_port(bind), backlog, user_timeout, send_buffer)
    except OSError as exc:
        # getaddrinfo's numbers are not errno's, so the text is the fallback, not the number.
        reason = _REASONS.get(exc.errno or 0) or exc.strerror or str(exc)
        raise ListenError(f"STOREFRONT_BIND: cannot listen at {bind!r}: {reason}") from exc
    except ValueError as exc:  # UnicodeError of a host name among them
        raise ListenError(f"STOREFRONT_BIND: cannot understand {bind!r}: {exc}") from exc


def _host_and_port(bind: str) -> tuple[str, int]:
    host, colon, port = bind.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ValueError("it must end in a colon and a port from 0 to 65535")
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1], int(port)
    if ":" in host:
        raise ValueError("an IPv6 address needs brackets, as in [::1]:8080")
    return host or "0.0.0.0", int(port)  # noqa: S104 - an empty host asks for every address, knowingly


def _listen_tcp(
    host: str, port: int, backlog: int, user_timeout: float, send_buffer: int
) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # A name such as localhost may mean two addresses; IPv4 is what the setting's default means.
    family, kind, protocol, _, address = min(found, key=lambda info: info[0] != socket.AF_INET)
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _bound_what_it_accepts(listening, user_timeout, send_buffer)
        if family == socket.AF_INET6:
            # [::] then means both families, whatever net.ipv6.bindv6only says.
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind(address)
        listening.listen(backlog)
    except BaseException:
        listening.close()
        raise
    return listening


def _bound_what_it_accepts(listening: socket.socket, user_timeout: float, send_buffer: int) -> None:
    if listening.family == socket.AF_UNIX:
        return
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(user_timeout * 1000))


def _take_over(number: str) -> socket.socket:
    """The socket behind a descriptor; no child of ours inherits it by accident."""
    if not (number.isascii() and number.isdigit() and len(number) < 8):
        raise ValueError("fd:// needs the number of a descriptor")
    found = socket.socket(fileno=int(number))
    if not _listens(found):
        found.detach()  # not ours to close
        raise ValueError("that socket does not listen")
    found.set_inheritable(False)
    return found


def _listens(found: socket.socket) -> bool:
    accepts = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    return found.type == socket.SOCK_STREAM and bool(accepts)


def _listen_unix(path: str, backlog: int) -> socket.socket:
    if not path:
        raise ValueError("unix: needs a path")
    _remove_stale(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(path)
        listening.listen(backlog)
    except BaseException:
        listening.close()
        raise
    return listening


def _remove_stale(path: str) -> None:
    """Remove what a process that is gone left behind; a path that somebody answers at is taken."""
    try:
        if not stat.S_ISSOCK(Path(path).lstat().st_mode):
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)  # a full backlog makes connect wait: somebody is there, then
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink(missing_ok=True)
        else:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
