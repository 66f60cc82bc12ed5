"""What is done to the shop while the publisher goes on. Each is measured from the first blow until all is well again.

A fault that leaves the broker up lasts until `CONFIRMS` messages were confirmed within it: a process that was killed
stays away so long, connections are cut so long.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from tests.system.ledger.floor import Floor
from tests.system.ledger.publisher import Publisher
from tests.system.servers.rabbitmq import VirtualHost
from tests.system.servers.redis import RedisServer

CONFIRMS = 500
RECOVERED_WITHIN = 60.0  # seconds; a busy machine. Two seconds are usual, ten for the broker


@dataclass(frozen=True, slots=True)
class Window:
    """What fell into one fault."""

    fault: str
    confirms: int
    seconds: float
    broker_up: bool


@dataclass(slots=True)
class Stage:
    """Who and what a fault can lay hands on.

    Attributes:
        redis: None where the log is a file.
        windows: of the faults so far.
        doing: the fault at work, "" for none.
        rough: the broker is killed instead of stopped.
    """

    floor: Floor
    vhost: VirtualHost
    redis: RedisServer | None
    publisher: Publisher
    chance: random.Random
    windows: list[Window] = field(default_factory=list)
    doing: str = ""
    rough: bool = False

    async def confirms(self, amount: int, since: int) -> None:
        """Wait until so many were confirmed after the first `since`."""
        with trio.fail_after(RECOVERED_WITHIN):
            while len(self.publisher.confirmed) < since + amount:
                await trio.sleep(0.02)

    @asynccontextmanager
    async def fault(self, name: str, *, broker_up: bool = True) -> AsyncIterator[int]:
        """One fault; it ends with somebody consuming. Yields how many were confirmed before it."""
        self.doing = name
        began, before = trio.current_time(), len(self.publisher.confirmed)
        yield before
        await self.floor.consumer(within=RECOVERED_WITHIN)
        confirms, seconds = len(self.publisher.confirmed) - before, trio.current_time() - began
        self.windows.append(Window(name, confirms, seconds, broker_up))
        self.doing = ""


Blow = Callable[[Stage], Awaitable[None]]


async def sigkill(stage: Stage) -> None:
    """The process that consumes is killed with its hands full: Redis, where there is one, has just stopped writing."""
    consumer = await stage.floor.consumer(within=RECOVERED_WITHIN)
    async with stage.fault("SIGKILL") as before:
        await stage.floor.last_words(consumer)
        if stage.redis is not None:
            await trio.to_thread.run_sync(stage.redis.command, "CLIENT", "PAUSE", 500, "WRITE")
            await trio.sleep(stage.chance.uniform(0.1, 0.4))
        consumer.kill()
        await stage.confirms(CONFIRMS, before)
        await consumer.start()


async def sigterm(stage: Stage) -> None:
    """The process that consumes is asked to leave."""
    consumer = await stage.floor.consumer(within=RECOVERED_WITHIN)
    async with stage.fault("SIGTERM") as before:
        await consumer.stop()
        await stage.confirms(CONFIRMS, before)
        await consumer.start()


async def broker_restart(stage: Stage) -> None:
    """RabbitMQ goes and comes back on its data; every other time as if its machine had failed."""
    await stage.floor.count_redelivered()
    rabbit = stage.vhost.node
    async with stage.fault("RabbitMQ restart", broker_up=False):
        if stage.rough:
            rabbit.kill()
        else:
            await rabbit.stop()
        await trio.sleep(stage.chance.uniform(0, 1))
        await rabbit.start()
        stage.rough = not stage.rough


async def connections_closed(stage: Stage) -> None:
    """An operator closes every connection to the broker, the publisher's too, three times at least."""
    async with stage.fault("connections closed") as before:
        closed = 0
        while closed < 3 or len(stage.publisher.confirmed) < before + CONFIRMS:
            await trio.to_thread.run_sync(stage.vhost.close_connections)
            closed += 1
            await trio.sleep(stage.chance.uniform(0.3, 0.8))


async def redis_client_kill(stage: Stage) -> None:
    """Redis loses its connections, again and again: those that ask, and those that listen."""
    redis = stage.redis
    assert redis is not None, "there is no Redis in this run"
    async with stage.fault("CLIENT KILL") as before:
        while len(stage.publisher.confirmed) < before + CONFIRMS:
            for kind in ("normal", "pubsub"):
                await trio.to_thread.run_sync(redis.command, "CLIENT", "KILL", "TYPE", kind)
            await trio.sleep(stage.chance.uniform(0.05, 0.3))


async def rolling_restart(stage: Stage) -> None:
    """One process after the other is stopped and started, as a deployment does it."""
    async with stage.fault("rolling restart") as before:
        for instance in stage.floor.instances:
            await instance.stop()
            await instance.start()
        await stage.confirms(CONFIRMS, before)
