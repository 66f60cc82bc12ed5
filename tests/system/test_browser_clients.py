"""Our stream read by other people's clients, and our page by axe."""

from __future__ import annotations

import json
import threading
from urllib.parse import urlsplit

import httpx
import pytest
import trio
from httpx_sse import connect_sse
from playwright.sync_api import expect

from tests.system.servers.ports import LOOPBACK, free_port
from tests.system.test_browser import ALICE, PATIENT, add_a_bowl
from tests.system.test_browser_tabs import add_elsewhere
from tests.ui.npm import AXE, EVENTSOURCE, EVENTSOURCE_PARSER, FETCH_EVENT_SOURCE


@pytest.fixture
def demo(new_service):
    process = new_service("demo", "--pace", "0.1", BIND=f"{LOOPBACK}:{free_port()}", **PATIENT)
    trio.run(process.start)
    return process


IMPORTS = {
    "eventsource": "/npm/eventsource/dist/index.js",
    "eventsource-parser": "/npm/eventsource-parser/dist/index.js",
    "@microsoft/fetch-event-source": "/npm/@microsoft/fetch-event-source/lib/esm/index.js",
}
PAGE = f'<!doctype html><script type="importmap">{json.dumps({"imports": IMPORTS})}</script>'

# Each keeps the business events as [id, data]; fetch-event-source also hands over a block of only an id.
READ = """async () => {
  const { EventSource: Npm } = await import("eventsource");
  const { fetchEventSource } = await import("@microsoft/fetch-event-source");
  window.heard = { native: [], eventsource: [], "fetch-event-source": [] };
  const opened = [];
  const read = (Source, into) => {
    const source = new Source("/sse/storefront", { withCredentials: true });
    opened.push(new Promise((open) => source.addEventListener("stream", open)));
    source.onmessage = ({ lastEventId, data }) => into.push([lastEventId, data]);
  };
  read(window.EventSource, heard.native);
  read(class extends Npm { constructor(path, init) { super(new URL(path, location.href), init); } }, heard.eventsource);
  opened.push(new Promise((open) => {
    fetchEventSource("/sse/storefront", {
      credentials: "include", openWhenHidden: true,
      onmessage({ id, event, data }) {
        if (event === "stream") open();
        if (!event && data) heard["fetch-event-source"].push([id, data]);
      },
    });
  }));
  await Promise.all(opened);
}"""


def serve_packages(page) -> None:
    packages = (EVENTSOURCE, EVENTSOURCE_PARSER, FETCH_EVENT_SOURCE)
    files = {
        f"/npm/{package.name}/{path}": text
        for package in packages
        for path, text in package.files().items()
    }

    def answer(route) -> None:
        path = urlsplit(route.request.url).path
        # Written for a bundler, one of them leaves out the suffix.
        script = files.get(path) or files[f"{path}.js"]
        route.fulfill(body=script, content_type="text/javascript")

    page.route("**/npm/**", answer)
    page.route("**/blank", lambda route: route.fulfill(body=PAGE, content_type="text/html"))


class HttpxSse(threading.Thread):
    """PyPI's httpx-sse, in a thread of its own, until it has read so many events."""

    def __init__(self, url: str, cookies: httpx.Cookies, amount: int) -> None:
        super().__init__(daemon=True)
        self.opened = threading.Event()
        self.heard: list[list[str]] = []
        self._url, self._cookies, self._amount = url, cookies, amount

    def run(self) -> None:
        client = httpx.Client(cookies=self._cookies, trust_env=False, timeout=60)
        with client, connect_sse(client, "GET", f"{self._url}/sse/storefront") as source:
            for event in source.iter_sse():
                if event.event == "stream":
                    self.opened.set()
                if event.event == "message" and event.data:
                    self.heard.append([event.id, event.data])
                if len(self.heard) == self._amount:
                    return


def test_four_clients_of_other_people_read_the_same_events(demo, chromium):
    signed_in = httpx.post(
        f"{demo.url}/demo/login", json={"customerId": ALICE}, trust_env=False
    ).cookies
    shopper = chromium.shopper()
    ((name, value),) = signed_in.items()
    shopper.context.add_cookies([{"name": name, "value": value, "url": demo.url}])
    page = shopper.page()
    serve_packages(page)
    page.goto(f"{demo.url}/blank")
    python = HttpxSse(demo.url, signed_in, amount=3)
    python.start()
    page.evaluate(READ)
    assert python.opened.wait(10)

    for _ in range(3):
        add_elsewhere(demo)
    page.wait_for_function("Object.values(heard).every((events) => events.length === 3)")
    python.join(10)
    heard = page.evaluate("heard")
    assert [data for _, data in heard["native"] if '"itemCount":1' in data] != []
    assert [id_.rpartition("-")[2] for id_, _ in heard["native"]] == ["1", "2", "3"]
    assert heard == dict.fromkeys(heard, python.heard)


RUN_AXE = """async () => (await axe.run(document)).violations
  .map(({impact, id, nodes}) => `${impact} ${id}: ${nodes.map((node) => node.target).join(", ")}`)"""


def test_axe_finds_nothing_serious_on_the_page_in_either_scheme_or_size(demo, chromium):
    # The page's own policy lets nobody evaluate text, axe among them.
    page = chromium.shopper(bypass_csp=True, reduced_motion="reduce").page(f"{demo.url}/")
    expect(page.locator("#light")).to_have_attribute("data-state", "live")
    add_a_bowl(page)
    page.get_by_role("button", name="Place the order").click()
    expect(page.locator(".order-words")).to_have_text("Delivered", timeout=20_000)
    add_a_bowl(page)
    expect(page.locator("#lines .line")).to_have_count(1)
    page.locator("#troubles summary").click()
    page.get_by_role("switch", name="Have Fulfillment fail").click()
    page.evaluate(AXE.files()["axe.min.js"])
    for scheme in ("light", "dark"):
        for width in (1280, 360):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 800})
            found = page.evaluate(RUN_AXE)
            assert [each for each in found if not each.startswith(("minor", "moderate"))] == []
