"""A long log costs a process no memory: it passes through in slices, whoever reads it and at whatever pace."""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from storefront.domain.ids import CustomerId
from storefront.domain.positions import Position
from storefront.messaging.amqp import open_island
from storefront.store.contract import Recording, Store
from storefront.store.redis import open_redis_store
from storefront.store.sqlite import open_sqlite_store
from tests.system import shopfloor as shop
from tests.system.servers.service import ServiceProcess
from tests.system.servers.sse_client import SseClient
from tests.system.shopfloor import ALICE, BOB

EVENTS = 50_000
MOST_KIB = 32 * 1024
WINDOW = 3600.0  # seconds, so that a busy machine does not let the first events go
# Bytes more in each event: the log is 41 MiB, so that whoever kept one whole copy of it would be found out.
FILLING = 600
SLOWISH = 9 * 1024  # KiB/s: about twice the time of the fast one (5 s) on a quiet machine
WITHIN = 120.0  # seconds for both to have read all of it


async def fill(store: Store) -> Position:
    """Put all events into the log; the place before the first of them."""
    last = None
    for start in range(0, EVENTS, 500):
        entries = await store.record(
            [
                Recording(
                    message_id=str(number),
                    customer=CustomerId(ALICE),
                    payload=b'{"eventType":"cart-updated",%s'
                    % shop.numbered(ALICE, number, FILLING)[1:],
                )
                for number in range(start + 1, start + 501)
            ],
            now=time.time(),
        )
        last = entries[-1].position
    assert last.seq == EVENTS
    return Position(last.epoch, 0)


@asynccontextmanager
async def open_shared_log(url: str) -> AsyncIterator[Store]:
    async with open_island(), open_redis_store(url, window=WINDOW, kept_ids=200) as store:
        yield store


async def open_stream(url: str, customer: str, cursor: Position | None = None) -> SseClient:
    headers = shop.bearer(customer) | ({"Last-Event-ID": str(cursor)} if cursor else {})
    return await SseClient.connect(f"{url}/sse/storefront", headers=headers)


def peak_kib(service: ServiceProcess) -> int:
    """The most that was resident since `forget_peak`, which no sampling could miss."""
    status = Path(f"/proc/{service.pid}/status").read_text()
    (kib,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(kib)


def forget_peak(service: ServiceProcess) -> None:
    Path(f"/proc/{service.pid}/clear_refs").write_text("5")


async def read_all(client: SseClient, kib_per_second: float | None = None) -> None:
    """Read until the last event, which is the only one with its number."""
    last = b'"itemCount":%d,' % EVENTS
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(client.read_to_end, kib_per_second=kib_per_second))
            while last not in client.raw[-2 * FILLING :] and client.ended is None:
                await trio.sleep(0.02)
            scope.cancel()


async def resume(service: ServiceProcess, cursor: Position) -> None:
    """A fast and a slowish browser come back with the first place there is, and get all of it."""
    async with (
        await open_stream(service.url, ALICE, cursor) as fast,
        await open_stream(service.url, ALICE, cursor) as slowish,
    ):
        with trio.fail_after(WITHIN):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read_all, fast)
                nursery.start_soon(read_all, slowish, SLOWISH)
        for client in (fast, slowish):
            told, *events = client.sse.events
            assert json.loads(told.data) == {
                "mode": "resumed",
                "replayed": EVENTS,
                "position": f"{cursor.epoch}-{EVENTS}",
            }
            assert [event.id for event in events] == [
                f"{cursor.epoch}-{seq}" for seq in range(1, EVENTS + 1)
            ]
            assert client.ended is None


async def warm(service: ServiceProcess) -> int:
    """What the process has resident once it has served a stream; the peak is counted from here."""
    async with await open_stream(service.url, BOB) as client:
        await client.read_event("stream")
    forget_peak(service)
    return service.rss()


def report(store: str, before: int, peak: int) -> None:
    grown = (peak - before) / 1024
    print(f"\n{store}: {EVENTS} events replayed twice, RSS {before / 1024:.1f} +{grown:.1f} MiB")
    assert peak - before < MOST_KIB


async def test_a_return_to_the_first_of_fifty_thousand_events_in_a_file_takes_no_memory(
    vhost, new_service, tmp_path
):
    opening: AbstractAsyncContextManager[Store] = open_sqlite_store(
        tmp_path / "log" / "storefront.sqlite", window=WINDOW, kept_ids=200
    )
    async with opening as store:
        cursor = await fill(store)
    service = new_service(
        **shop.settings(vhost.url, DATA_DIR=str(tmp_path / "log"), REPLAY_WINDOW=str(WINDOW))
    )
    await service.start()
    before = await warm(service)
    await resume(service, cursor)
    report("SQLite", before, peak_kib(service))
    assert await service.stop() == 0


async def test_fifty_thousand_events_heard_from_redis_and_a_return_to_the_first_take_no_memory(
    vhost, new_service, redis_server
):
    service = new_service(
        **shop.settings(vhost.url, REDIS_URL=redis_server.url, REPLAY_WINDOW=str(WINDOW))
    )
    await service.start()
    before = await warm(service)
    async with open_shared_log(redis_server.url) as store:
        # The service hears of every one of them, and must not keep them without a bound.
        cursor = await fill(store)
    await resume(service, cursor)
    report("Redis", before, peak_kib(service))
    assert await service.stop() == 0
