"""The store in trouble under a real service: files that must not be touched, a disk and a Redis that
take nothing, one customer's key that ails. Nothing is acknowledged that is not in the log, nothing
is lost, and all of it passes without a restart.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import resource
import time
from contextlib import asynccontextmanager
from functools import partial

import httpx
import pytest
import redis
import trio

from storefront.messaging import recorder
from storefront.messaging.amqp import AmqpBroker, open_island
from storefront.messaging.broker import Queue
from storefront.messaging.consumer import consume
from storefront.messaging.dispatch import Dispatcher
from storefront.messaging.placing import Placing
from storefront.store.memory import MemoryStore
from tests.store.faulty import FaultyStore
from tests.system import shopfloor as shop
from tests.system.servers.amqp_tool import WOLVERINE_ARGUMENTS, WOLVERINE_DEAD_LETTERS
from tests.system.servers.sse_client import SseClient
from tests.system.shopfloor import ALICE, BOB, QUEUE

NOBODY_THERE = "amqp://guest:guest@127.0.0.1:9/"
NOTIFICATIONS = Queue(
    name=QUEUE, arguments=WOLVERINE_ARGUMENTS, dead_letters=WOLVERINE_DEAD_LETTERS
)
FILE = "storefront.sqlite"
LOG = f"storefront:{{{ALICE}}}:log"


@asynccontextmanager
async def stream(url, customer=ALICE, cursor=None):
    """A browser that keeps reading."""
    headers = shop.bearer(customer) | ({"Last-Event-ID": cursor} if cursor else {})
    client = await SseClient.connect(f"{url}/sse/storefront", headers=headers)
    async with client, trio.open_nursery() as nursery:
        assert await client.read_head() == 200
        nursery.start_soon(client.read_to_end)
        await shop.until(lambda: client.sse.events)
        yield client
        nursery.cancel_scope.cancel()


def numbers(client):
    events = [each for each in client.sse.events if each.type == "message"]
    return [json.loads(event.data)["itemCount"] for event in events]


def controls(client):
    return [json.loads(each.data) for each in client.sse.events if each.type == "stream"]


async def start(service, vhost):
    """Until it consumes: before that nobody may have declared the queue."""

    async def consumers():
        state = await trio.to_thread.run_sync(vhost.tool.state, QUEUE)
        return state.consumers if state is not None else 0

    await service.start()
    await shop.until_async(consumers, 1, within=20)


async def publish(vhost, *which, customer=ALICE, filling=0):
    bodies = [shop.numbered(customer, number, filling) for number in which]
    await trio.to_thread.run_sync(lambda: shop.send(vhost.tool, "Shopping.ItemAdded", *bodies))


async def until_unacknowledged(vhost, count, within=20.0):
    async def held():
        return await trio.to_thread.run_sync(vhost.unacknowledged, QUEUE)

    await shop.until_async(held, count, within)


async def metric(service, name, **labels):
    """What /metrics says, 0 where it says nothing."""
    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(f"{service.url}/metrics")).text
    inside = ",".join(f'{key}="{value}"' for key, value in labels.items())
    named = re.escape(name + (f"{{{inside}}}" if inside else ""))
    found = re.search(rf"^{named} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


async def condition(service):
    """What readiness says of the store."""
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(f"{service.url}/health/ready?verbose")).json()["parts"]["store"]


async def refused_start(service, code):
    """It ends by itself, in one line; the line."""
    service.spawn()
    assert await service.wait(within=service.start_within) == code
    (line,) = service.output().splitlines()
    return line


@pytest.mark.parametrize(
    "content",
    [os.urandom(50_000), b"SQLite format 3\0" + bytes(9000)],
    ids=["noise", "a header and nothing"],
)
async def test_a_file_that_is_damaged_stops_the_start_in_one_line_and_keeps_its_bytes(
    new_service, tmp_path, content
):
    (tmp_path / FILE).write_bytes(content)
    service = new_service(**shop.settings(NOBODY_THERE, DATA_DIR=str(tmp_path)))
    line = await refused_start(service, 65)
    assert str(tmp_path / FILE) in line
    assert (tmp_path / FILE).read_bytes() == content


async def test_a_folder_in_place_of_the_file_is_a_setting_to_correct(new_service, tmp_path):
    (tmp_path / FILE).mkdir()
    service = new_service(**shop.settings(NOBODY_THERE, DATA_DIR=str(tmp_path)))
    assert await refused_start(service, 2) == (
        f"storefront: STOREFRONT_DATA_DIR: {tmp_path / FILE} is not a file"
    )


async def test_a_folder_that_takes_no_files_is_a_setting_to_correct(new_service):
    """/proc refuses whoever it is; a folder without permission does not refuse root."""
    service = new_service(**shop.settings(NOBODY_THERE, DATA_DIR="/proc"))
    line = await refused_start(service, 2)
    assert line.startswith("storefront: STOREFRONT_DATA_DIR: cannot write in /proc")


async def test_a_second_process_on_one_folder_is_turned_away_in_one_line_and_the_first_serves_on(
    vhost, new_service, tmp_path
):
    settings = shop.settings(vhost.url, DATA_DIR=str(tmp_path / "log"))
    first, second = new_service(**settings), new_service(**settings)
    await start(first, vhost)
    async with stream(first.url) as client:
        await publish(vhost, 1)
        await shop.until(lambda: numbers(client) == [1])
        line = await refused_start(second, 2)
        assert line.startswith(
            f"storefront: STOREFRONT_DATA_DIR: the log in {tmp_path / 'log'} is in use by another"
        )
        await publish(vhost, 2)
        await shop.until(lambda: numbers(client) == [1, 2])
        assert client.ended is None
    assert await first.stop() == 0


async def test_an_empty_file_is_a_new_log(vhost, new_service, tmp_path):
    (tmp_path / FILE).write_bytes(b"")
    service = new_service(**shop.settings(vhost.url, DATA_DIR=str(tmp_path)))
    await start(service, vhost)
    async with stream(service.url) as client:
        await publish(vhost, 1)
        await shop.until(lambda: numbers(client) == [1])
    assert await service.stop() == 0


async def test_a_full_disk_means_no_acknowledgement_and_when_there_is_room_all_arrives(
    vhost, new_service
):
    service = new_service(**shop.settings(vhost.url))
    await start(service, vhost)
    async with stream(service.url) as client:
        # The WAL outgrows what the process may write to a file from now on; its log does not.
        await publish(vhost, *range(1, 13), filling=200_000)
        await shop.until(lambda: len(numbers(client)) == 12)
        await publish(vhost, 13)
        await shop.until(lambda: numbers(client)[-1] == 13)
        _, hard = resource.prlimit(service.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (32_000, hard))
        await publish(vhost, 14, 15, 16)
        await until_unacknowledged(vhost, 3)
        await shop.until(lambda: "does not answer" in service.output())
        assert numbers(client)[-1] == 13
        resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (hard, hard))
        await shop.until(lambda: numbers(client) == list(range(1, 17)), within=20)
        await until_unacknowledged(vhost, 0)
        assert client.ended is None
    assert await service.stop() == 0


async def test_a_redis_that_takes_nothing_means_no_acknowledgement_and_no_crash_and_it_passes(
    vhost, redis_server, new_service
):
    """Out of memory, a replica, too few replicas, a disk it cannot save to: one after the other."""
    service = new_service(**shop.settings(vhost.url, REDIS_URL=redis_server.url))
    await start(service, vhost)
    sent = 0
    async with stream(service.url) as client:
        for kind, trouble, cure in _troubles(redis_server):
            trouble()
            await shop.until(lambda: takes_nothing(redis_server))
            before = numbers(client)
            sent += 3
            await publish(vhost, sent - 2, sent - 1, sent)
            await until_unacknowledged(vhost, 3)
            await shop.until(lambda kind=kind: WORDS[kind] in service.output())
            assert numbers(client) == before, kind
            cure()
            await shop.until(lambda sent=sent: len(numbers(client)) == sent, within=30)
            assert numbers(client) == list(range(1, sent + 1)), kind
            await until_unacknowledged(vhost, 0)
        assert client.ended is None
    assert await service.stop() == 0


def takes_nothing(server):
    """Whether a write is refused: that a save has failed is known a moment after it."""
    try:
        server.command("EVAL", "return redis.call('SET', KEYS[1], 1)", 1, "probe")
    except redis.ResponseError:
        return True
    return False


WORDS = {
    "out-of-memory": "maxmemory",
    "read-only": "read only replica",
    "no-replicas": "NOREPLICAS",
    "disk": "MISCONF",
}


def _troubles(server):
    command = server.command
    yield (
        "out-of-memory",
        lambda: command("CONFIG", "SET", "maxmemory", "1"),
        lambda: command("CONFIG", "SET", "maxmemory", "0"),
    )
    yield (
        "read-only",
        lambda: command("REPLICAOF", "127.0.0.1", "1"),
        lambda: command("REPLICAOF", "NO", "ONE"),
    )
    yield (
        "no-replicas",
        lambda: command("CONFIG", "SET", "min-replicas-to-write", "1"),
        lambda: command("CONFIG", "SET", "min-replicas-to-write", "0"),
    )
    snapshot = server.log.parent / "dump.rdb"

    def fail_to_save():
        snapshot.mkdir()
        command("CONFIG", "SET", "save", "3600 1")
        command("BGSAVE")

    def save_again():
        snapshot.rmdir()
        command("CONFIG", "SET", "save", "")

    yield "disk", fail_to_save, save_again


async def test_a_redis_that_is_away_is_told_to_browsers_and_what_came_meanwhile_arrives(
    vhost, redis_server, new_service
):
    service = new_service(**shop.settings(vhost.url, REDIS_URL=redis_server.url))
    await start(service, vhost)
    async with stream(service.url) as client, stream(service.url, BOB) as other:
        await publish(vhost, 1, 2)
        await publish(vhost, 1, customer=BOB)
        await shop.until(lambda: numbers(client) == [1, 2] and numbers(other) == [1])
        cursor = client.sse.last_event_id
        redis_server.kill()
        await publish(vhost, 3, 4)
        await publish(vhost, 2, customer=BOB)
        await until_unacknowledged(vhost, 3)
        headers = shop.bearer(ALICE) | {"Last-Event-ID": f"{cursor.partition('-')[0]}-0"}
        # A new process remembers nothing: what it is asked, only the store could answer.
        late = new_service(**shop.settings(NOBODY_THERE, REDIS_URL=redis_server.url))
        await late.start()
        back = await SseClient.connect(f"{late.url}/sse/storefront", headers=headers)
        async with back:
            assert await back.read_head() == 200
            with trio.fail_after(10):
                await back.read_to_end()
            (busy,) = back.sse.events
            assert (busy.type, json.loads(busy.data)) == ("busy", {"reason": "log"})
        assert (numbers(client), numbers(other)) == ([1, 2], [1])
        await redis_server.start()
        await shop.until(lambda: numbers(client) == [1, 2, 3, 4], within=40)
        await shop.until(lambda: numbers(other) == [1, 2], within=40)
        await until_unacknowledged(vhost, 0)
        async with stream(late.url, cursor=cursor) as again:
            await shop.until(lambda: numbers(again) == [3, 4])
            assert controls(again)[0]["mode"] == "resumed"


async def test_a_redis_that_lost_everything_starts_another_epoch_and_open_streams_are_told(
    vhost, redis_server, new_service
):
    service = new_service(**shop.settings(vhost.url, REDIS_URL=redis_server.url))
    await start(service, vhost)
    async with stream(service.url) as client:
        await publish(vhost, 1, 2, 3)
        await shop.until(lambda: numbers(client) == [1, 2, 3])
        epoch = client.sse.last_event_id.partition("-")[0]
        redis_server.command("FLUSHALL")
        await publish(vhost, 4)
        await shop.until(lambda: controls(client)[-1]["mode"] == "reset")
        await publish(vhost, 5)
        await shop.until(lambda: numbers(client)[-1] == 5)
        assert controls(client)[-1]["position"].partition("-")[0] != epoch
        assert client.sse.last_event_id == f"{controls(client)[-1]['position'].partition('-')[0]}-2"


async def ail(vhost, redis_server, client, other, count):
    """ALICE's log is of a wrong type while `count` messages come for her and as many for BOB."""
    await publish(vhost, 1)
    await shop.until(lambda: numbers(client) == [1])
    redis_server.command("RENAME", LOG, "aside")
    redis_server.command("SET", LOG, "planted")
    for number in range(2, count + 2):
        await publish(vhost, number)
        if number % 10 == 0:
            await publish(vhost, number, customer=BOB)
    await publish(vhost, count + 2, customer=BOB)
    await shop.until(lambda: numbers(other)[-1:] == [count + 2])
    assert numbers(client) == [1]


def mend(redis_server):
    redis_server.command("DEL", LOG)
    redis_server.command("RENAME", "aside", LOG)


async def test_one_customers_ailing_key_holds_that_customer_only_and_mended_all_arrives_in_order(
    vhost, redis_server, new_service
):
    service = new_service(**shop.settings(vhost.url, REDIS_URL=redis_server.url))
    await start(service, vhost)
    async with stream(service.url) as client, stream(service.url, BOB) as other:
        await ail(vhost, redis_server, client, other, 20)
        await until_unacknowledged(vhost, 20)
        mend(redis_server)
        await shop.until(lambda: len(numbers(client)) >= 21)
        await until_unacknowledged(vhost, 0)
        assert numbers(client) == list(range(1, 22))
        assert client.ended is None
    assert await service.stop() == 0


async def test_what_was_held_for_an_ailing_key_comes_again_to_the_next_process(
    vhost, redis_server, new_service
):
    settings = shop.settings(vhost.url, REDIS_URL=redis_server.url)
    service = new_service(**settings)
    await start(service, vhost)
    async with stream(service.url) as client, stream(service.url, BOB) as other:
        await ail(vhost, redis_server, client, other, 5)
        cursor = client.sse.last_event_id
    service.kill()
    mend(redis_server)
    await start(service, vhost)
    async with stream(service.url, cursor=cursor) as client:
        await shop.until(lambda: numbers(client) == [2, 3, 4, 5, 6])


async def test_a_customer_with_more_stuck_messages_than_are_prefetched_stops_nobody(
    vhost, redis_server, new_service
):
    service = new_service(**shop.settings(vhost.url, REDIS_URL=redis_server.url))
    await start(service, vhost)
    async with stream(service.url) as client, stream(service.url, BOB) as other:
        await ail(vhost, redis_server, client, other, 150)
        assert await metric(service, "storefront_recorder_held") == 25
        assert await metric(service, "storefront_recorder_put_off_total") >= 125
        await publish(vhost, 1000, customer=BOB)
        await shop.until(lambda: numbers(other)[-1] == 1000)
        mend(redis_server)
        await shop.until(lambda: len(numbers(client)) >= 151)
        # The copies come back from the delay queue, and are known.
        await trio.sleep(6)
        assert numbers(client) == list(range(1, 152))


@pytest.fixture
def impatient_rabbit(rabbit):
    """Ends the channel of whoever leaves a message unacknowledged for two seconds."""
    change = "application:set_env(rabbit, {}, {}).".format
    rabbit.evaluate(change("consumer_timeout", 2_000))
    rabbit.evaluate(change("channel_tick_interval", 200))  # how often a channel looks
    yield
    rabbit.evaluate(change("consumer_timeout", 1_800_000))
    rabbit.evaluate(change("channel_tick_interval", 60_000))  # without one no channel can be opened


async def test_a_key_that_stays_refused_costs_no_channel_for_the_time_its_messages_are_not_acknowledged(
    impatient_rabbit, vhost, monkeypatch
):
    """In process, where ten minutes can be one second; the service has no setting for it."""
    monkeypatch.setattr(recorder, "LONGEST_IN_HAND", 1.0)
    tokens, shown, states = itertools.count(), [], []
    store = FaultyStore(MemoryStore(window=300.0, kept_ids=200, token=lambda: f"t{next(tokens)}"))
    store.refuses = {ALICE}

    async def nobody(*_args):
        return None

    async with open_island(), trio.open_nursery() as nursery:
        broker = AmqpBroker(vhost.url)
        await nursery.start(store.follow, shown.extend, lambda: None)
        recording = recorder.Recorder(store, clock=trio.current_time, room=100)
        dispatcher = Dispatcher(
            recorder=recording,
            placing=Placing(store, ask_orders=nobody, clock=time.time),
            ask_shopping=nobody,
            watch=Unwatched(),
            clock=time.time,
            in_hand=200,
        )
        nursery.start_soon(recording.run)
        await nursery.start(dispatcher.run)
        stopping = trio.Event()
        nursery.start_soon(
            partial(
                consume,
                broker,
                NOTIFICATIONS,
                dispatcher,
                prefetch=100,
                stopping=stopping,
                tell=states.append,
            )
        )
        await shop.until(lambda: states == ["consuming"])
        # All that is held for ALICE comes to be put off, while BOB's are acknowledged.
        for number in range(1, 6):
            await publish(vhost, number)
            await publish(vhost, number, customer=BOB)
            await trio.sleep(1)
        assert numbers_of(shown, BOB) == [1, 2, 3, 4, 5]
        assert recording.condition() == "refuses 1 customer(s)"
        store.refuses = set()
        await shop.until(lambda: numbers_of(shown, ALICE) == [1, 2, 3, 4, 5])
        stopping.set()
        await until_unacknowledged(vhost, 0)
        nursery.cancel_scope.cancel()


class Unwatched:
    def settled(self, outcome, kind):
        """Not counted."""


def numbers_of(entries, customer):
    return [json.loads(each.payload)["itemCount"] for each in entries if each.customer == customer]


async def test_the_stores_trouble_is_counted_by_its_kind_and_told_by_readiness(
    vhost, redis_server, new_service
):
    service = new_service(**shop.settings(vhost.url, REDIS_URL=redis_server.url))
    await start(service, vhost)
    refusals = "storefront_store_refusals_total"
    async with stream(service.url) as client, stream(service.url, BOB) as other:
        assert await condition(service) == "durable"
        await ail(vhost, redis_server, client, other, 3)
        assert await condition(service) == "durable, refuses 1 customer(s)"
        assert await metric(service, refusals, kind="wrong-type") > 0
        assert await metric(service, "storefront_recorder_refused_customers") == 1
        mend(redis_server)
        await shop.until(lambda: len(numbers(client)) == 4)
        assert await condition(service) == "durable"
        redis_server.command("CONFIG", "SET", "maxmemory", "1")
        await publish(vhost, 5)
        await shop.until_async(lambda: condition(service), "durable, takes nothing")
        assert await metric(service, refusals, kind="out-of-memory") > 0
        assert await metric(service, "storefront_recorder_failures_total") > 0
        redis_server.command("CONFIG", "SET", "maxmemory", "0")
        await shop.until(lambda: numbers(client)[-1] == 5)
        await shop.until_async(lambda: condition(service), "durable")
        redis_server.command("REPLICAOF", "127.0.0.1", "1")
        await publish(vhost, 6)
        await shop.until_async(lambda: condition(service), "durable, takes nothing")
        assert await metric(service, refusals, kind="read-only") > 0
        redis_server.command("REPLICAOF", "NO", "ONE")
        await shop.until(lambda: numbers(client)[-1] == 6)
        await shop.until_async(lambda: condition(service), "durable")
