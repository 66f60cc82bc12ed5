"""What a worker knows of its parent: a socket to serve on, and a lifeline.

The lifeline is a pair of sockets and not prctl(PR_SET_PDEATHSIG), which is Linux's alone, and which
kills at the end of the *thread* that started the process: Trio starts processes in a thread that it
lets go after ten idle seconds. And words can be sent over it.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from contextlib import suppress

from storefront import process
from storefront.errors import SettingsError, StoreCorruptError

# The exit code of one that followed its parent, as if it had been killed together with it.
EXIT_ORPHAN = 128 + signal.SIGKILL


def inherited(descriptor: int) -> socket.socket:
    """A socket that the parent handed over.

    Raises:
        SettingsError: it is none; somebody typed the command.
    """
    try:
        found = socket.socket(fileno=descriptor)
    except (OSError, ValueError) as exc:
        raise SettingsError("worker: started by `storefront serve --workers`, not by hand") from exc
    found.set_inheritable(False)
    return found


class Lifeline:
    """The worker's end."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def follow_parent(self) -> None:
        """End this process at once when its parent has ended, however that was.

        At once, because the parent was killed, or crashed, or was asked twice, and whoever starts
        it again needs the port, which a drain would keep for seconds more. Nothing is lost by it:
        messages in hand come again, and browsers come back with their cursors.
        """
        # A thread: a loop that no longer turns must not keep the port either.
        threading.Thread(target=self._wait, name="lifeline", daemon=True).start()

    def refuse(self, error: SettingsError | StoreCorruptError) -> int:
        """Have the parent tell the operator; the exit code that goes with the error."""
        # A parent that is gone tells nobody, and ends us.
        with suppress(OSError):
            self._connection.sendall(str(error).encode())
        return process.exit_code(error)

    def _wait(self) -> None:
        # The parent says nothing: what can be read is its end.
        with suppress(OSError):
            self._connection.recv(1)
        os._exit(EXIT_ORPHAN)
