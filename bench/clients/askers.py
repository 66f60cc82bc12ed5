"""Those who ask for views: GETs on connections that stay open, in a process of its own.

    python -m bench.clients.askers      commands on standard input, as crowd.py

Closed loop (no rate): each connection asks again as soon as it was answered; what a service can do
at most. Open loop (a rate): a request is due when it is due, on whatever connection is free, and
its latency counts from then.
"""

from __future__ import annotations

import select
import sys
from array import array
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

from bench.children import Orders, answer
from bench.clients.asker import Answered, Asker
from bench.measure.clock import now
from bench.measure.samples import write

TURN = 0.05  # seconds between two looks for answers that are overdue
SAID = (
    b'"freshness":"cached"',
    b'"freshness":"live"',
    b'"freshness":"expired"',
    b'"complete":false',
)


class Askers:
    """All connections, and what came back."""

    def __init__(self) -> None:
        self._requests: list[bytes] = []
        self._poll = select.epoll()
        self._askers: list[Asker] = []

    def connect(self, order: dict[str, Any]) -> dict[str, Any]:
        """So many connections, opened at their first question, and what will be asked, in turns."""
        for each in self._askers:
            each.close()
        where = (order["host"], order["port"])
        self._askers = [Asker(where, self._poll) for _ in range(order["connections"])]
        with open(order["requests"], "rb") as lines:  # noqa: PTH123 - a stream of lines
            self._requests = [bytes.fromhex(line.decode()) for line in lines]
        return {}

    def run(self, order: dict[str, Any]) -> dict[str, Any]:
        """Ask `count` times, or for `seconds`; see the module for `rate`."""
        rate, index = order.get("rate"), order.get("first", 0)
        dues = _due(rate, order.get("count"), order.get("seconds"))
        found = Found()
        free = deque(self._askers)
        began = now()
        coming = next(dues, None)
        while coming is not None or len(free) < len(self._askers):
            while coming is not None and free and began + coming <= now():
                asker = free.popleft()
                found.due_at[index] = began + coming if rate else now()
                asker.ask(index, self._requests[index % len(self._requests)])
                index += 1
                coming = next(dues, None)
            pause = TURN if coming is None or not free else (began + coming - now()) / 1e9
            for asker, answered in self._answers(max(pause, 0.0)):
                found.take(answered)
                free.append(asker)
        found.write(order["file"])
        return found.summary() | {"seconds": (now() - began) / 1e9}

    def _answers(self, pause: float) -> Iterator[tuple[Asker, Answered]]:
        ready = {fd for fd, _ in self._poll.poll(pause, 1024)}
        for asker in self._askers:
            answered = None
            if asker.fd in ready:
                answered = asker.read()
            elif asker.overdue():
                answered = asker.give_up()
            if answered is not None:
                yield asker, answered


class Found:
    """What a run of questions came to."""

    def __init__(self) -> None:
        self.due_at: dict[int, int] = {}
        self._columns = {name: array("q") for name in ("which", "due", "asked", "done", "status")}
        self._statuses: Counter[int] = Counter()
        self._said: Counter[str] = Counter()
        self._sample = b""

    def take(self, answered: Answered) -> None:
        """Count one."""
        row = {
            "which": answered.index,
            "due": self.due_at.pop(answered.index),
            "asked": answered.asked,
            "done": now(),
            "status": answered.status,
        }
        for name, value in row.items():
            self._columns[name].append(value)
        self._statuses[answered.status] += 1
        self._said.update(word.decode() for word in SAID if word in answered.body)
        self._sample = answered.body or self._sample

    def write(self, path: str) -> None:
        write(path, **self._columns)

    def summary(self) -> dict[str, Any]:
        return {
            "answered": len(self._columns["done"]),
            "statuses": dict(self._statuses),
            "said": dict(self._said),
            "sample": self._sample.decode(errors="replace"),
        }


def _due(rate: float | None, count: int | None, seconds: float | None) -> Iterator[int]:
    """Nanoseconds from the beginning at which each request is due; at once, without a rate."""
    ends = float("inf") if seconds is None else seconds * 1e9
    most = float("inf") if count is None else count
    began, index = now(), 0
    while index < most:
        at = int(index * 1e9 / rate) if rate else 0
        if at > ends or (not rate and now() - began > ends):
            return
        yield at
        index += 1


def serve(askers: Askers, orders: Orders) -> None:
    """Do as told until standard input ends."""
    while not orders.ended:
        select.select([orders], [], [])
        for order in orders.take():
            match order["do"]:
                case "connect":
                    answer(askers.connect(order))
                case "ask":
                    answer(askers.run(order))
                case unknown:
                    answer({"error": f"what is {unknown}?"})


if __name__ == "__main__":
    with Orders(sys.stdin) as told:
        serve(Askers(), told)
