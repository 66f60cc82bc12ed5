"""The shop floor of a run: servers that scenarios share, programs they start, and what is said
meanwhile.

RabbitMQ is started once, at its first use; each subject gets a virtual host of its own in it.
Everything lies in one folder under .artefacts, on the disk, for an embedded log in memory would be
measured without its fsync.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Self

from bench.children import Child, open_child
from bench.clients.remote import Askers, Crowd
from bench.load.remote import Publisher
from bench.measure.processes import Meter, family
from bench.options import Options
from bench.peers import open_peer
from bench.servers.brokers import CalmRabbit
from bench.servers.storefront import QUEUE, Storefront
from bench.servers.subject import PeerSubject
from tests.system.servers.redis import RedisServer

Say = Callable[[str], None]


class Floor:
    """What a scenario finds."""

    def __init__(self, options: Options, folder: Path, results: Path, say: Say) -> None:
        self.options = options
        self.results = results
        self.say = say
        self._folder = folder
        self._made = 0
        self._stack = AsyncExitStack()
        self._rabbit: CalmRabbit | None = None
        self._redis: RedisServer | None = None
        self._harness: list[Child] = []

    async def __aenter__(self) -> Self:
        await self._stack.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.__aexit__(None, None, None)
        shutil.rmtree(self._folder, ignore_errors=True)

    def room(self, name: str) -> Path:
        """A new folder."""
        self._made += 1
        room = self._folder / f"{self._made:03d}-{name}"
        room.mkdir(parents=True)
        return room

    # --- servers

    @asynccontextmanager
    async def broker(self) -> AsyncIterator[str]:
        """The URL of a virtual host for the time of the block; of the one that BENCH_BROKER names,
        if it does.
        """
        lent = os.environ.get("BENCH_BROKER")
        if lent is not None:
            yield lent
            return
        if self._rabbit is None:
            self.say("RabbitMQ starts")
            self._rabbit = self._stack.enter_context(CalmRabbit(self.room("rabbitmq")))
            await self._rabbit.start()
        with self._rabbit.virtual_host() as host:
            yield host.url

    @asynccontextmanager
    async def redis(self) -> AsyncIterator[str]:
        """The URL of a Redis that keeps every write, empty."""
        with RedisServer(self.room("redis")) as server:
            await server.start()
            self._redis = server
            try:
                yield server.url
            finally:
                self._redis = None

    @asynccontextmanager
    async def storefront(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        name: str = "storefront",
        shared: bool = False,
        observed: bool = False,
        still: bytes | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Storefront]:
        """The service, running; `shared`: with its log in Redis."""
        async with AsyncExitStack() as stack:
            broker = await stack.enter_async_context(self.broker())
            redis = await stack.enter_async_context(self.redis()) if shared else None
            subject = Storefront(
                self.room(name), broker, name=name, redis=redis, observed=observed, still=still,
                settings=settings or {}, environment=environment,
            )  # fmt: skip
            stack.enter_context(subject.process)
            await subject.start()
            yield subject

    @asynccontextmanager
    async def peer(
        self, name: str, *, heartbeat: int = 30, workers: int = 1
    ) -> AsyncIterator[PeerSubject]:
        """A peer, running."""
        room = self.room(name)
        if name == "pipeline":
            async with (
                self.broker() as url,
                open_peer(name, room, heartbeat=heartbeat, amqp=url, queue=QUEUE) as peer,
            ):
                peer.amqp, peer.queue = url, QUEUE
                yield peer
        else:
            async with open_peer(name, room, heartbeat=heartbeat, workers=workers) as peer:
                yield peer

    # --- the harness

    @asynccontextmanager
    async def crowd(self) -> AsyncIterator[Crowd]:
        """A process that holds streams."""
        async with open_child("crowd", "bench.clients.crowd", self.room("crowd")) as child:
            with self._counted(child):
                yield Crowd(child, self.room("samples"))

    @asynccontextmanager
    async def publisher(self) -> AsyncIterator[Publisher]:
        """A process that publishes."""
        async with open_child("publisher", "bench.load.publisher", self.room("publisher")) as child:
            with self._counted(child):
                yield Publisher(child, self.room("published"))

    @asynccontextmanager
    async def askers(self) -> AsyncIterator[Askers]:
        """A process that asks for views."""
        async with open_child("askers", "bench.clients.askers", self.room("askers")) as child:
            with self._counted(child):
                yield Askers(child, self.room("asked"))

    @contextmanager
    def _counted(self, child: Child) -> Iterator[None]:
        self._harness.append(child)
        try:
            yield
        finally:
            self._harness.remove(child)

    def meter(self, subject: Callable[[], list[int]]) -> Meter:
        """Who takes what: the subject, the harness (this process too), the broker, Redis."""
        groups = {
            "subject": subject,
            "harness": lambda: [os.getpid(), *(child.pid for child in self._harness)],
        }
        rabbit, redis = self._rabbit, self._redis
        if rabbit is not None:
            groups["rabbitmq"] = lambda: family(rabbit.pid)
        if redis is not None:
            groups["redis"] = lambda: [redis.pid]
        return Meter(groups)
