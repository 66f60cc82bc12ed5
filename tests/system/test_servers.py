"""The servers and eyes that the other system tests rely on: first they must tell the truth themselves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import aiormq
import pytest
import redis
import trio

from tests.system.conftest import ensure_running
from tests.system.servers import ports
from tests.system.servers.amqp_tool import QueueState
from tests.system.servers.chromium import screenshot
from tests.system.servers.ports import answers, free_port
from tests.system.servers.process import ServerError, ServerProcess
from tests.system.servers.redis import RedisServer
from tests.system.servers.service import ServiceProcess

REPOSITORY = Path(__file__).parents[2]


def listeners(port: int) -> list[str]:
    """Local addresses that listen on this port, as /proc/net/tcp and tcp6 write them."""
    wanted = f":{port:04X}"
    lines = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path("/proc/net", table).read_text().splitlines()[1:]
    ]
    return [line[1] for line in lines if line[1].endswith(wanted) and line[3] == "0A"]


def processes_of_session(leader: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session, *_ = stat.read_text().rpartition(") ")[2].split()
        except OSError:  # it ended while we looked
            continue
        if int(session) == leader and state != "Z":
            found.append(int(stat.parent.name))
    return found


# --- one child program ---------------------------------------------------------------------------------------------


def program(folder: Path, source: str, *, ready=lambda: True) -> ServerProcess:
    return ServerProcess("sample", [sys.executable, "-c", source], folder=folder, ready=ready)


async def test_a_program_that_ends_before_it_is_ready_says_why(tmp_path):
    process = program(tmp_path, "raise SystemExit('no such thing')", ready=lambda: False)
    with pytest.raises(ServerError, match=r"(?s)ended with 1 before it was ready.*no such thing"):
        await process.start(within=10)


async def test_a_program_that_is_never_ready_is_ended_at_the_bound(tmp_path):
    process = program(tmp_path, "import time; time.sleep(60)", ready=lambda: False)
    with pytest.raises(ServerError, match=r"was not ready within 0\.2 s"):
        await process.start(within=0.2)
    assert not process.running


async def test_a_program_is_ended_with_the_helpers_it_started(tmp_path):
    two = "import os, time; os.fork(); print('up', flush=True); time.sleep(60)"
    with program(tmp_path, two) as process:
        process._ready = lambda: process.output().count("up") == 2
        await process.start(within=10)
        assert len(processes_of_session(process.pid)) == 2
        assert await process.stop(within=5) == -signal.SIGTERM
        assert ended_within(5, process.pid)


async def test_a_program_that_ignores_sigterm_is_killed_and_that_is_an_error(tmp_path):
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    with program(tmp_path, deaf) as process:
        process._ready = lambda: "up" in process.output()
        await process.start(within=10)
        with pytest.raises(ServerError, match=r"still runs after 0\.2 s"):
            await process.stop(within=0.2)
        assert ended_within(5, process.pid)


def test_a_killed_test_run_leaves_no_server_behind(tmp_path):
    """The test run here is a Python of its own, killed while its server runs."""
    run = (
        "import pathlib, sys, time\n"
        "from tests.system.servers.process import ServerProcess\n"
        "server = ServerProcess('sample', ['sleep', '60'], folder=pathlib.Path(sys.argv[1]), ready=bool)\n"
        "server.spawn()\n"
        "print(server.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", run, str(tmp_path)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        server = int(child.stdout.readline())
        assert processes_of_session(server) == [server]
        child.kill()
    assert ended_within(5, server)


def ended_within(seconds: float, leader: int) -> bool:
    deadline = time.monotonic() + seconds
    while processes_of_session(leader) and time.monotonic() < deadline:
        os.sched_yield()
    return not processes_of_session(leader)


def test_a_port_is_out_of_reach_of_outgoing_connections_and_given_once(monkeypatch):
    lowest_ephemeral = int(ports.EPHEMERAL.read_text().split()[0])
    monkeypatch.setattr(ports, "LOWEST", lowest_ephemeral - 6)
    given = {free_port() for _ in range(5)}
    assert len(given) == 5
    assert max(given) < lowest_ephemeral
    with pytest.raises(OSError, match="no free port"):
        free_port()


# --- RabbitMQ ------------------------------------------------------------------------------------------------------

HEADERS = {"source": "Shopping.Api", "attempts": "0"}
PROPERTIES = {
    "message_type": "Messages.Contracts.Shopping.ItemAdded",
    "message_id": "08de6e4b-1c2f-9f3a-0242-ac1100020000",
    "content_type": "application/json",
    "delivery_mode": 2,
}


async def test_a_broker_keeps_confirmed_messages_over_a_kill_and_a_stop(rabbit, vhost):
    vhost.tool.declare_as_wolverine("notifications")
    vhost.tool.publish("notifications", b"1", b"2", headers=HEADERS, **PROPERTIES)
    address, leader = rabbit.url, rabbit.pid

    rabbit.kill()
    assert processes_of_session(leader) == []
    assert listeners(rabbit.port) == []
    with pytest.raises(aiormq.exceptions.AMQPConnectionError):
        vhost.tool.state("notifications")

    await rabbit.start()
    assert rabbit.url == address
    assert vhost.tool.state("notifications").ready == 2

    assert await rabbit.stop() == 0
    await rabbit.start()
    first, second = vhost.tool.get("notifications", limit=10)
    assert (first.body, second.body) == (b"1", b"2")
    assert first.properties == PROPERTIES
    assert first.headers == HEADERS
    assert first.routing_key == "notifications"


async def test_a_broker_listens_on_loopback_only_with_an_epmd_of_its_own(rabbit):
    loopback = "0100007F"
    dist = int(rabbit._environment["RABBITMQ_DIST_PORT"])
    assert [a.split(":")[0] for p in (rabbit.port, dist) for a in listeners(p)] == [loopback] * 2
    epmd = int(rabbit._environment["ERL_EPMD_PORT"])
    assert epmd != 4369
    assert all("0100007F" in a or "01000000:" in a for a in listeners(epmd))
    assert rabbit._epmd.running


async def test_one_virtual_host_does_not_see_into_another(rabbit, vhost):
    vhost.tool.declare("mine")
    with rabbit.virtual_host() as other:
        assert other.tool.state("mine") is None
    with pytest.raises(aiormq.exceptions.AMQPError):
        other.tool.state("mine")
    assert vhost.tool.state("mine").ready == 0


async def test_the_amqp_tool_tells_the_truth_about_a_queue(vhost):
    tool = vhost.tool
    with pytest.raises(aiormq.exceptions.ChannelNotFoundEntity):
        tool.publish("nowhere", b"lost")
    with pytest.raises(aiormq.exceptions.PublishError):
        tool.publish("nowhere", b"lost", exchange="amq.direct", message_id="1")
    tool.publish("nowhere", b"lost and not missed", confirm=False)
    tool.declare("q")
    tool.publish("q", *(b"%d" % n for n in range(5)))
    assert tool.state("q").ready == 5
    assert [m.body for m in tool.get("q", limit=2)] == [b"0", b"1"]
    assert tool.get("q")[0].properties == {}
    tool.purge("q")
    assert tool.get("q") == []
    tool.delete("q")
    assert tool.state("q") is None


async def test_what_a_consumer_holds_unacknowledged_is_seen(vhost):
    vhost.tool.declare("q")
    vhost.tool.publish("q", b"1", b"2", b"3")
    with vhost.tool.holding("q", prefetch=2) as held:
        with trio.fail_after(5):
            while len(held) < 2:
                await trio.sleep(0.01)
        assert vhost.unacknowledged("q") == 2
        assert vhost.tool.state("q") == QueueState(ready=1, consumers=1)
        vhost.close_connections()
    assert vhost.unacknowledged("q") == 0
    assert [m.redelivered for m in vhost.tool.get("q", limit=5)] == [True, True, False]


async def test_an_exclusive_consumer_keeps_others_out(vhost):
    vhost.tool.declare("q")
    with (
        vhost.tool.holding("q", exclusive=True),
        pytest.raises(aiormq.exceptions.ChannelAccessRefused),
        vhost.tool.holding("q", exclusive=True),
    ):
        raise AssertionError("two exclusive consumers")


GREETING = (b"AMQP\x00\x00\x09\x01", b"\x01")


async def test_a_frozen_broker_is_silent_and_comes_back(rabbit):
    rabbit.freeze()
    assert not answers(rabbit.port, *GREETING, patience=0.3)
    rabbit.thaw()
    assert answers(rabbit.port, *GREETING, patience=5)


async def test_a_broker_that_a_test_left_dead_or_frozen_works_again_for_the_next(rabbit):
    rabbit.freeze()
    await trio.to_thread.run_sync(ensure_running, rabbit)
    assert answers(rabbit.port, *GREETING, patience=5)


# --- Redis ---------------------------------------------------------------------------------------------------------


async def test_a_redis_keeps_every_write_over_a_kill(redis_server):
    redis_server.command("SET", "a", "1")
    redis_server.kill()
    with pytest.raises(redis.ConnectionError):
        redis_server.command("GET", "a")
    await redis_server.start()
    assert redis_server.command("GET", "a") == b"1"
    assert await redis_server.stop() == 0


def test_a_redis_is_set_up_as_storefront_asks_unless_the_test_asks_otherwise(
    redis_server, tmp_path
):
    def setting(server: RedisServer, name: str) -> str:
        (value,) = server.command("CONFIG", "GET", name).values()
        return str(value, "ascii")

    assert setting(redis_server, "appendfsync") == "always"
    assert setting(redis_server, "appendonly") == "yes"
    assert setting(redis_server, "maxmemory-policy") == "noeviction"
    assert listeners(redis_server.port) == [f"0100007F:{redis_server.port:04X}"]
    with RedisServer(tmp_path, appendfsync="everysec") as lazy:
        trio.run(lazy.start)
        assert setting(lazy, "appendfsync") == "everysec"


async def test_a_frozen_redis_is_silent_not_gone(redis_server):
    redis_server.freeze()
    with pytest.raises(redis.TimeoutError):
        redis_server.command("PING")
    redis_server.thaw()
    assert redis_server.command("PING")


def test_a_cluster_refuses_a_script_on_keys_of_two_slots(redis_cluster):
    with redis.RedisCluster.from_url(redis_cluster.url) as client:
        assert {client.set(f"{{{n}}}", "x") for n in range(50)} == {True}
        with pytest.raises(redis.exceptions.ClusterCrossSlotError):
            redis_cluster.nodes[0].command("EVAL", "return 1", 2, "{a}", "{b}")
    redis_cluster.flush()
    assert [node.command("DBSIZE") for node in redis_cluster.nodes] == [0, 0, 0]


# --- Storefront as a process ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        '{"url": "http://127.0.0.1:4711", "event": "listening", "level": "info"}',
        "2026-11-22T16:00:00Z [\x1b[32minfo\x1b[0m] \x1b[1mlistening\x1b[0m url=\x1b[35mhttp://127.0.0.1:4711\x1b[0m",
        "listening on http://127.0.0.1:4711",
    ],
    ids=["json", "console", "plain"],
)
def test_the_url_is_read_from_the_line_that_says_listening(tmp_path, line):
    process = ServiceProcess(tmp_path)
    process.log.write_text(f"asking http://127.0.0.1:1 for keys\n{line}\nlistening http://no:2\n")
    assert process.url == "http://127.0.0.1:4711"
    assert process.port == 4711


def test_a_service_is_set_by_its_variables_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("STOREFRONT_HEARTBEAT", "1")
    process = ServiceProcess(tmp_path, JWT_SECRET="x" * 32, DRAIN="2")
    ours = {k: v for k, v in process._environment.items() if k.startswith("STOREFRONT_")}
    assert ours == {
        "STOREFRONT_BIND": "127.0.0.1:0",
        "STOREFRONT_DATA_DIR": str(tmp_path / "data"),
        "STOREFRONT_JWT_SECRET": "x" * 32,
        "STOREFRONT_DRAIN": "2",
    }


async def test_a_service_that_cannot_start_says_why(new_service):
    service = new_service("no-such-command")
    with pytest.raises(ServerError, match=r"(?s)ended with 2 before it was ready.*no-such-command"):
        await service.start()


async def test_memory_and_processor_time_of_a_process_are_read(tmp_path):
    busy = "x = bytearray(50_000_000)\nwhile True: pass"
    process = ServiceProcess(tmp_path)
    process._command = [sys.executable, "-c", busy]
    with process:
        process.spawn()
        with trio.fail_after(20):
            while process.cpu_seconds() < 0.2:
                await trio.sleep(0.01)
        assert 50_000 < process.rss() < 150_000


# --- Chromium ------------------------------------------------------------------------------------------------------

PAGE = "<!doctype html><title>shop</title><h1>Open</h1>"


def test_a_browser_shows_a_page_and_reports_what_it_complains_about(chromium):
    shopper = chromium.shopper()
    page = shopper.page()
    page.set_content(PAGE)
    assert page.title() == "shop"
    assert shopper.complaints == []
    page.evaluate("console.log('fine'); console.error('not fine')")
    page.evaluate("setTimeout(() => { throw new Error('worse') })")
    page.wait_for_function("true")
    page.wait_for_timeout(100)
    assert [text.split(":", 1)[0] for text in shopper.complaints] == [
        "error on about",
        "exception on about",
    ]


def test_two_shoppers_share_nothing_and_two_tabs_share_cookies(chromium):
    one, other = chromium.shopper(), chromium.shopper()
    one.context.add_cookies([{"name": "who", "value": "one", "url": "http://127.0.0.1/"}])
    assert [cookie["value"] for cookie in one.context.cookies()] == ["one"]
    assert other.context.cookies() == []


def test_a_screenshot_is_kept_for_a_person_to_look_at(chromium, tmp_path, monkeypatch):
    monkeypatch.setattr("tests.system.servers.chromium.SCREENSHOTS", tmp_path / "kept")
    page = chromium.shopper().page()
    page.set_content(PAGE)
    path = screenshot(page, "cart: 2 items/now")
    assert path == tmp_path / "kept" / "cart-2-items-now.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_browser_test_may_start_servers_on_trio(chromium, redis_server):
    page = chromium.shopper().page()
    page.set_content(PAGE)
    redis_server.kill()
    trio.run(redis_server.start)
    assert redis_server.command("PING")
    assert page.title() == "shop"


# --- what a failure shows ------------------------------------------------------------------------------------------


def test_a_failed_test_shows_the_logs_of_its_servers(request, redis_server):
    from tests.system.conftest import pytest_runtest_makereport

    report = pytest.TestReport("x", ("x", 1, "x"), {}, "failed", "no", "call")
    hook = pytest_runtest_makereport(request.node)
    next(hook)
    with pytest.raises(StopIteration):
        hook.send(report)
    ((title, text),) = report.sections
    assert title == "end of redis.log"
    assert "Ready to accept connections" in text
