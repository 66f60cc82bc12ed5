"""The crowd's program: raw sockets on epoll in one process, up to the limit of open files.

    python -m bench.clients.crowd

Commands come on standard input, a line of JSON each; each is answered by one on standard output.
"""

from __future__ import annotations

import select
import sys
import time
from array import array
from collections.abc import Callable
from typing import Any

from bench.children import Orders, answer
from bench.clients.browser import Browser
from bench.clients.streams import Crowd
from bench.measure.machine import allow_many_files
from bench.measure.samples import write

PACE = 0.002  # seconds between two turns, while there is something to read
IDLE_TURN = 1.0  # seconds without anything to read
OPENING_TURN = 0.05  # while streams open, whose patience may end

Order = dict[str, Any]
Answer = dict[str, Any]


def serve(crowd: Crowd, orders: Orders) -> None:
    """Do as told until standard input ends."""
    crowd.poll.register(orders.fileno(), select.EPOLLIN)
    pending: Order | None = None  # an `open` that is not answered yet
    while not orders.ended:
        crowd.turn(IDLE_TURN if pending is None else OPENING_TURN)
        if pending is not None and opened(crowd, pending):
            answer(_came_in(crowd, pending))
            pending = None
        for order in orders.take():
            if order["do"] == "open":
                pending = _open(crowd, order)
            elif order["do"] in DUTIES:
                answer(DUTIES[order["do"]](crowd, order))
            else:
                answer({"error": f"what is {order['do']}?"})
        if crowd.opening <= 0:
            time.sleep(PACE)


def opened(crowd: Crowd, order: Order) -> bool:
    """Whether all are in, or it is time to say that they are not."""
    return crowd.opening <= 0 or time.monotonic_ns() > order["give_up_at"]


def _open(crowd: Crowd, order: Order) -> Order:
    order["began"] = time.monotonic_ns()
    order["give_up_at"] = order["began"] + int(order["patience"] * 1e9)
    crowd.open(order, [each for each in crowd.browsers if each.sock is None])
    return order


def _came_in(crowd: Crowd, order: Order) -> Answer:
    came = [each for each in crowd.browsers if each.opened]
    write(
        order["file"],
        begun=array("q", (each.begun for each in came)),
        opened=array("q", (each.opened for each in came)),
    )
    last = max((each.opened for each in came), default=order["began"])
    return {
        "open": len(crowd.by_fd),
        "answered": len(came),
        "seconds": (last - order["began"]) / 1e9,
        "ended": dict(crowd.errors),
    }


def _enter(crowd: Crowd, order: Order) -> Answer:
    with open(order["requests"], "rb") as lines:  # noqa: PTH123 - a stream of lines
        requests = [bytes.fromhex(line.decode()) for line in lines]
    crowd.browsers = [Browser(n, requests[n % len(requests)]) for n in range(order["count"])]
    return {"complaint": allow_many_files(order["count"])}


def _mark(crowd: Crowd, _order: Order) -> Answer:
    crowd.mark()
    return {}


def _count(crowd: Crowd, _order: Order) -> Answer:
    return {"events": crowd.count, "open": len(crowd.by_fd)}


def _collect(crowd: Crowd, order: Order) -> Answer:
    write(order["file"], who=crowd.who, what=crowd.what, when=crowd.when)
    return crowd.summary(order["due"])


def _stop_reading(crowd: Crowd, order: Order) -> Answer:
    return {"stopped": crowd.stop_reading(order["every"])}


def _leave(crowd: Crowd, _order: Order) -> Answer:
    crowd.leave()
    return {}


DUTIES: dict[str, Callable[[Crowd, Order], Answer]] = {
    "enter": _enter,
    "mark": _mark,
    "count": _count,
    "collect": _collect,
    "stop-reading": _stop_reading,
    "leave": _leave,
}

if __name__ == "__main__":
    with Orders(sys.stdin) as told:
        serve(Crowd(), told)
