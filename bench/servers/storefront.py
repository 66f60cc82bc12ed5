"""Storefront itself, as an operator starts it, with customers who have tokens."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import jwt
import trio

from bench.load import messages
from bench.measure.processes import family
from bench.servers.observed import noted
from bench.servers.subject import Trigger, get
from tests.system.servers.amqp_tool import AmqpTool
from tests.system.servers.ports import free_port
from tests.system.servers.process import POLL
from tests.system.servers.service import ServiceProcess

SECRET = "a secret of the bench, of more than thirty-two bytes"
QUEUE = "storefront-notifications"
CONSUMES_WITHIN = 20.0  # seconds
LIFETIME = 24 * 3600.0  # seconds: no token of the bench expires


@lru_cache(maxsize=65536)
def token(index: int) -> str:
    """Of a customer."""
    claims = {"sub": messages.customer(index), "exp": time.time() + LIFETIME}
    return jwt.encode(claims, SECRET, "HS256")


def bearer(index: int) -> str:
    return f"Authorization: Bearer {token(index)}"


class Storefront:
    """One service process, or one group of workers, on a broker of its own.

    Args:
        folder: its own: data, log, notes.
        broker: AMQP URL of a virtual host nobody else uses.
        redis: URL; the embedded store without one.
        observed: with the ears of servers/observed.py in it.
        still: the body of the route of fixed JSON.
        settings: further variables, without their prefix.
        environment: variables that are not ours, as they are.
    """

    opening_frame = True
    host = "127.0.0.1"

    def __init__(
        self,
        folder: Path,
        broker: str,
        *,
        name: str = "storefront",
        redis: str | None = None,
        observed: bool = False,
        still: bytes | None = None,
        settings: Mapping[str, str],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.broker = broker
        self.noted = folder / "noted"
        # One port over restarts: browsers come back to where they were.
        self._port = free_port()
        own = {
            "RABBITMQ_URL": broker,
            "JWT_SECRET": SECRET,
            "BIND": f"{self.host}:{self._port}",
            "LOG_FORMAT": "json",
            "DRAIN": "1",
        }
        if redis is not None:
            own["REDIS_URL"] = redis
        self.process = ObservedProcess(folder, **(own | dict(settings)))
        self.process.add(environment or {})
        if observed:
            self.process.observe(folder, still)

    @property
    def port(self) -> int:
        return self._port

    async def start(self, *, consuming: bool = True) -> None:
        """Start, or start again on the same data; with `consuming`, until its queue has its
        consumer: a message that came before the queue would come back.
        """
        await self.process.start()
        tool = AmqpTool(self.broker)
        with trio.fail_after(CONSUMES_WITHIN):
            while consuming:
                state = await trio.to_thread.run_sync(tool.state, QUEUE)
                if state is not None and state.consumers:
                    return
                await trio.sleep(POLL)

    async def stop(self) -> None:
        """As an operator does."""
        await self.process.stop()

    def kill(self) -> None:
        self.process.kill()

    def pids(self) -> Iterable[int]:
        return family(self.process.pid)

    def requests(self, streams: int, customers: int) -> Sequence[bytes]:
        """The stream of customer n mod `customers`."""
        known = min(streams, customers)
        return [get("/sse/storefront", bearer(n)) for n in range(known)]

    def trigger(self, customers: int) -> Trigger:
        order = {"url": self.broker, "queue": QUEUE, "customers": customers}
        return Trigger(order=order, words="basic.publish, persistent, confirmed")

    def in_hand(self) -> dict[int, int]:
        return noted(self.noted)


class ObservedProcess(ServiceProcess):
    """A service, started as itself or through servers/observed.py."""

    def add(self, environment: Mapping[str, str]) -> None:
        """Have these in its environment too."""
        self._environment.update(environment)

    def observe(self, folder: Path, still: bytes | None) -> None:
        """Have its next start be through there."""
        self._command = [sys.executable, "-m", "bench.servers.observed", "serve"]
        self._environment["BENCH_NOTED"] = str(folder / "noted")
        if still is not None:
            body = folder / "still.json"
            body.write_bytes(still)
            self._environment["BENCH_STILL"] = str(body)
