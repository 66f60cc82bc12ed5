"""Storefront with two ears of the bench in it, neither of which ships.

    python -m bench.servers.observed serve      as python -m storefront serve

A route of fixed JSON, `/bench/still`, in the same app on the same server: what a view is compared
with. And the moments at which the hub was given events, written to the file that BENCH_NOTED names:
where the fan-out begins. A note costs one write of 12 bytes per event, not per stream.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from quart import Blueprint, Response

from storefront import __main__, service
from storefront.realtime.hub import Hub
from storefront.store.contract import Entry

NOTE = struct.Struct("qI")  # nanoseconds, number


def still_page(body: bytes) -> Blueprint:
    """The fixed answer; its length is what a view's was."""
    page = Blueprint("still", __name__)

    @page.get("/bench/still")
    async def still() -> Response:
        return Response(body, content_type="application/json")

    return page


def note_publications(path: str) -> None:
    """Have every hub say when it was given which number."""
    noted = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    publish = Hub.publish

    def publish_and_note(hub: Hub, entries: Sequence[Entry]) -> None:
        moment = time.monotonic_ns()
        publish(hub, entries)
        os.write(noted, b"".join(NOTE.pack(moment, entry.position.seq) for entry in entries))

    Hub.publish = publish_and_note  # type: ignore[method-assign,assignment] # the one seam to the streams


def noted(path: Path) -> dict[int, int]:
    """What was noted, by number."""
    if not path.exists():
        return {}
    data = path.read_bytes()
    whole = len(data) - len(data) % NOTE.size
    return {number: moment for moment, number in NOTE.iter_unpack(data[:whole])}


if __name__ == "__main__":
    still = os.environ.get("BENCH_STILL")
    if still is not None:
        page = still_page(Path(still).read_bytes())
        service.Ports = partial(service.Ports, pages=(page,))  # type: ignore[attr-defined,assignment] # as a test hands its own in
    where = os.environ.get("BENCH_NOTED")
    if where is not None:
        note_publications(where)
    __main__.main()
