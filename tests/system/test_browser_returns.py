"""The real browser coming back by itself: a native EventSource in Chromium, cut in every way a connection can end.

The page is a few lines of its own, not the shop's modules: what is tried here is what the bytes of the stream alone
make a browser do. It opens a stream, receives nothing, is cut, an event is recorded, and it comes back unaided.
"""

from __future__ import annotations

import re
import ssl
import time
from itertools import pairwise

import httpx
import pytest
import trio
import trustme
from playwright.sync_api import expect

from tests.system import shopfloor as shop
from tests.system.line import open_line
from tests.system.servers.chromium import screenshot
from tests.system.servers.ports import LOOPBACK, free_port
from tests.system.shopfloor import ALICE, QUEUE

HASTE, PATIENCE = 0.1, 5.0  # seconds by which a timer may be early, and a busy machine late
COMES_BACK = 15_000.0  # ms: `retry:` is 2.4 to 3.6 s, and one try may find the door still closed

# A page as the shop's old script had it: shows what `onmessage` brings, and keeps a diary for the test.
WATCH = """() => {
  document.body.innerHTML = '<ul id="shown"></ul>';
  window.told = [];
  const source = new EventSource('/sse/storefront', {withCredentials: true});
  source.addEventListener('stream', (frame) => told.push([frame.data, frame.lastEventId]));
  source.onmessage = (frame) => {
    const row = document.createElement('li');
    row.textContent = `${frame.lastEventId}: ${JSON.parse(frame.data).itemCount}`;
    document.getElementById('shown').append(row);
  };
}"""


def sign_in(shopper, url: str, name: str) -> None:
    cookie = {"name": name, "value": shop.token(ALICE), "url": url, "httpOnly": True}
    shopper.context.add_cookies([cookie])


def wait_for(what, within: float = 15.0) -> None:
    """Outside Trio: wait until `what()` is true."""
    deadline = time.monotonic() + within
    while not what():
        assert time.monotonic() < deadline, "it did not become true in time"
        trio.run(trio.sleep, 0.05)


def metric(service, name: str, trust: ssl.SSLContext) -> float:
    """One sample of /metrics, by its name and labels as they are written there; 0 where there is none."""
    text = httpx.get(f"{service.url}/metrics", verify=trust, trust_env=False).text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def recorded(service) -> float:
    text = httpx.get(f"{service.url}/metrics", trust_env=False).text
    counts = re.findall(
        r'^storefront_deliveries_total\{.*outcome="recorded".*\} (\S+)$', text, re.MULTILINE
    )
    return sum(map(float, counts))


@pytest.fixture
def service(vhost, new_service):
    """The service on RabbitMQ and its SQLite file, at a port that stays its own over restarts."""
    own = {"BIND": f"{LOOPBACK}:{free_port()}", "COOKIE_NAME": "storefront"}
    process = new_service(**shop.settings(vhost.url, **own))
    trio.run(process.start)
    wait_for(lambda: vhost.tool.state(QUEUE) is not None)
    return process


@pytest.fixture
def line(service):
    with open_line((LOOPBACK, service.port)) as opened:
        yield opened


def told(page, times: int) -> list[tuple[str, str]]:
    """The raw `stream` frames so far, each with the page's cursor, once there are so many."""
    page.wait_for_function("(times) => window.told.length >= times", arg=times, timeout=COMES_BACK)
    return [(data, cursor) for data, cursor in page.evaluate("window.told")]


def hang_up(line, service) -> None:
    line.break_off("fin")


def reset(line, service) -> None:
    line.break_off("rst")


def kill(line, service) -> None:
    service.kill()


@pytest.mark.parametrize(
    "cuts",
    [
        pytest.param([hang_up], id="FIN"),
        # Before it one for nothing: `resumed` brings no id then, and the cursor is still the one of the first opening.
        pytest.param([reset, reset], id="RST, twice"),
        pytest.param([kill], id="the service killed and restarted"),
    ],
)
def test_a_browser_that_received_nothing_and_was_cut_comes_back_and_shows_what_it_missed(
    cuts, service, line, vhost, chromium
):
    *in_vain, cut = cuts
    shopper = chromium.shopper()
    page = shopper.page(f"{line.url}/health/live")
    sign_in(shopper, line.url, "storefront")
    page.evaluate(WATCH)
    ((opening, _),) = told(page, 1)
    start = re.fullmatch(r'\{"mode":"fresh","position":"(\w+)-0"\}', opening)
    assert start is not None, opening
    epoch = start[1]
    for times, before in enumerate(in_vain):
        before(line, service)
        assert told(page, 2 + times)[-1][0] == (
            f'{{"mode":"resumed","replayed":0,"position":"{epoch}-0"}}'
        )

    line.refuse()
    cut(line, service)
    wait_for(lambda: not line.open_calls)
    shop.send(vhost.tool, "Shopping.ItemAdded", shop.numbered(ALICE, 1))
    if not service.running:
        trio.run(service.start)
    wait_for(lambda: recorded(service) == 1)
    assert page.locator("#shown li").count() == 0
    first = len(line.calls)
    line.accept()

    *_, (back, _) = told(page, 1 + len(cuts))
    assert back == f'{{"mode":"resumed","replayed":1,"position":"{epoch}-1"}}'
    assert [call.cursors for call in line.calls[first:] if call.asked] == [[f"{epoch}-0"]]
    # What comes next is live; were the first shown twice, it would stand between the two.
    shop.send(vhost.tool, "Shopping.ItemAdded", shop.numbered(ALICE, 2))
    expect(page.locator("#shown li")).to_have_text([f"{epoch}-1: 1", f"{epoch}-2: 2"])
    assert len(told(page, 1 + len(cuts))) == 1 + len(cuts)


def test_the_shop_page_says_that_it_was_cut_and_that_it_is_back_and_shows_what_it_missed(
    new_service, chromium
):
    port = free_port()
    # The neighbours answer pages of this port by either of this machine's names; where the demo itself listens on
    # another loopback address, the line may have both.
    demo = new_service("demo", "--pace", "0.3", BIND=f"127.0.0.2:{port}")
    with open_line(("127.0.0.2", port), port) as line:
        trio.run(demo.start)
        page = chromium.shopper().page(f"{line.url}/?customer=alice")
        light = page.locator("#light")
        expect(light).to_have_attribute("data-state", "live")
        expect(page.locator("#grid .card").first).to_be_visible()

        line.refuse()
        line.break_off("rst")
        expect(light).to_have_attribute("data-state", "waiting")
        screenshot(page, "shop-cut")
        # Meanwhile, on her telephone:
        add_a_bowl(f"{demo.url}/demo/config.json")
        wait_for(lambda: recorded(demo) == 1)
        line.accept()

        expect(light).to_have_attribute("data-state", "live", timeout=COMES_BACK)
        expect(page.locator("#badge")).to_have_text("1")
        expect(page.locator("#lines .line")).to_have_count(1)
        expect(page.locator("#log .entry", has_text="cart-updated")).to_have_count(1)
        assert any(b'"mode":"resumed","replayed":1,' in call.answered for call in line.calls)
        screenshot(page, "shop-back")


def add_a_bowl(config: str) -> None:
    """As another device of Alice's does it, at Shopping itself."""
    shopping = httpx.get(config, trust_env=False).json()["services"]["shopping"]
    with httpx.Client(base_url=shopping, trust_env=False) as device:
        cart = device.post("/api/carts", json={"customerId": ALICE, "sessionId": None}).json()
        item = {"sku": "DOG-BOWL-01", "quantity": 1, "unitPrice": 19.99}
        added = device.post(f"/api/carts/{cart['value']}/items", json=item)
        assert added.is_success, added.text


# Twenty-five tabs of one customer, as scripts: all on one connection, which only HTTP/2 allows (six, hazards H25).
WATCH_25 = """() => {
  window.tabs = Array.from({length: 25}, () => {
    const tab = {opened: [], superseded: 0, live: false, dead: false, heard: []};
    const source = new EventSource('/sse/storefront', {withCredentials: true});
    source.onopen = () => tab.opened.push(performance.now() / 1000);
    source.addEventListener('stream', () => { tab.live = true; });
    source.addEventListener('superseded', () => { tab.superseded += 1; });
    source.onmessage = (frame) => tab.heard.push(JSON.parse(frame.data).itemCount);
    source.onerror = () => { tab.live = false; tab.dead = source.readyState === EventSource.CLOSED; };
    return tab;
  });
}"""
OPENINGS = "window.tabs.reduce((sum, tab) => sum + tab.opened.length, 0)"


@pytest.fixture
def authority():
    return trustme.CA()


@pytest.fixture
def secure_service(vhost, new_service, authority, tmp_path):
    """The service over TLS, where a browser speaks HTTP/2 and the cookie has its own name."""
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    for pem in issued.cert_chain_pems:
        pem.write_to_path(tmp_path / "cert.pem", append=True)
    files = {"TLS_CERT": str(tmp_path / "cert.pem"), "TLS_KEY": str(tmp_path / "key.pem")}
    process = new_service(**shop.settings(vhost.url, **files))
    trio.run(process.start)
    wait_for(lambda: vhost.tool.state(QUEUE) is not None)
    return process


def test_25_event_sources_of_one_customer_settle_to_one_reconnect_a_minute_each(
    secure_service, authority, vhost, chromium
):
    trust = ssl.create_default_context()
    authority.configure_trust(trust)

    def at_the_server() -> tuple[float, float]:
        return (
            metric(secure_service, "storefront_streams", trust),
            metric(secure_service, 'storefront_streams_ended_total{reason="superseded"}', trust),
        )

    shopper = chromium.shopper(ignore_https_errors=True)
    page = shopper.page(f"{secure_service.url}/health/live")
    (navigation,) = page.evaluate(
        "performance.getEntriesByType('navigation').map((entry) => entry.nextHopProtocol)"
    )
    assert navigation == "h2"
    sign_in(shopper, secure_service.url, "__Host-storefront")
    page.evaluate(WATCH_25)
    page.wait_for_function("window.tabs.filter((tab) => tab.superseded === 1).length === 5")
    page.wait_for_function("window.tabs.filter((tab) => tab.live).length === 20")
    wait_for(lambda: at_the_server() == (20, 5))
    # An event while five are away: they will be shown it on their return.
    shop.send(vhost.tool, "Shopping.ItemAdded", shop.numbered(ALICE, 1))
    page.wait_for_function("window.tabs.filter((tab) => tab.heard.length).length === 20")

    # They come back 48 to 72 s after they were sent away, and whom they displace is away for as long.
    page.wait_for_function(f"{OPENINGS} >= 30", timeout=80_000)
    page.wait_for_function("window.tabs.filter((tab) => tab.superseded).length === 10")
    page.wait_for_function("window.tabs.every((tab) => tab.heard.length)")
    page.wait_for_function("window.tabs.filter((tab) => tab.live).length === 20")
    tabs = page.evaluate("window.tabs")
    assert sorted(len(tab["opened"]) for tab in tabs) == [1] * 20 + [2] * 5
    away = [later - first for tab in tabs for first, later in pairwise(tab["opened"])]
    assert all(48 - HASTE <= each <= 72 + PATIENCE for each in away), away
    assert not any(tab["dead"] for tab in tabs)
    assert [tab["heard"] for tab in tabs] == [[1]] * 25
    wait_for(lambda: at_the_server() == (20, 10))
