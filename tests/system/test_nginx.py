"""The service behind nginx as compose.yaml has it: two replicas, one Redis, deploy/nginx.conf.

What only nginx decides is tried against stand-ins that note what reaches them; what the replicas have a part in,
against the service itself.
"""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import httpx
import pytest
import trio

from tests.system import shopfloor as shop
from tests.system.conftest import note_use
from tests.system.servers.nginx import NginxServer
from tests.system.servers.ports import LOOPBACK, free_port
from tests.system.servers.service import ServiceProcess
from tests.system.servers.sse_client import SseClient
from tests.system.servers.sse_wire import parse_head
from tests.system.shopfloor import ALICE, BOB

AT_ONCE = 2.0  # seconds from the publisher to the browser; measured 0.01 s, and a buffer would keep it for ever
BROWSERS, EVENTS = 20, 50
ON_THE_WAY = 64 * 1024**2  # octets; measured 3 MiB, and 150 MiB in half a second with buffering
RETURNS = "storefront-returns-events"

NewNginx = Callable[..., Awaitable[NginxServer]]


@pytest.fixture
def new_nginx(tmp_path, request) -> Iterator[NewNginx]:
    """Makes and starts an nginx in front of these addresses."""
    with ExitStack() as running:

        async def make(*replicas: str) -> NginxServer:
            folder = tmp_path / f"nginx-{free_port()}"
            folder.mkdir()
            nginx = running.enter_context(NginxServer(folder, replicas))
            note_use(request.node, nginx)
            await nginx.start()
            return nginx

        yield make


# --- what only nginx decides ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """A request as it reached a replica."""

    line: str
    headers: dict[str, str]


@dataclass
class StandIn:
    """In a replica's place: answers with bytes, and notes who asked.

    `then` follows the answer for as long as anybody takes it, `sent` octets so far.
    """

    answer: bytes
    then: bytes = b""
    sent: int = 0
    address: str = ""
    connections: int = 0
    asked: list[Asked] = field(default_factory=list)

    async def serve(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        received = b""
        async with stream:
            while more := await stream.receive_some():
                received += more
                while b"\r\n\r\n" in received:
                    head, _, received = received.partition(b"\r\n\r\n")
                    self.asked.append(as_asked(head))
                    if not self.answer:
                        return
                    await stream.send_all(self.answer)
                    while self.then:
                        await stream.send_all(self.then)
                        self.sent += len(self.then)


def as_asked(head: bytes) -> Asked:
    line, _, fields = head.decode("latin-1").partition("\r\n")
    return Asked(line, parse_head(f"HTTP/1.1 200\r\n{fields}".encode("latin-1"))[1])


@asynccontextmanager
async def open_stand_in(
    answer: bytes, then: bytes = b"", *, port: int = 0
) -> AsyncIterator[StandIn]:
    stand_in = StandIn(answer, then)
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(port, host=LOOPBACK)
        stand_in.address = f"{LOOPBACK}:{listener.socket.getsockname()[1]}"
        nursery.start_soon(partial(trio.serve_listeners, stand_in.serve, [listener]))
        yield stand_in
        nursery.cancel_scope.cancel()


def answer(body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


# A stream that ends with its connection, and does not ask for what the service asks for (X-Accel-Buffering): that
# nothing is held back is nginx's own doing here. What is chunked it would pass on in any case.
A_FRAME = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nid: k-1\ndata: {}\n\n"
CLOSES = b""


@asynccontextmanager
async def browsing(nginx: NginxServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=nginx.url, trust_env=False, timeout=10) as client:
        yield client


async def test_a_frame_is_passed_on_as_it_comes_and_is_not_compressed(new_nginx):
    async with open_stand_in(A_FRAME) as replica:
        nginx = await new_nginx(replica.address)
        url, takes = f"{nginx.url}/sse/storefront", {"Accept-Encoding": "gzip"}
        async with await SseClient.connect(url, headers=takes) as client:
            with trio.fail_after(AT_ONCE):
                assert (await client.read_event()).id == "k-1"
            assert "content-encoding" not in client.headers


async def test_what_a_browser_does_not_read_stays_with_the_replica(new_nginx):
    """Else the replica would never learn that it is slow, and nginx would keep the stream for it on its disk."""
    async with open_stand_in(A_FRAME, then=b":" + b"x" * 65_534 + b"\n") as replica:
        nginx = await new_nginx(replica.address)
        url = f"{nginx.url}/sse/storefront"
        async with await SseClient.connect(url, receive_buffer=4096) as client:
            await client.read_head(most=1)
            before = -1
            # Until nothing moves any more, or more than the kernel's buffers on the way can hold.
            while before < replica.sent < ON_THE_WAY:
                before = replica.sent
                await trio.sleep(0.5)
    assert replica.sent < ON_THE_WAY


async def test_nginx_leaves_although_a_stream_has_no_end(new_nginx):
    async with open_stand_in(A_FRAME) as replica:
        nginx = await new_nginx(replica.address)
        async with await SseClient.connect(f"{nginx.url}/sse/storefront") as client:
            await client.read_event()
            # What the image is stopped with: nginx finishes what it has in hand.
            nginx.send(signal.SIGQUIT)
            assert await nginx.wait(within=8) == 0
            with trio.fail_after(1):
                await client.read_to_end()


async def test_a_replica_is_told_what_the_browser_said_and_nothing_it_made_up(new_nginx):
    async with open_stand_in(answer(b"{}")) as replica:
        nginx = await new_nginx(replica.address)
        paths = ("/sse/storefront?named=1", "/api/orders?customerId=%31")
        said = {
            "Authorization": "Bearer " + "t" * 8192,
            "Last-Event-ID": "k-7",
            "Origin": "http://elsewhere.test",
            "Sec-Fetch-Site": "same-origin",
        }
        made_up = dict.fromkeys(
            ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP"),
            "made up",
        )
        async with browsing(nginx) as browser:
            for path in paths:
                for _ in range(2):
                    assert (await browser.get(path, headers=said | made_up)).status_code == 200
    assert {each.line for each in replica.asked} == {f"GET {path} HTTP/1.1" for path in paths}
    for asked in replica.asked:
        assert {name: asked.headers.get(name.lower()) for name in said} == said
        # With the port: a cookie is believed from pages of this very host.
        assert asked.headers["host"] == f"{LOOPBACK}:{nginx.port}"
        assert "made up" not in asked.headers.values()
        assert "connection" not in asked.headers
    assert replica.connections < len(replica.asked)


async def test_a_question_that_a_replica_leaves_unanswered_is_asked_of_the_other(new_nginx):
    async with open_stand_in(CLOSES) as leaves, open_stand_in(answer(b"{}")) as stays:
        nginx = await new_nginx(leaves.address, stays.address)
        async with browsing(nginx) as browser:
            statuses = [(await browser.get(f"/api/{n}")).status_code for n in range(4)]
    assert statuses == [200] * 4
    # After one failure it is left alone for a moment.
    assert (len(leaves.asked), len(stays.asked)) == (1, 4)


async def test_a_command_that_may_have_been_carried_out_is_sent_to_one_replica_only(new_nginx):
    async with open_stand_in(CLOSES) as leaves, open_stand_in(answer(b"{}")) as stays:
        nginx = await new_nginx(leaves.address, stays.address)
        async with browsing(nginx) as browser:
            statuses = [(await browser.post(f"/api/{n}")).status_code for n in range(4)]
    assert sorted(statuses) == [200, 200, 200, 502]
    assert (len(leaves.asked), len(stays.asked)) == (1, 3)


async def test_where_nobody_is_left_a_browser_is_told_to_come_back_and_a_page_that_nothing_can_be_shown(
    new_nginx,
):
    """A native EventSource would give up for ever on a 502."""
    nginx = await new_nginx(f"{LOOPBACK}:{free_port()}", f"{LOOPBACK}:{free_port()}")
    pauses = set()
    # Its own cursor is given back to it; what is none would be a line of somebody else's.
    for said, cursor in [("ee4a3e18-25", "ee4a3e18-25"), ("no cursor", "")] * 5:
        url = f"{nginx.url}/sse/storefront"
        page = {"Origin": "http://page.test", "Last-Event-ID": said}
        async with await SseClient.connect(url, headers=page) as client:
            assert await client.read_head() == 200
            assert client.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert client.headers["access-control-allow-origin"] == "http://page.test"
            assert client.headers["access-control-allow-credentials"] == "true"
            frame = await client.read_event()
            assert (frame.type, frame.data, frame.id) == ("shutdown", "{}", cursor)
            await client.read_to_end()
            assert client.ended == "clean"
            pauses.add(client.sse.retry)
    assert pauses <= {2400, 2700, 3000, 3300, 3600}
    assert len(pauses) > 1
    async with browsing(nginx) as browser:
        told = await browser.get("/api/orders")
    assert told.status_code == 502
    assert told.headers["content-type"] == "application/problem+json"
    assert told.json()["type"] == "urn:storefront:problem:not-available"


async def test_replicas_that_were_gone_are_given_every_browser_at_once_when_they_are_back(
    new_nginx,
):
    """Although none of their streams ends, and so none proves that they are well again."""
    ports = free_port(), free_port()
    nginx = await new_nginx(*(f"{LOOPBACK}:{port}" for port in ports))
    url = f"{nginx.url}/sse/storefront"
    async with AsyncExitStack() as streams:

        async def visit() -> str:
            client = await streams.enter_async_context(await SseClient.connect(url))
            return (await client.read_event()).type

        assert [await visit() for _ in range(4)] == ["shutdown"] * 4
        for port in ports:
            await streams.enter_async_context(open_stand_in(A_FRAME, port=port))
        assert [await visit() for _ in range(10)] == ["message"] * 10


# --- two replicas --------------------------------------------------------------------------------------------------


@asynccontextmanager
async def two_replicas(vhost, redis_server, new_service) -> AsyncIterator[list[ServiceProcess]]:
    """On ports that stay theirs over a restart."""
    more = {"REDIS_URL": redis_server.url, "HEARTBEAT": "1", "COOKIE_NAME": "storefront"}
    two = [
        new_service(**shop.settings(vhost.url, BIND=f"{LOOPBACK}:{free_port()}", **more))
        for _ in range(2)
    ]
    async with trio.open_nursery() as nursery:
        for each in two:
            nursery.start_soon(each.start)
    await shop.until_consumed(vhost)
    yield two


def address(replica: ServiceProcess) -> str:
    return f"{LOOPBACK}:{replica.port}"


async def test_a_stream_through_nginx_is_prompt_whole_and_resumable_and_a_dead_replica_is_passed_over(
    vhost, redis_server, new_service, new_nginx
):
    async with two_replicas(vhost, redis_server, new_service) as two:
        nginx = await new_nginx(*map(address, two))
        async with shop.open_publisher(vhost.url) as publisher:
            middle = await prompt_and_whole(nginx, publisher)
            async with await shop.open_stream(nginx.url, cursor=middle) as client:
                assert mode(client) == "resumed"
                with trio.fail_after(10):
                    first = await client.read_event("message")
            assert seq(first.id) == seq(middle) + 1
        await believed_for_its_cookie(nginx)
        two[0].kill()
        async with browsing(nginx) as browser:
            for _ in range(4):
                with trio.fail_after(AT_ONCE):
                    async with await shop.open_stream(nginx.url, cursor=middle) as client:
                        assert mode(client) == "resumed"
                    assert (await browser.get("/health/ready")).json() == {"status": "ready"}


async def prompt_and_whole(nginx: NginxServer, publisher: shop.Publisher) -> str:
    """One event at a time, a large one, a burst, and pings; the id of one in the middle."""
    async with await shop.open_stream(nginx.url) as client:
        for number in range(3):
            await publish(publisher, ALICE, number)
            with trio.fail_after(AT_ONCE):
                event = await client.read_event("message")
            assert json.loads(event.data)["itemCount"] == number
        details = "x" * 2048
        await publisher.publish(denied(details), properties("Returns.ReturnDenied"), RETURNS)
        with trio.fail_after(AT_ONCE):
            large = await client.read_event("message")
        assert json.loads(large.data)["details"] == f"TooLate: {details}"
        for number in range(200):
            await publish(publisher, ALICE, number)
        with trio.fail_after(20):
            burst = [await client.read_event("message") for _ in range(200)]
        assert [json.loads(each.data)["itemCount"] for each in burst] == list(range(200))
        pinged = len(client.sse.comments)
        with trio.fail_after(5):
            while len(client.sse.comments) < pinged + 2:
                await client.read_some()
    return large.id


async def believed_for_its_cookie(nginx: NginxServer) -> None:
    """A page of this host is, one of another port is not: both travel by the Host header."""
    cookie = {"Cookie": f"storefront={shop.token(ALICE)}"}
    async with browsing(nginx) as browser:
        for origin, status in ((nginx.url, 200), (f"http://{LOOPBACK}:1", 403)):
            head = await browser.head("/sse/storefront", headers=cookie | {"Origin": origin})
            assert head.status_code == status


@dataclass
class Browser:
    """An EventSource: comes back with its cursor after its `retry`, and gives up for ever on anything but 200."""

    url: str
    customer: str
    cursor: str = ""
    seen: list[str] = field(default_factory=list)
    modes: list[str] = field(default_factory=list)
    listening: bool = False

    async def live(self) -> None:
        """Until cancelled."""
        while True:
            cursor = {"Last-Event-ID": self.cursor} if self.cursor else {}
            headers = shop.bearer(self.customer) | cursor
            async with await SseClient.connect(self.url, headers=headers) as client:
                assert await client.read_head() == 200
                taken = 0
                while await client.read_some():
                    taken = self._take(client, taken)
                self.listening, pause = False, client.sse.retry or 3000
            await trio.sleep(pause / 1000)

    def _take(self, client: SseClient, taken: int) -> int:
        self.cursor = client.sse.last_event_id or self.cursor
        events = client.sse.events[taken:]
        self.seen += [each.id for each in events if each.type == "message"]
        self.modes += [json.loads(each.data)["mode"] for each in events if each.type == "stream"]
        self.listening = self.listening or any(each.type == "stream" for each in events)
        return taken + len(events)


async def test_twenty_browsers_miss_nothing_and_see_nothing_twice_while_both_replicas_are_replaced(
    vhost, redis_server, new_service, new_nginx
):
    async with (
        two_replicas(vhost, redis_server, new_service) as two,
        shop.open_publisher(vhost.url) as publisher,
        trio.open_nursery() as nursery,
    ):
        nginx = await new_nginx(*map(address, two))
        customers = (ALICE, BOB) * (BROWSERS // 2)
        browsers = [Browser(f"{nginx.url}/sse/storefront", customer) for customer in customers]
        for each in browsers:
            nursery.start_soon(each.live)
        await shop.until(lambda: all(each.listening for each in browsers))
        nursery.start_soon(publish_meanwhile, publisher)
        for leaving in two:
            assert await leaving.stop() == 0
            await leaving.start()
            await shop.until(lambda: all(each.listening for each in browsers), within=30)
        own = EVENTS // 2
        await shop.until(lambda: all(len(each.seen) >= own for each in browsers))
        nursery.cancel_scope.cancel()
    for each in browsers:
        assert [seq(seen) for seen in each.seen] == list(range(1, own + 1))
        # Each of them was on one of the two.
        assert each.modes[0] == "fresh"
        assert set(each.modes[1:]) == {"resumed"}


async def publish_meanwhile(publisher: shop.Publisher) -> None:
    """To both customers in turn, over the time that two restarts take."""
    for number in range(EVENTS):
        await publish(publisher, (ALICE, BOB)[number % 2], number)
        await trio.sleep(0.15)


async def publish(publisher: shop.Publisher, customer: str, number: int) -> None:
    await publisher.publish(shop.numbered(customer, number), properties("Shopping.ItemAdded"))


def properties(kind: str) -> dict:
    return shop.wolverine_properties(kind, shop.guid())


def denied(message: str) -> bytes:
    return f'{{"returnId":"{shop.guid()}","orderId":"{shop.guid()}","customerId":"{ALICE}","reason":"TooLate","message":"{message}","deniedAt":"2026-02-17T22:00:03+00:00"}}'.encode()


def mode(client: SseClient) -> str:
    """What its first frame promised."""
    told: str = json.loads(client.sse.events[0].data)["mode"]
    return told


def seq(event_id: str) -> int:
    return int(event_id.rpartition("-")[2])
