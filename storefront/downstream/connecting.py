"""The time of connecting, bounded without httpx's own timeouts, and its last step kept whole.

httpcore tells each step of a call to a `trace` function, in the task that makes the call. So two
cancel scopes around the call are moved as the connection comes about:

* `bound` has a deadline from the first packet until the connection stands, TLS included.
* `kept` is a shield between that and the first byte of the request. There httpcore 1.0.9 takes a
  lock, and whoever is cancelled at it leaves a connection that is neither used, idle nor closed,
  and holds its place in the pool for good. Nobody holds that lock then, so the shield lasts for
  one turn of the loop.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import trio


class Connecting:
    """One call's way to its connection.

    Attributes:
        sent: whether the service has been sent anything. Until then it certainly heard nothing.
    """

    def __init__(self, seconds: float) -> None:
        self.bound = trio.CancelScope()
        self.kept = trio.CancelScope()
        self.sent = False
        self._seconds = seconds
        self._until = math.inf
        self._plain: Any = None

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """What httpcore calls the `trace` extension."""
        match event:
            case "connection.connect_tcp.started":
                self._until = self.bound.deadline = trio.current_time() + self._seconds
            case "connection.connect_tcp.complete":
                self._plain = info["return_value"]
                self._keep()
            case "connection.start_tls.started":
                self.kept.shield, self.bound.deadline = False, self._until
            case "connection.start_tls.complete":
                self._keep()
            case "connection.start_tls.failed":
                # httpcore forgets the socket when it is cancelled here.
                with trio.CancelScope(shield=True):
                    await self._plain.aclose()
            case "http11.send_request_headers.started":
                self.kept.shield, self.bound.deadline, self.sent = False, math.inf, True

    def _keep(self) -> None:
        self.kept.shield, self.bound.deadline = True, math.inf
