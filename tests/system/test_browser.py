"""What a person sees: the shop page in Chromium, on the whole demo in a process of its own."""

from __future__ import annotations

import re

import pytest
import trio
from playwright.sync_api import expect

from tests.system.servers.chromium import screenshot as photograph
from tests.system.servers.ports import free_port

ALICE = "11111111-1111-1111-1111-111111111111"
LIVE = re.compile("Live")
# What a busy machine is late with is no hole in a page here; holes have tests of their own.
PATIENT = {
    "ATTEMPT_TIMEOUT": "8", "ENRICHMENT_TIMEOUT": "8", "CONNECT_TIMEOUT": "8", "VIEW_DEADLINE": "8",
    "QUESTION_TIMEOUT": "8", "QUERY_LAG": "60",
}  # fmt: skip


@pytest.fixture
def demo(new_service):
    """The demo as `make run` starts it, at a port that stays its own over restarts."""
    process = new_service("demo", "--pace", "0.3", BIND=f"127.0.0.1:{free_port()}", **PATIENT)
    trio.run(process.start)
    return process


def screenshot(page, name: str) -> None:
    """From the top, where the bar is."""
    page.evaluate("scrollTo({top: 0, behavior: 'instant'})")
    photograph(page, name)


def add_a_bowl(page) -> None:
    page.get_by_role("listitem").filter(has_text="DOG-BOWL-01").or_(
        page.locator(".card", has_text="Bowl")
    ).first.get_by_role("button", name=re.compile("Add")).click()


def test_a_click_goes_all_the_way_round_and_the_pages_own_event_source_sees_it_come_back(
    demo, chromium
):
    shopper = chromium.shopper()
    page = shopper.page(f"{demo.url}/")
    expect(page.locator("#light-text")).to_have_text(LIVE)
    # A listener of our own beside the page's: nothing but `onmessage`, as the shop's old script had it.
    page.evaluate(
        """() => { window.heard = []; const own = new EventSource('/sse/storefront');
        own.onmessage = (frame) => window.heard.push([frame.lastEventId, JSON.parse(frame.data)]);
        return new Promise((open) => own.addEventListener('stream', open, {once: true})).then(() => true); }"""
    )
    add_a_bowl(page)
    expect(page.locator("#badge")).to_have_text("1")
    expect(page.locator("#lines .line")).to_have_count(1)
    expect(page.locator("#log li").first).to_contain_text("cart")
    heard = page.evaluate("() => window.heard")
    assert [event["eventType"] for _, event in heard] == ["cart-updated"]
    assert heard[0][1]["itemCount"] == 1
    assert re.fullmatch(r"[A-Za-z0-9._:]+-1", heard[0][0])


def test_a_second_tab_follows_and_another_customer_does_not(demo, chromium):
    shopper = chromium.shopper()
    first, second = (
        shopper.page(f"{demo.url}/?customer=alice"),
        shopper.page(f"{demo.url}/?customer=alice"),
    )
    # Bob shops in the same browser, under this machine's other name: a cookie jar of his own.
    bob = shopper.page(f"{demo.url}/?customer=bob")
    for page in (first, second, bob):
        expect(page.locator("#light-text")).to_have_text(LIVE)
    add_a_bowl(first)
    expect(second.locator("#badge")).to_have_text("1")
    expect(second.locator("#lines .line")).to_have_count(1)
    expect(bob.locator("#badge")).to_have_text("0")
    expect(bob.locator("#me")).to_contain_text("Bob")


def test_an_order_walks_from_placed_to_delivered_and_the_page_asks_nobody_but_us(demo, chromium):
    page = chromium.shopper().page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(f"{request.method} {request.url}"))
    page.goto(f"{demo.url}/")
    expect(page.locator("#light-text")).to_have_text(LIVE)
    add_a_bowl(page)
    expect(page.locator("#lines .line")).to_have_count(1)
    page.get_by_role("button", name="Place the order").click()
    expect(page.locator(".order")).to_have_count(1)
    expect(page.locator(".order-words")).to_contain_text(
        re.compile("delivered", re.IGNORECASE), timeout=20_000
    )
    expect(page.locator(".tracking code")).to_contain_text(re.compile(r"\w{8,}"))
    expect(page.locator("#badge")).to_have_text("0")
    screenshot(page, "shop-delivered")
    assert [each for each in asked if f" {demo.url}/" not in each] == []
    told = [
        each.rpartition("/")[2] for each in asked if each.startswith("POST") and "/api/" in each
    ]
    assert told == [
        "initialize", "items", "checkout", "shipping-address", "shipping-method", "payment-method", "complete",
    ]  # fmt: skip


def test_lines_are_changed_removed_and_emptied_and_an_order_is_called_off(demo, chromium):
    page = chromium.shopper().page(f"{demo.url}/")
    expect(page.locator("#light-text")).to_have_text(LIVE)
    for name in ("Ceramic Dog Bowl", "Interactive Cat Laser", "Rope Leash"):
        page.get_by_role("button", name=f"Add {name} to the cart").click()
    expect(page.locator("#lines .line")).to_have_count(3)
    more = page.get_by_role("button", name="One Ceramic Dog Bowl more")
    for _ in range(4):
        more.click()
    expect(page.locator(".line", has_text="Bowl").locator(".line-total")).to_have_text("$99.95")
    page.get_by_role("button", name="Remove Rope Leash").click()
    expect(page.locator("#lines .line")).to_have_count(2)
    expect(page.locator("#subtotal")).to_have_text("$129.94")
    page.get_by_role("button", name="Empty it").click()
    expect(page.locator("#lines .line")).to_have_count(0)
    expect(page.locator("#cart-empty")).to_be_visible()
    # The cart is empty and open still; what comes next goes into it.
    add_a_bowl(page)
    expect(page.locator("#lines .line")).to_have_count(1)
    page.get_by_role("button", name="Place the order").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".order-words")).to_have_text("Cancelled")
    expect(page.locator("#notice")).to_be_hidden()


# In the place of the browser's own: a stream that says what the test wants.
STREAM = """window.EventSource = class {
  static CLOSED = 2;
  constructor() {
    this.readyState = 1;
    this.heard = {};
    window.stream = this;
    document.documentElement.dataset.streams = "";
  }
  addEventListener(name, hear) { this.heard[name] = hear; }
  close() { this.readyState = 2; }
  say(name, data) { this.heard[name]({data: JSON.stringify(data)}); }
  bring(id, event) { this.onmessage({lastEventId: id, data: JSON.stringify(event)}); }
  lose() { this.readyState = 0; this.onerror(); }
};"""


def say(page, name: str, **data: object) -> None:
    page.evaluate("([name, data]) => window.stream.say(name, data)", [name, data])


def bring(page, number: int, status: str) -> None:
    event = {
        "eventType": "order-status-changed",
        "orderId": "0" * 36,
        "customerId": ALICE,
        "newStatus": status,
    }
    now = page.evaluate("new Date(Date.now() - 2370).toISOString()")
    told = [f"e-{number}", event | {"occurredAt": now}]
    page.evaluate("([id, event]) => window.stream.bring(id, event)", told)


def test_the_page_waits_as_long_as_it_was_told_to_and_tells_replay_from_delay(demo, chromium):
    page = chromium.shopper(viewport={"width": 390, "height": 800}).page()
    page.add_init_script(STREAM)
    page.clock.install()
    page.goto(f"{demo.url}/")
    # Not `wait_for_function`: the page's policy lets nobody evaluate text.
    expect(page.locator("html")).to_have_attribute("data-streams", "")
    light, strip = page.locator("#light"), page.locator("#strip-count")
    expect(strip).to_have_text("Nothing yet")
    for reason, patience in ((None, 12), ("superseded", 90), ("busy", 25), ("shutdown", 12)):
        say(page, "stream", mode="fresh", position="e-0")
        expect(light).to_have_attribute("data-state", "live")
        if reason:
            say(page, reason)
        page.evaluate("window.stream.lose()")
        page.clock.fast_forward((patience - 2) * 1000)
        expect(light).to_have_attribute("data-state", "waiting")
        if reason == "superseded":
            # The longest words there are push nothing away.
            bar, basket = (
                page.locator(".brand").bounding_box(),
                page.locator(".basket").bounding_box(),
            )
            assert abs(bar["y"] + bar["height"] / 2 - basket["y"] - basket["height"] / 2) < 4
            assert basket["x"] + basket["width"] <= 390
            screenshot(page, "shop-phone-superseded")
        page.clock.fast_forward(3_000)
        expect(light).to_have_attribute("data-state", "offline")
    expect(strip).to_have_text("No events so far")
    say(page, "stream", mode="resumed", replayed=2, position="e-2")
    for number, status in enumerate(("Placed", "PaymentAuthorized", "InventoryReserved"), 1):
        bring(page, number, status)
    delays = page.locator("#log .entry:not([data-control]) .delay").all_text_contents()
    assert delays[1:] == ["while you were away"] * 2
    assert re.fullmatch(r"after 2\d{3} ms", delays[0])
    expect(strip).to_have_text("3 events so far")


def test_a_service_that_is_restarted_under_the_page_is_found_again_and_nothing_is_missed(
    demo, chromium
):
    page = chromium.shopper().page(f"{demo.url}/")
    expect(page.locator("#light-text")).to_have_text(LIVE)
    add_a_bowl(page)
    expect(page.locator("#badge")).to_have_text("1")
    assert trio.run(demo.stop) == 0
    expect(page.locator("#light")).to_have_attribute("data-state", re.compile("waiting|offline"))
    trio.run(demo.start)
    # Nobody reloads or clicks: EventSource comes back by itself.
    expect(page.locator("#light")).to_have_attribute("data-state", "live", timeout=20_000)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("size", "width"), [("desktop", 1280), ("phone", 390)])
def test_the_page_fits_and_complains_about_nothing(demo, chromium, scheme, size, width):
    shopper = chromium.shopper(color_scheme=scheme, viewport={"width": width, "height": 900})
    page = shopper.page(f"{demo.url}/")
    expect(page.locator("#light-text")).to_have_text(LIVE)
    add_a_bowl(page)
    expect(page.locator("#lines .line")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
        "it scrolls sideways"
    )
    screenshot(page, f"shop-{size}-{scheme}")
    assert shopper.complaints == []
