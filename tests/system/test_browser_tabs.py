"""The shop page's stream in a real browser: one for all tabs, noticed when it is dead, and complete after a restart."""

from __future__ import annotations

import re

import httpx
import pytest
import trio
from playwright.sync_api import expect

from tests.system.line import open_line
from tests.system.servers.ports import LOOPBACK, free_port
from tests.system.test_browser import PATIENT, add_a_bowl, screenshot
from tests.system.test_browser_returns import wait_for

COMES_BACK = 20_000.0  # ms: a drain, a moment away, a `retry:` of 3 s, on a busy machine


def metric(service, name: str) -> float:
    """The sum of a metric's samples at the service."""
    text = httpx.get(f"{service.url}/metrics", trust_env=False).text
    return sum(map(float, re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)))


def recorded(service) -> float:
    text = httpx.get(f"{service.url}/metrics", trust_env=False).text
    found = re.findall(r'^storefront_deliveries_total\{.*"recorded".*\} (\S+)$', text, re.MULTILINE)
    return sum(map(float, found))


@pytest.fixture
def demo(new_service):
    process = new_service("demo", "--pace", "0.5", BIND=f"{LOOPBACK}:{free_port()}", **PATIENT)
    trio.run(process.start)
    return process


def light_of(page):
    return page.locator("#light")


def test_ten_tabs_have_one_stream_and_another_of_them_goes_on_with_it(demo, chromium):
    shopper = chromium.shopper()
    # Over HTTP/1.1, of which a browser opens six to a host: a seventh stream would keep the shop closed.
    tabs = [shopper.page(f"{demo.url}/?customer=alice") for _ in range(10)]
    for tab in tabs:
        expect(light_of(tab)).to_have_attribute("data-state", "live")
    assert metric(demo, "storefront_streams") == 1
    assert metric(demo, "storefront_streams_opened_total") == 1
    add_a_bowl(tabs[9])
    for tab in tabs:
        expect(tab.locator("#badge")).to_have_text("1")

    (leader,) = [tab for tab in tabs if "another tab" not in light_of(tab).get_attribute("title")]
    leader.close()
    others = [tab for tab in tabs if tab is not leader]
    wait_for(lambda: metric(demo, "storefront_streams_opened_total") == 2)
    more = others[0].get_by_role("button", name="Add Rope Leash to the cart")
    more.click()
    for tab in others:
        expect(light_of(tab)).to_have_attribute("data-state", "live")
        expect(tab.locator("#badge")).to_have_text("2")
    # They were told, and did not have to ask: the second stream went on where the first had stood.
    assert metric(demo, "storefront_streams") == 1
    text = httpx.get(f"{demo.url}/metrics", trust_env=False).text
    assert re.search(r'^storefront_streams_opened_total\{mode="resumed"\} 1', text, re.MULTILINE)


def test_a_connection_that_is_dead_without_an_end_is_noticed_and_what_was_missed_is_shown(
    new_service, chromium
):
    port = free_port()
    # The neighbours know pages of this port by this machine's names, so the line has the one and the demo another.
    demo = new_service("demo", BIND=f"127.0.0.2:{port}", HEARTBEAT="1", **PATIENT)
    with open_line(("127.0.0.2", port), port) as line:
        trio.run(demo.start)
        page = chromium.shopper().page(f"{line.url}/?customer=alice")
        expect(light_of(page)).to_have_attribute("data-state", "live")
        expect(page.locator("#grid .card").first).to_be_visible()
        streams = [call for call in line.open_calls if b"/sse/storefront" in call.asked]
        assert len(streams) == 1
        # Beats are what it lives on: for longer than its patience of 3 s nothing else comes.
        wait_for(lambda: streams[0].answered.count(b"event: ping") >= 6)
        expect(light_of(page)).to_have_attribute("data-state", "live")
        assert len([call for call in line.calls if b"/sse/storefront" in call.asked]) == 1

        page.evaluate("""() => {
          const light = document.getElementById("light"); window.seen = [];
          new MutationObserver(() => window.seen.push(light.dataset.state))
            .observe(light, {attributes: true, attributeFilter: ["data-state"]});
        }""")
        # The server has given up the connections that nothing comes on; Chromium would use them again.
        wait_for(lambda: len(line.open_calls) == 1)
        line.swallow()
        add_elsewhere(demo)
        expect(page.locator("#badge")).to_have_text("1", timeout=COMES_BACK)
        expect(light_of(page)).to_have_attribute("data-state", "live")
        expect(page.locator("#log .entry", has_text="cart-updated")).to_have_count(1)
        assert page.evaluate("window.seen.slice(0, 2)") == ["waiting", "live"]


def add_elsewhere(demo) -> None:
    """As another device of Alice's does it, at Shopping itself."""
    services = httpx.get(f"{demo.url}/demo/config.json", trust_env=False).json()["services"]
    alice = "11111111-1111-1111-1111-111111111111"
    with httpx.Client(base_url=services["shopping"], trust_env=False) as device:
        cart = device.post("/api/carts", json={"customerId": alice, "sessionId": None}).json()
        item = {"sku": "DOG-BOWL-01", "quantity": 1, "unitPrice": 19.99}
        assert device.post(f"/api/carts/{cart['value']}/items", json=item).is_success


def test_a_storefront_that_restarts_under_an_order_on_its_way_loses_no_step_of_it(demo, chromium):
    page = chromium.shopper().page(f"{demo.url}/")
    light = light_of(page)
    expect(light).to_have_attribute("data-state", "live")
    add_a_bowl(page)
    expect(page.locator("#lines .line")).to_have_count(1)
    page.get_by_role("button", name="Place the order").click()
    expect(page.locator(".timeline [data-step='paid']")).to_have_attribute("data-reached", "")
    page.locator("#troubles summary").click()
    page.get_by_role("button", name="Restart the Storefront").click()
    expect(light).to_have_attribute("data-state", "waiting")
    screenshot(page, "shop-restarting")
    expect(light).to_have_attribute("data-state", "live", timeout=COMES_BACK)
    expect(page.locator(".order-words")).to_have_text("Delivered", timeout=COMES_BACK)
    for step in page.locator(".timeline li").all():
        expect(step.locator("time")).to_have_text(re.compile(r"\d\d:\d\d:\d\d"))
    # Not one was asked for again: each came by the stream, and the stream went on with its numbers.
    kinds = page.locator("#log .entry .kind").all_text_contents()
    events = [kind for kind in kinds if kind.endswith(("-updated", "-changed"))]
    assert len(events) == 8, kinds  # one line, six steps (two of them shipments), the placing
    said = page.locator("#log .entry[data-control] .what").all_text_contents()
    assert [re.match(r"mode (\w+)|", each)[1] for each in said if each] == ["resumed", "fresh"]


def test_an_order_goes_back_and_its_way_back_is_shown(new_service, chromium):
    demo = new_service("demo", "--pace", "0.1", BIND=f"{LOOPBACK}:{free_port()}", **PATIENT)
    trio.run(demo.start)
    page = chromium.shopper().page(f"{demo.url}/")
    expect(light_of(page)).to_have_attribute("data-state", "live")
    add_a_bowl(page)
    expect(page.locator("#lines .line")).to_have_count(1)
    page.get_by_role("button", name="Place the order").click()
    page.get_by_role("button", name="Send it back").click(timeout=COMES_BACK)
    expect(page.locator(".return-words")).to_contain_text("Return completed", timeout=COMES_BACK)
    steps = page.locator("#log .what", has_text="return:").all_text_contents()
    assert [step.rpartition(" ")[2] for step in steps] == [
        "Completed", "Received", "Approved", "Requested",
    ]  # fmt: skip
    expect(page.get_by_role("button", name="Send it back")).to_be_hidden()


def test_views_are_fetched_again_when_the_log_cannot_say_what_was_missed(new_service, chromium):
    demo = new_service("demo", BIND=f"{LOOPBACK}:{free_port()}", **PATIENT)
    trio.run(demo.start)
    page = chromium.shopper().page(f"{demo.url}/")
    expect(light_of(page)).to_have_attribute("data-state", "live")
    add_a_bowl(page)
    expect(page.locator("#lines .line")).to_have_count(1)
    assert trio.run(demo.stop) == 0
    for file in (demo.log.parent / "data").glob("storefront.sqlite*"):
        file.unlink()
    # Its neighbours have forgotten the cart, and the log that there ever was one.
    trio.run(demo.start)
    expect(light_of(page)).to_have_attribute("data-state", "live", timeout=COMES_BACK)
    expect(page.locator("#log .entry[data-control]", has_text="mode reset")).to_have_count(1)
    expect(page.locator("#lines .line")).to_have_count(0)
    expect(page.locator("#badge")).to_have_text("0")


MARKS = {  # each with a word of what it says
    "Stop Catalog": ("#shelf-mark", "no answer since"),
    "Slow Shopping down": ("#cart-mark", "no answer since"),
    "Have Fulfillment fail": (".parcel-mark", "Fulfillment does not answer"),
}


def test_what_is_broken_is_marked_on_the_part_that_it_concerns_and_on_no_other(
    new_service, chromium
):
    impatient = PATIENT | {"VIEW_DEADLINE": "1", "ATTEMPT_TIMEOUT": "0.9", "CACHE_FRESH": "0.5"}
    demo = new_service("demo", "--pace", "0.1", BIND=f"{LOOPBACK}:{free_port()}", **impatient)
    trio.run(demo.start)
    page = chromium.shopper(viewport={"width": 1280, "height": 900}).page(f"{demo.url}/")
    expect(light_of(page)).to_have_attribute("data-state", "live")
    add_a_bowl(page)
    expect(page.locator("#lines .line")).to_have_count(1)
    page.get_by_role("button", name="Place the order").click()
    expect(page.locator(".order-words")).to_have_text("Delivered", timeout=COMES_BACK)
    add_a_bowl(page)
    expect(page.locator("#lines .line")).to_have_count(1)
    expect(page.locator(".mark:visible:not([data-tone='kept'])")).to_have_count(0)

    page.locator("#troubles summary").click()
    for switch, (part, words) in MARKS.items():
        page.get_by_role("switch", name=switch).click()
        expect(page.locator(part)).to_contain_text(words, timeout=COMES_BACK)
        if switch == "Stop Catalog":
            expect(page.locator(".mark:visible:not([data-tone='kept'])")).to_have_count(1)
    screenshot(page, "shop-broken-desktop-light")
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    screenshot(page, "shop-broken-phone-dark")
    # What can be shown is shown: the parcel from its events, the cart as it was.
    expect(page.locator(".tracking code")).to_contain_text(re.compile(r"\w{8,}"))
    expect(page.locator("#lines .line")).to_have_count(1)
    for switch in MARKS:
        page.get_by_role("switch", name=switch).click()
    for part, _ in MARKS.values():
        expect(page.locator(f"{part}:not([data-tone='kept'])")).to_be_hidden(timeout=COMES_BACK)


def test_what_happened_while_the_broker_was_cut_comes_when_it_is_mended(demo, chromium):
    page = chromium.shopper().page(f"{demo.url}/")
    expect(light_of(page)).to_have_attribute("data-state", "live")
    page.locator("#troubles summary").click()
    page.get_by_role("switch", name="Cut the broker").click()
    expect(page.locator("#troubles-count")).to_have_text("1 broken")
    add_a_bowl(page)
    # Silence is answered by asking: the cart is there, and no event was.
    expect(page.locator("#lines .line")).to_have_count(1)
    assert page.locator("#log .entry", has_text="cart-updated").count() == 0
    page.get_by_role("switch", name="Cut the broker").click()
    expect(page.locator("#log .entry", has_text="cart-updated")).to_have_count(
        1, timeout=COMES_BACK
    )
