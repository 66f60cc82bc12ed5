"""The publisher's program: `run` publishes so many messages, each when it is due, and says when
each was due and sent.

python -m bench.load.publisher      commands on standard input, as clients/crowd.py
"""

from __future__ import annotations

import select
import sys
import time
from array import array
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from bench.children import Orders, answer
from bench.load import messages
from bench.load.amqp import Line, open_line
from bench.load.posts import Posts, open_posts
from bench.measure.clock import now
from bench.measure.samples import write

# A turn sends what has become due. Beyond a thousand messages a second several go at once, as they
# do from a shop.
TURN = 1_000_000  # nanoseconds
UNCONFIRMED_PATIENCE = 20.0  # seconds for the last confirms


class Publisher:
    """One connection, AMQP or HTTP, and what goes over it."""

    def __init__(self) -> None:
        self._opened = ExitStack()
        self._line: Line | Posts | None = None
        self._encode: Callable[[int, bytes], bytes] = lambda _index, body: body
        self._run = messages.new_run()
        self._sent = 0
        self._customers = 1
        self._filling = 0
        self._offset = 0
        self._as_frame = False

    def connect(self, order: dict[str, Any]) -> dict[str, Any]:
        """Over AMQP (`url`, `queue`) or HTTP (`host`, `port`, `path`)."""
        self._opened.close()
        self._customers = order["customers"]
        self._offset = order.get("offset", 0)
        self._filling = order.get("filling", 0)
        self._as_frame = order.get("as_frame", False)
        if "url" in order:
            line = self._opened.enter_context(open_line(order["url"], order["queue"]))
            self._encode = lambda index, body: line.message(self._run, index, body)
            self._line = line
        else:
            posts = self._opened.enter_context(
                open_posts(order["host"], order["port"], order["path"])
            )
            self._encode = lambda _index, body: posts.request(body)
            self._line = posts
        return {}

    def run(self, order: dict[str, Any]) -> dict[str, Any]:
        """Publish `count` messages, the first of which has the running number `first`."""
        line = self._line
        assert line is not None
        first, count, gap = order["first"], order["count"], 1e9 / order["rate"]
        due, sent = array("q"), array("q")
        already, refused = line.confirmed, line.refused
        cpu = time.process_time()
        began = now() + TURN
        index = 0
        while index < count:
            moment = now()
            batch = []
            while index < count and (when := began + int(index * gap)) <= moment:
                batch.append(self._message(first + index))
                due.append(when)
                index += 1
            line.send(b"".join(batch))
            sent.extend([now()] * len(batch))
            self._wait(line, began + int(index * gap) if index < count else moment)
        patience = now() + int(UNCONFIRMED_PATIENCE * 1e9)
        while line.confirmed - already < count and now() < patience:
            line.send(b"")
            self._wait(line, now() + TURN)
        confirmed = line.confirmed_at[already : already + count]
        columns = {"due": due, "sent": sent, "confirmed": confirmed}
        if isinstance(line, Posts):
            columns["in_hand"] = line.in_hand[already : already + count]
        write(order["file"], **columns)
        return {
            "sent": count,
            "confirmed": line.confirmed - already,
            "refused": line.refused - refused,
            "latest": max((s - d for s, d in zip(sent, due, strict=True)), default=0) / 1e6,
            "seconds": (sent[-1] - began) / 1e9 if sent else 0.0,
            "cpu": time.process_time() - cpu,
        }

    def _message(self, running: int) -> bytes:
        index = running % self._customers + self._offset
        number = running // self._customers + 1
        if self._as_frame:
            return self._encode(running, messages.frame(index, number))
        return self._encode(running, messages.message(index, number, self._filling))

    def _wait(self, line: Line | Posts, until: int) -> None:
        """Until it is time, or the other side said something; in turns of a millisecond."""
        pause = max(until - now(), TURN) / 1e9
        wants = [line] if line.has_unsent else []
        heard, _, _ = select.select([line], wants, [], min(pause, 0.2))
        if heard:
            line.hear()
            # Confirms come one by one: the next look is a turn later.
            time.sleep(min(max(until - now(), 0), TURN) / 1e9)


def serve(publisher: Publisher, orders: Orders) -> None:
    """Do as told until standard input ends."""
    while not orders.ended:
        select.select([orders], [], [])
        for order in orders.take():
            match order["do"]:
                case "connect":
                    answer(publisher.connect(order))
                case "run":
                    answer(publisher.run(order))
                case unknown:
                    answer({"error": f"what is {unknown}?"})


if __name__ == "__main__":
    with Orders(sys.stdin) as told:
        serve(Publisher(), told)
