"""Killed at the very points where an event could be lost, or shown twice.

A message is recorded, then announced, then acknowledged. A proxy keeps one of these back, or within one process a
saboteur does, and SIGKILL leaves it so. Each story ends alike: what the broker still had comes again, the screen shows
every event once and in order, and the queue is empty. With SQLite the next process is the same one, restarted; with
Redis it is another one, which stood by.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import trio

from storefront.demo.faults import Failing, Fault
from tests.system import shopfloor as shop
from tests.system.proxy import (
    Handed,
    amqp_frames,
    handed_over,
    is_ack,
    is_announcement,
    open_proxy,
    resp_units,
)
from tests.system.servers.redis import RedisServer
from tests.system.servers.sse_client import SseClient
from tests.system.shopfloor import ALICE, BOB, QUEUE

# Seconds in which a service that is about to do the wrong thing would have done it.
A_WHILE = 0.5


@dataclass(frozen=True)
class SqliteLog:
    """One file, which a successor opens when its owner is dead."""

    folder: Path
    shared = False

    @property
    def settings(self) -> dict[str, str]:
        return {"DATA_DIR": str(self.folder)}

    @property
    def recorded(self) -> int:
        with closing(sqlite3.connect(f"file:{self._file}?mode=ro", uri=True)) as log:
            ((events,),) = log.execute("SELECT count(*) FROM events")
            return events

    @contextmanager
    def shut(self) -> Iterator[None]:
        """Nobody can write."""
        with closing(sqlite3.connect(self._file, isolation_level=None)) as another:
            another.execute("BEGIN IMMEDIATE")
            yield

    @property
    def _file(self) -> Path:
        return self.folder / "storefront.sqlite"


@dataclass(frozen=True)
class RedisLog:
    """One server for all."""

    server: RedisServer
    shared = True

    @property
    def settings(self) -> dict[str, str]:
        return {"REDIS_URL": self.server.url}

    @property
    def recorded(self) -> int:
        logs = self.server.command("KEYS", "storefront:{*}:log")
        return sum(self.server.command("LLEN", log) for log in logs)

    @contextmanager
    def shut(self) -> Iterator[None]:
        """Nobody is answered; what was sent is done afterwards, whether its sender lives or not."""
        self.server.freeze()
        try:
            yield
        finally:
            self.server.thaw()


@pytest.fixture(params=["sqlite", "redis"])
def log(request, tmp_path) -> SqliteLog | RedisLog:
    if request.param == "sqlite":
        return SqliteLog(tmp_path / "log")
    return RedisLog(request.getfixturevalue("redis_server"))


async def publish(vhost, number: int, customer: str = ALICE) -> str:
    """An event that asks nobody; the id of its message."""
    body = shop.numbered(customer, number)
    (sent,) = await trio.to_thread.run_sync(
        partial(shop.send, vhost.tool, "Shopping.ItemAdded", body)
    )
    return sent


def numbers(client: SseClient) -> list[int]:
    return [json.loads(e.data)["itemCount"] for e in client.sse.events if e.type == "message"]


async def next_number(client: SseClient, within: float = 15.0) -> tuple[int, int]:
    """What the next event shows, and its place in the customer's log."""
    with trio.fail_after(within):
        event = await client.read_event("message")
    return json.loads(event.data)["itemCount"], int(event.id.rpartition("-")[2])


async def test_a_process_killed_between_record_and_acknowledgement_shows_its_event_once(
    log, rabbit, vhost, new_service
):
    async with (
        open_proxy(rabbit.port, amqp_frames) as first,
        open_proxy(rabbit.port, amqp_frames) as second,
    ):
        doomed = new_service(**shop.settings(first.in_front_of(vhost.url), **log.settings))
        heir = new_service(**shop.settings(second.in_front_of(vhost.url), **log.settings))
        await doomed.start()
        await shop.until_consumed(vhost)
        if log.shared:
            await heir.start()
        first.up.withhold_from(is_ack)
        async with await shop.open_stream(doomed.url) as client:
            sent = await publish(vhost, 1)
            assert await next_number(client) == (1, 1)
            await shop.until(lambda: bool(first.up.withheld))
            assert (log.recorded, vhost.unacknowledged(QUEUE)) == (1, 1)
            doomed.kill()
        if not log.shared:
            await heir.start()
        async with await shop.open_stream(heir.url, cursor=client.sse.last_event_id) as client:
            await shop.until_settled(vhost)
            assert handed_over(second.down.passed) == [Handed(sent, redelivered=True)]
            await publish(vhost, 2)
            # The very next event has the very next number: the repetition is neither shown nor in the log.
            assert await next_number(client) == (2, 2)


async def test_a_process_killed_while_it_cannot_record_has_acknowledged_nothing(
    log, rabbit, vhost, new_service
):
    async with (
        open_proxy(rabbit.port, amqp_frames) as first,
        open_proxy(rabbit.port, amqp_frames) as second,
    ):
        doomed = new_service(**shop.settings(first.in_front_of(vhost.url), **log.settings))
        heir = new_service(**shop.settings(second.in_front_of(vhost.url), **log.settings))
        await doomed.start()
        await shop.until_consumed(vhost)
        if log.shared:
            await heir.start()
        async with await shop.open_stream(doomed.url) as client:
            with log.shut():
                sent = await publish(vhost, 1)
                await shop.until(lambda: bool(handed_over(first.down.passed)))
                await trio.sleep(A_WHILE)
                assert not any(map(is_ack, first.up.passed))
                doomed.kill()
            assert numbers(client) == []
        if not log.shared:
            await heir.start()
        async with await shop.open_stream(heir.url, cursor=client.sse.last_event_id) as client:
            assert await next_number(client) == (1, 1)
            await shop.until_settled(vhost)
            assert handed_over(second.down.passed) == [Handed(sent, redelivered=True)]
            await publish(vhost, 2)
            assert await next_number(client) == (2, 2)


# What the process does instead of telling its streams of an event that is committed.
DIE_BEFORE_THE_HUB = """
import os, signal
from storefront.realtime.hub import Hub

def die(hub, entries):
    os.kill(os.getpid(), signal.SIGKILL)

Hub.publish = die
"""


async def test_a_process_killed_between_commit_and_notification_shows_its_event_to_who_comes_back(
    rabbit, vhost, new_service, tmp_path
):
    log = SqliteLog(tmp_path / "log")
    (tmp_path / "sitecustomize.py").write_text(DIE_BEFORE_THE_HUB)
    async with open_proxy(rabbit.port, amqp_frames) as second:
        doomed = new_service(**shop.settings(vhost.url, **log.settings))
        doomed._environment["PYTHONPATH"] += f":{tmp_path}"
        heir = new_service(**shop.settings(second.in_front_of(vhost.url), **log.settings))
        await doomed.start()
        await shop.until_consumed(vhost)
        async with await shop.open_stream(doomed.url) as client:
            sent = await publish(vhost, 1)
            with trio.fail_after(10):
                await client.read_to_end()
            assert await doomed.wait(within=5) == -9
            assert (client.ended, numbers(client), log.recorded) == ("cut", [], 1)
        await heir.start()
        async with await shop.open_stream(heir.url, cursor=client.sse.last_event_id) as client:
            assert await next_number(client) == (1, 1)
            await shop.until_settled(vhost)
            assert handed_over(second.down.passed) == [Handed(sent, redelivered=True)]
            await publish(vhost, 2)
            assert await next_number(client) == (2, 2)


async def test_an_event_whose_announcement_is_kept_back_comes_with_the_heartbeat_and_once(
    rabbit, vhost, redis_server, new_service
):
    """In Redis one script records and announces, so what can be kept back is the way to the other process."""
    log = RedisLog(redis_server)
    async with (
        open_proxy(rabbit.port, amqp_frames) as first,
        open_proxy(redis_server.port, resp_units) as store,
    ):
        doomed = new_service(**shop.settings(first.in_front_of(vhost.url), **log.settings))
        heir = new_service(
            **shop.settings(vhost.url, REDIS_URL=store.in_front_of(redis_server.url), HEARTBEAT="1")
        )
        await doomed.start()
        await shop.until_consumed(vhost)
        await heir.start()
        async with await shop.open_stream(heir.url) as client:
            first.up.withhold_from(is_ack)
            store.down.withhold_from(is_announcement)
            await publish(vhost, 1)
            await shop.until(lambda: bool(first.up.withheld and store.down.withheld))
            doomed.kill()
            assert (log.recorded, numbers(client)) == (1, [])
            # One beat, and what a busy machine makes of it: before a canary could be missed.
            assert await next_number(client, within=1 + 3) == (1, 1)
            await shop.until_settled(vhost)
            # Now it comes after all, and late.
            await store.down.release()
            await publish(vhost, 2)
            assert await next_number(client) == (2, 2)


async def test_one_hangs_fifty_behind_it_are_acknowledged_and_only_the_one_comes_again(
    log, rabbit, vhost, new_service
):
    async with (
        shop.open_neighbours() as neighbours,
        open_proxy(rabbit.port, amqp_frames) as first,
        open_proxy(rabbit.port, amqp_frames) as second,
    ):
        cart = neighbours.world.carts.initialise(ALICE)
        price = neighbours.world.products["DOG-BOWL-01"].price
        neighbours.world.carts.add(cart.cart_id, "DOG-BOWL-01", 2, price)
        neighbours.desks["shopping"].faults.set(Fault(failing=Failing.HANG))
        common = neighbours.settings | log.settings | {"QUESTION_TIMEOUT": "60"}
        doomed = new_service(**shop.settings(first.in_front_of(vhost.url), **common))
        heir = new_service(**shop.settings(second.in_front_of(vhost.url), **common))
        await doomed.start()
        await shop.until_consumed(vhost)
        if log.shared:
            await heir.start()
        async with (
            await shop.open_stream(doomed.url, ALICE) as alice,
            await shop.open_stream(doomed.url, BOB) as bob,
        ):
            hanging = shop.wolverine_properties("Shopping.ItemAdded", shop.guid())
            queued = [(shop.item_added(ALICE, cart.cart_id), hanging)] + [
                (
                    shop.numbered(BOB, number),
                    shop.wolverine_properties("Shopping.ItemAdded", shop.guid()),
                )
                for number in range(1, 51)
            ]
            await trio.to_thread.run_sync(shop.publish_in_order, vhost.tool, queued)
            assert [await next_number(bob) for _ in range(50)] == [(n, n) for n in range(1, 51)]
            await shop.until(lambda: vhost.unacknowledged(QUEUE) == 1)
            assert (numbers(alice), log.recorded) == ([], 50)
            doomed.kill()
        neighbours.desks["shopping"].faults.clear()
        if not log.shared:
            await heir.start()
        async with (
            await shop.open_stream(heir.url, ALICE, cursor=alice.sse.last_event_id) as alice,
            await shop.open_stream(heir.url, BOB, cursor=bob.sse.last_event_id) as bob,
        ):
            # As many lines as the cart has; the fifty others have their numbers.
            assert await next_number(alice) == (1, 1)
            await shop.until_settled(vhost)
            assert handed_over(second.down.passed) == [
                Handed(hanging["message_id"], redelivered=True)
            ]
            await publish(vhost, 51, BOB)
            await publish(vhost, 7, ALICE)
            assert await next_number(bob) == (51, 51)
            assert await next_number(alice) == (7, 2)
