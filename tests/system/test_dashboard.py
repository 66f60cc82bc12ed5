"""The dashboard as an administrator sees it: in Chromium, on the whole demo; and over two processes that share a Redis."""

from __future__ import annotations

import json
import re
from contextlib import AsyncExitStack
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import trio
from playwright.sync_api import expect
from prometheus_client.parser import text_string_to_metric_families

from storefront.dashboard.board import Heard
from storefront.messaging.amqp import open_island
from storefront.store.redis_board import open_redis_board
from tests.system import shopfloor as shop
from tests.system.servers.chromium import screenshot
from tests.system.servers.ports import LOOPBACK, free_port
from tests.system.servers.sse_client import SseClient
from tests.system.shopfloor import ALICE
from tests.system.test_workers import MANY_TABS, start, tabs_on_every_worker

LIVE = re.compile("^Live$")
SIZES = {"desktop": 1280, "phone": 390}
# Nothing but what a test does opens the breaker, and nothing closes it while the test looks.
PATIENT = {
    "ATTEMPT_TIMEOUT": "8", "ENRICHMENT_TIMEOUT": "8", "CONNECT_TIMEOUT": "8", "VIEW_DEADLINE": "8",
    "QUESTION_TIMEOUT": "8", "QUERY_LAG": "60", "BREAKER_CALLS": "2", "BREAKER_OPEN": "60", "PRODUCTS_FRESH": "0.001",
}  # fmt: skip

# What the shop's page does, whatever it looks like: a cart, and something in it.
ADD = """async () => {
  const send = (path, body) => fetch(`/api/storefront/carts/${path}`, {
    method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)});
  const cart = await (await send("initialize", {customerId: "%s"})).json();
  return (await send(`${cart}/items`, {sku: "DOG-BOWL-01", quantity: 1, unitPrice: 19.99})).status;
}"""
OPEN = "new Promise((open) => { new EventSource('/sse/storefront').addEventListener('stream', open); }).then(() => true)"
LISTING = "async (category) => (await fetch(`/api/products?category=${category}`)).status"


@pytest.fixture
def demo(new_service):
    """The demo as `make run` starts it."""
    process = new_service("demo", "--pace", "0.3", BIND=f"{LOOPBACK}:{free_port()}", **PATIENT)
    trio.run(process.start)
    return process


def stop_catalog(demo) -> None:
    with urlopen(f"{demo.url}/demo/config.json") as answer:
        catalog = json.load(answer)["services"]["catalog"]
    fault = json.dumps({"failing": "reset"}).encode()
    urlopen(
        Request(f"{catalog}/_faults", fault, {"Content-Type": "application/json"}, method="PUT")
    )


def test_streams_rise_and_a_breaker_opens_before_an_administrators_eyes(demo, chromium):
    person = chromium.shopper(viewport={"width": 1280, "height": 900})
    admin = person.page(f"{demo.url}/demo/admin")
    assert admin.url == f"{demo.url}/admin"
    expect(admin.locator("#light-text")).to_have_text(LIVE)
    expect(admin.locator("#tile-streams")).to_have_text("0")
    catalog = admin.locator("#breakers tr", has_text="catalog").locator(".state")
    expect(catalog).to_have_text("closed")

    # Whoever shops in the same browser is still a customer.
    shops = [person.page(f"{demo.url}/?customer=alice") for _ in range(2)]
    for page in shops:
        expect(page.locator("#light-text")).to_have_text(re.compile("Live"))
    # The page may share one stream among its tabs; these are ours.
    shops[0].evaluate(OPEN)
    shops[1].evaluate(OPEN)
    expect(admin.locator("#tile-streams")).to_have_text(re.compile("^[3-6]$"))
    streams = int(admin.locator("#tile-streams").inner_text())
    shops[0].evaluate(OPEN)
    expect(admin.locator("#tile-streams")).to_have_text(str(streams + 1))
    expect(admin.locator("#streams")).to_contain_text("for the first time")
    expect(admin.locator("#queues")).to_contain_text("consuming")

    assert shops[0].evaluate(ADD % ALICE) == 204
    expect(admin.locator("#tile-latency")).to_have_text(re.compile(r"\d m?s$"))
    assert admin.locator("#chart-streams canvas").count() == 1

    stop_catalog(demo)
    for number in range(8):
        shops[0].evaluate(LISTING, f"none-{number}")
    expect(catalog).to_have_text("open")
    expect(catalog).to_have_css("color", "rgb(185, 28, 28)")

    admin.locator("#lookup-id").fill(ALICE)
    admin.get_by_role("button", name="Look up").press("Enter")
    expect(admin.locator("#lookup-events tbody tr").first).to_contain_text("cart-updated")
    expect(admin.locator("#lookup-streams tbody tr").first).to_contain_text("live")
    admin.wait_for_timeout(1000)
    for scheme in ("light", "dark"):
        admin.emulate_media(color_scheme=scheme)
        for size, width in SIZES.items():
            admin.set_viewport_size({"width": width, "height": 900})
            assert admin.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
                f"{size} scrolls sideways"
            )
            admin.wait_for_timeout(300)
            screenshot(admin, f"dashboard-{size}-{scheme}")

    admin.get_by_role("button", name="Sign out").click()
    expect(admin.locator("#door")).to_be_visible()
    expect(admin.locator("#dashboard")).to_be_hidden()
    screenshot(admin, "dashboard-door")
    own = [complaint for complaint in person.complaints if "/admin" in complaint]
    assert own == []


async def get(url: str) -> tuple[int, str]:
    def ask() -> tuple[int, str]:
        try:
            with urlopen(url) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, ""

    return await trio.to_thread.run_sync(ask)


def value(text: str, name: str, **labels: str) -> float:
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


async def test_two_workers_are_shown_as_their_sum_whichever_answers_and_each_has_metrics_of_its_own(
    vhost, redis_server, new_service
):
    base = free_port()
    settings = shop.settings(
        vhost.url, REDIS_URL=redis_server.url, METRICS_BIND=f"{LOOPBACK}:{base}", **MANY_TABS
    )
    service = new_service("serve", "--workers", "2", **settings)
    await start(service, 2)
    async with AsyncExitStack() as stack:
        tabs = await tabs_on_every_worker(service, stack, 2)
        amount = sum(map(len, tabs.values()))
        headers = {"Authorization": f"Bearer {shop.token('', roles=['admin'], sub='carol')}"}
        admin = await stack.enter_async_context(
            await SseClient.connect(f"{service.url}/admin/stream", headers=headers)
        )
        assert await admin.read_head() == 200
        with trio.fail_after(20):
            while True:
                picture = json.loads((await admin.read_event("picture")).data)
                waiting = {each["ready"] for each in picture["queues"]}
                if (
                    picture["point"]["live"] == amount
                    and len(picture["processes"]) == 2
                    and waiting == {0}
                ):
                    break
        assert [each["worker"] for each in picture["processes"]] == [1, 2]
        shares = sorted(each["streams"] for each in picture["processes"])
        assert shares == sorted(map(len, tabs.values()))
        assert {each["consumers"] for each in picture["queues"]} == {1}, "one of them consumes"
        assert picture["deadLettersReady"] == 0, "RabbitMQ was asked for these too"
        assert picture["storeDurable"]

        texts = []
        for worker in (1, 2):
            status, text = await get(f"http://{LOOPBACK}:{base + worker}/metrics")
            assert status == 200
            assert value(text, "target_info", worker=str(worker)) == 1
            texts.append(text)
        assert sorted(value(text, "storefront_streams") for text in texts) == shares
        assert (await get(f"{service.url}/metrics"))[0] == 404, "they have a place of their own"
        assert ALICE not in "".join(texts)


async def hear(board, name: bytes, *, watching: bool = False) -> Heard:
    return await board.exchange(name, now=trio.current_time() + 1e9, life=0.5, watching=watching)


async def test_on_a_cluster_processes_hear_each_other_and_forget_who_fell_silent(redis_cluster):
    async with (
        open_island(),
        open_redis_board(redis_cluster.url) as one,
        open_redis_board(redis_cluster.url) as other,
    ):
        assert await hear(one, b"one") == Heard([], watched=False)
        assert await hear(other, b"other", watching=True) == Heard([b"one"], watched=True)
        assert await hear(one, b"one again") == Heard([b"other"], watched=True)
        await trio.sleep(0.7)
        assert await hear(other, b"other") == Heard([], watched=True), (
            "its word was true for half a second"
        )
    keys: list[bytes] = []
    for node in redis_cluster.nodes:
        with node.client() as client:
            keys += client.keys("*")
    assert keys
    assert {key.split(b"}")[0] for key in keys} == {b"storefront:{dashboard"}


async def test_a_redis_that_is_gone_leaves_each_process_alone_and_keeps_nobody_waiting(
    redis_server,
):
    async with open_island(), open_redis_board(redis_server.url) as board:
        await hear(board, b"one")
        redis_server.freeze()
        began = trio.current_time()
        assert await hear(board, b"one", watching=True) == Heard(watched=True, away=True)
        assert trio.current_time() - began < 2
        redis_server.thaw()
        await shop.until_async(lambda: _away(board), expected=False)


async def _away(board) -> bool:
    return (await hear(board, b"one")).away
