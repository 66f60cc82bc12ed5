"""Many processes behind one socket, on a real RabbitMQ and a real Redis: who serves, who leaves, who comes in their place."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections import Counter
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path

import trio

from tests.system import shopfloor as shop
from tests.system.servers.ports import LOOPBACK
from tests.system.servers.service import ServiceProcess
from tests.system.servers.sse_client import SseClient
from tests.system.shopfloor import ALICE, QUEUE

# Nobody listens there: a broker that is down does not keep the shop closed.
NO_BROKER, NO_REDIS = "amqp://127.0.0.1:9", "redis://127.0.0.1:9/0"

# The kernel deals connections out as it likes, and a customer's twenty-first stream in one process would end the first.
MANY_TABS = {"MAX_STREAMS_PER_CUSTOMER": "200"}


def children(parent: int) -> set[int]:
    """The processes that this one started and that still run, from the kernel's books."""
    found = set()
    for entry in Path("/proc").iterdir():
        # One may end while it is looked at.
        with suppress(FileNotFoundError, ProcessLookupError):
            if entry.name.isdecimal():
                # After the name, which may hold anything: state, and the parent (proc(5)).
                state, above = (entry / "stat").read_text().rpartition(") ")[2].split()[:2]
                if int(above) == parent and state not in "ZX":
                    found.add(int(entry.name))
    return found


def alive(pid: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    return False


def inodes(pid: int) -> set[str]:
    """The sockets this process has open."""
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            if named := re.fullmatch(r"socket:\[(\d+)\]", os.readlink(entry)):  # noqa: PTH115 - not a path
                found.add(named[1])
    return found


def connections(port: int) -> dict[int, str]:
    """The sockets of connections to this port of ours, by the port they come from."""
    found = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        here, there = (int(address.partition(":")[2], 16) for address in fields[1:3])
        if here == port and fields[9] != "0":
            found[there] = fields[9]
    return found


def servers_of(service: ServiceProcess, ports: list[int]) -> list[int]:
    """Which worker serves the connection from each of these ports."""
    owners = {inode: pid for pid in children(service.pid) for inode in inodes(pid)}
    by_port = connections(service.port)
    return [owners[by_port[port]] for port in ports]


def port_of(client: SseClient) -> int:
    return client._socket.getsockname()[1]


def lines(service: ServiceProcess) -> list[dict]:
    """What was logged so far; two processes may have written on one line."""
    found, decode = [], json.JSONDecoder().raw_decode
    for line in service.output().splitlines():
        rest = line
        with suppress(ValueError):
            while rest:
                fields, end = decode(rest)
                found.append(fields)
                rest = rest[end:]
    return found


def told(service: ServiceProcess, event: str, **fields) -> list[dict]:
    expected = {"event": event, **fields}
    return [line for line in lines(service) if expected.items() <= line.items()]


def pid_of(service: ServiceProcess, worker: int) -> int:
    return told(service, "worker started", worker=worker)[-1]["pid"]


async def start(service: ServiceProcess, amount: int) -> None:
    """Start, and wait until each of the workers listens."""
    await service.start()
    await shop.until(
        lambda: (
            {line["worker"] for line in told(service, "listening")} == set(range(1, amount + 1))
        ),
        within=30,
    )


async def open_tabs(service: ServiceProcess, stack: AsyncExitStack, amount: int) -> list[SseClient]:
    """Streams of Alice's, live."""
    tabs = []
    for _ in range(amount):
        tab = await SseClient.connect(f"{service.url}/sse/storefront", headers=shop.bearer(ALICE))
        tabs.append(await stack.enter_async_context(tab))
        assert await tab.read_head() == 200
        await tab.read_event("stream")
    return tabs


async def tabs_on_every_worker(
    service: ServiceProcess, stack: AsyncExitStack, amount: int
) -> dict[int, list[SseClient]]:
    """Streams of Alice's by the process that serves them, at least three on each of so many."""
    found: dict[int, list[SseClient]] = {}
    for _ in range(12):
        tabs = await open_tabs(service, stack, 3)
        for tab, pid in zip(tabs, servers_of(service, list(map(port_of, tabs))), strict=True):
            found.setdefault(pid, []).append(tab)
        if len(found) == amount and all(len(theirs) >= 3 for theirs in found.values()):
            return found
    raise AssertionError({pid: len(theirs) for pid, theirs in found.items()})


async def hear(tabs: list[SseClient], number: int, within: float) -> None:
    """Have each of them read on until the event of this number."""

    async def read(tab: SseClient) -> None:
        while json.loads((await tab.read_event("message")).data)["itemCount"] != number:
            pass

    with trio.fail_after(within):
        async with trio.open_nursery() as nursery:
            for tab in tabs:
                nursery.start_soon(read, tab)


async def publish(vhost, number: int) -> None:
    body = shop.numbered(ALICE, number)
    await trio.to_thread.run_sync(partial(shop.send, vhost.tool, "Shopping.ItemAdded", body))


async def until_gone(pids: set[int], port: int, within: float) -> None:
    """Wait until these processes are gone and their port is free.

    A killed process counts as gone with its first thread, and lets go of its files with its last.
    """
    await shop.until(lambda: not any(map(alive, pids)) and free(port), within=within)


def free(port: int) -> bool:
    """Whether nobody listens there any more; connections that were there may still be winding up."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            probe.bind((LOOPBACK, port))
            return True
    return False


async def assert_ended_in_order(tabs: list[SseClient], within: float) -> None:
    """Each hears `shutdown`, once, and its stream ends cleanly."""
    with trio.fail_after(within):
        async with trio.open_nursery() as nursery:
            for tab in tabs:
                nursery.start_soon(tab.read_to_end)
    assert {tab.ended for tab in tabs} == {"clean"}
    assert {sum(e.type == "shutdown" for e in tab.sse.events) for tab in tabs} == {1}


async def test_a_worker_that_is_killed_is_replaced_another_consumes_and_the_others_streams_live_on(
    vhost, redis_server, new_service
):
    settings = shop.settings(vhost.url, REDIS_URL=redis_server.url, DRAIN="2", **MANY_TABS)
    service = new_service("serve", "--workers", "2", **settings)
    await start(service, 2)
    await shop.until(lambda: told(service, "consuming", queue=QUEUE))
    (consuming,) = told(service, "consuming", queue=QUEUE)
    consumer = pid_of(service, consuming["worker"])
    async with AsyncExitStack() as stack:
        tabs = await tabs_on_every_worker(service, stack, 2)
        lost = tabs.pop(consumer)
        ((neighbour, kept),) = tabs.items()
        before = children(service.pid)
        assert before == {consumer, neighbour}
        await publish(vhost, 1)
        await hear([*lost, *kept], 1, within=5)

        os.kill(consumer, signal.SIGKILL)
        killed = trio.current_time()
        await publish(vhost, 2)
        await hear(kept, 2, within=10)
        took = trio.current_time() - killed
        assert took < 2, "the neighbour's own streams heard, so it has taken over"
        print(f"taken over, recorded and heard {took:.2f} s after the SIGKILL")

        await shop.until(lambda: len(children(service.pid)) == 2)
        replaced = pid_of(service, consuming["worker"])
        assert replaced != consumer
        assert children(service.pid) == {neighbour, replaced}
        listening = partial(told, service, "listening", worker=consuming["worker"])
        await shop.until(lambda: len(listening()) == 2, within=30)
        assert {tab.ended for tab in kept} == {None}

        tabs = await tabs_on_every_worker(service, stack, 2)
        assert set(tabs) == {neighbour, replaced}
        everybody = [*kept, *(tab for theirs in tabs.values() for tab in theirs)]
        await publish(vhost, 3)
        await hear(everybody, 3, within=5)
        assert len(told(service, "consuming", queue=QUEUE)) == 2, "one consumer at a time"
        assert vhost.tool.state(QUEUE).consumers == 1

        port = service.port
        asked = trio.current_time()
        service.send(signal.SIGTERM)
        await assert_ended_in_order(everybody, within=10)
        assert trio.current_time() - asked < 2 + 1, "the drain, and some air"
        assert await service.wait(within=5) == 0
    assert not any(map(alive, {consumer, neighbour, replaced}))
    assert free(port)
    assert "Traceback" not in service.output()
    by_worker = Counter(line.get("worker") for line in told(service, "leaving"))
    assert by_worker == {None: 1, 1: 1, 2: 1}, "each line says whose it is"


async def test_a_signal_to_every_process_at_once_as_systemd_sends_it_is_no_second_signal(
    redis_server, new_service
):
    settings = shop.settings(
        NO_BROKER, REDIS_URL=redis_server.url, WORKERS="2", DRAIN="1", **MANY_TABS
    )
    service = new_service(**settings)
    await start(service, 2)
    async with AsyncExitStack() as stack:
        tabs = await tabs_on_every_worker(service, stack, 2)
        for pid in (*tabs, service.pid):
            os.kill(pid, signal.SIGTERM)
        await assert_ended_in_order([tab for theirs in tabs.values() for tab in theirs], within=10)
        assert await service.wait(within=5) == 0


async def connect_to_all(port: int, amount: int, *, at_once: bool) -> list[trio.SocketStream]:
    found: list[trio.SocketStream] = []

    async def connect() -> None:
        stream = await trio.open_tcp_stream(LOOPBACK, port)
        await stream.send_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
        found.append(stream)

    async with trio.open_nursery() as nursery:
        for _ in range(amount):
            if at_once:
                nursery.start_soon(connect)
            else:
                await connect()
    return found


async def split(service: ServiceProcess, amount: int, *, at_once: bool) -> Counter[int]:
    """How many of so many connections each worker has."""
    streams = await connect_to_all(service.port, amount, at_once=at_once)
    ports = [stream.socket.getsockname()[1] for stream in streams]
    found = Counter(servers_of(service, ports))
    for stream in streams:
        await stream.aclose()
    return found


async def test_connections_spread_over_four_workers_and_a_killed_parent_leaves_none(new_service):
    service = new_service(**shop.settings(NO_BROKER, REDIS_URL=NO_REDIS, WORKERS="4"))
    await start(service, 4)
    workers = children(service.pid)
    for at_once in (True, False):
        found = await split(service, 200, at_once=at_once)
        print(
            f"200 connections, {'at once' if at_once else 'one by one'}: {sorted(found.values())}"
        )
        assert set(found) == workers
        # An even share is 50. Fewer than 5 is what one gets who is only asked when all others are busy.
        assert min(found.values()) >= 5
    port = service.port
    os.kill(service.pid, signal.SIGKILL)
    await until_gone(workers, port, within=2)


async def test_asked_twice_all_are_gone_at_once_even_one_that_is_frozen(redis_server, new_service):
    # The option wins over a setting that could not even be read, in the workers too.
    settings = shop.settings(NO_BROKER, REDIS_URL=redis_server.url, WORKERS="x", DRAIN="30")
    service = new_service("serve", "--workers", "2", **settings)
    await start(service, 2)
    workers = children(service.pid)
    print(f"200 connections over two: {sorted((await split(service, 200, at_once=True)).values())}")
    async with AsyncExitStack() as stack:
        await open_tabs(service, stack, 4)
        os.kill(min(workers), signal.SIGSTOP)
        service.send(signal.SIGTERM)
        await shop.until(lambda: told(service, "leaving"))
        port, asked = service.port, trio.current_time()
        service.send(signal.SIGTERM)
        assert await service.wait(within=5) == 128 + signal.SIGTERM
        await until_gone(workers, port, within=2)
        assert trio.current_time() - asked < 2


async def test_a_setting_that_only_the_workers_find_unusable_is_told_once_and_ends_all(new_service):
    service = new_service(
        **shop.settings(NO_BROKER, REDIS_URL=NO_REDIS, WORKERS="2"),
        TLS_CERT="/none.pem",
        TLS_KEY="/none.key",
    )
    service.spawn()
    assert await service.wait(within=30) == 2
    complaints = [line for line in service.output().splitlines() if line.startswith("storefront: ")]
    assert complaints == [
        "storefront: STOREFRONT_TLS_CERT='/none.pem', STOREFRONT_TLS_KEY='/none.key': No such file or directory"
    ]
    assert "Traceback" not in service.output()
    assert not any(alive(line["pid"]) for line in told(service, "worker started"))
    assert len(told(service, "worker started")) == 2, "nobody was replaced"


async def test_ctrl_c_while_the_workers_are_still_starting_ends_all_with_0_and_no_traceback(
    new_service,
):
    service = new_service(**shop.settings(NO_BROKER, REDIS_URL=NO_REDIS, WORKERS="2"))
    service.spawn()
    await shop.until(lambda: len(told(service, "worker started")) == 2, within=30)
    # What a terminal does: SIGINT to all of the foreground group, whose first process we started.
    os.killpg(service.pid, signal.SIGINT)
    assert await service.wait(within=10) == 0
    assert "Traceback" not in service.output()
    assert not any(alive(line["pid"]) for line in told(service, "worker started"))
