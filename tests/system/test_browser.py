"""What a person sees: the shop page in Chromium, on the whole demo in a process of its own."""

from __future__ import annotations

import re

import pytest
import trio
from playwright.sync_api import expect

from tests.system.servers.chromium import screenshot
from tests.system.servers.ports import free_port

LIVE = re.compile("Live")


@pytest.fixture
def demo(new_service):
    """The demo as `make run` starts it, at a port that stays its own over restarts."""
    process = new_service("demo", "--pace", "0.3", BIND=f"127.0.0.1:{free_port()}")
    trio.run(process.start)
    return process


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


def test_an_order_walks_from_placed_to_delivered_by_itself(demo, chromium):
    page = chromium.shopper().page(f"{demo.url}/")
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


def test_a_service_that_is_restarted_under_the_page_is_found_again_and_nothing_is_missed(
    demo, chromium
):
    page = chromium.shopper().page(f"{demo.url}/")
    expect(page.locator("#light-text")).to_have_text(LIVE)
    add_a_bowl(page)
    expect(page.locator("#badge")).to_have_text("1")
    assert trio.run(demo.stop) == 0
    expect(page.locator("#light")).to_have_attribute(
        "data-state", re.compile("reconnecting|offline")
    )
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
    # The view of the cart is composed from several services; until it is, the page falls back on Shopping's.
    assert [each for each in shopper.complaints if "404" not in each] == []
