"""The processes of the service, where they listen now, and what they say of themselves.

What a process consumed is asked of its /metrics, again and again: after a SIGKILL there is nobody to ask. Its figure
is therefore a lower bound. How often the broker handed something out again is asked of the broker, which knows it of
each of its own lives.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import trio

from tests.system.servers.rabbitmq import RabbitNode
from tests.system.servers.service import ServiceProcess

ASKED_EVERY = 0.5  # seconds
DELIVERIES = re.compile(r'^storefront_deliveries_total\{.*outcome="(\w+)".*\} (\S+)$', re.MULTILINE)
REDELIVERED = "lists:sum([maps:get(messages_redelivered_total, C, 0) || C <- maps:values(rabbit_global_counters:overview())])."


@dataclass(slots=True)
class Instance:
    """One process of the service, over all its lives.

    Attributes:
        url: where it listens, None while it does not.
        before: what its earlier lives settled, by outcome, as far as they said.
        now: what this life says.
    """

    name: str
    process: ServiceProcess
    url: str | None = None
    before: dict[str, int] = field(default_factory=dict)
    now: dict[str, int] = field(default_factory=dict)

    async def start(self) -> None:
        await self.process.start()
        self.url = self.process.url

    async def stop(self) -> None:
        """SIGTERM, and wait; it must leave with 0."""
        code = await self.process.stop()
        self._ended()
        assert code == 0, f"{self.name} left with {code}"

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self._ended()

    def settled(self, *outcomes: str) -> int:
        return sum(self.before.get(each, 0) + self.now.get(each, 0) for each in outcomes)

    async def ask(self, client: httpx.AsyncClient) -> None:
        """Note what it has settled; one that is away or busy keeps its last word."""
        url, now = self.url, dict[str, int]()
        if url is None:
            return
        try:
            said = (await client.get(f"{url}/metrics")).text
        except httpx.TransportError:
            return
        for outcome, value in DELIVERIES.findall(said):
            now[outcome] = now.get(outcome, 0) + int(float(value))
        if self.url == url:  # still the same life
            self.now = now

    async def consumes(self, client: httpx.AsyncClient) -> bool:
        """Whether it says that it is the one who has the queue."""
        if self.url is None:
            return False
        try:
            told = (await client.get(f"{self.url}/health/ready?verbose")).json()
        except httpx.TransportError:
            return False
        return told["parts"]["consumer.notifications"] == "consuming"

    def _ended(self) -> None:
        self.url = None
        for outcome, often in self.now.items():
            self.before[outcome] = self.before.get(outcome, 0) + often
        self.now = {}


class Floor:
    """All instances, and the broker they share."""

    def __init__(self, instances: Sequence[Instance], rabbit: RabbitNode) -> None:
        self.instances = instances
        self._rabbit = rabbit
        self._client: httpx.AsyncClient
        self.redelivered = 0  # of the broker's lives that `count_redelivered` was called in
        self._counted_already = 0

    def urls(self) -> list[str]:
        """Where somebody listens."""
        return [instance.url for instance in self.instances if instance.url is not None]

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Start everybody, and keep asking them meanwhile."""
        async with (
            httpx.AsyncClient(trust_env=False, timeout=2.0) as self._client,
            trio.open_nursery() as nursery,
        ):
            self._counted_already = await self._redelivered_in_this_life()
            for instance in self.instances:
                await instance.start()
            nursery.start_soon(self._keep_asking)
            yield
            for instance in self.instances:
                await instance.ask(self._client)
            nursery.cancel_scope.cancel()

    async def consumer(self, *, within: float) -> Instance:
        """Who has the queue."""
        with trio.fail_after(within):
            while True:
                for instance in self.instances:
                    if await instance.consumes(self._client):
                        return instance
                await trio.sleep(0.05)

    async def last_words(self, instance: Instance) -> None:
        """What an instance has to say before it is killed."""
        await instance.ask(self._client)

    async def count_redelivered(self) -> None:
        """Add what the broker counted; called once in each life of it, at its end."""
        self.redelivered += await self._redelivered_in_this_life() - self._counted_already
        self._counted_already = 0

    async def _redelivered_in_this_life(self) -> int:
        return int(await trio.to_thread.run_sync(self._rabbit.evaluate, REDELIVERED))

    async def _keep_asking(self) -> None:
        while True:
            for instance in self.instances:
                await instance.ask(self._client)
            await trio.sleep(ASKED_EVERY)
