"""A browser for a whole file, and tabs in it whose stream and whose clock belong to the test.

The pages are at an address that is nobody's: every request is answered here. Nothing in these tests waits in real
time, for the clock of a page stands until it is moved.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, Route

from tests.system.servers.chromium import Chromium, open_chromium

UI = Path(__file__).parents[2] / "storefront" / "ui"
SHOP = "https://shop.test"

# In the place of the browser's own: a stream that says what the test wants; and chance, which is what it wants.
FAKES = """
window.chance = 0.5;
Math.random = () => window.chance;
window.sources = [];
window.EventSource = class {
  static CONNECTING = 0; static OPEN = 1; static CLOSED = 2;
  constructor(url, options) {
    Object.assign(this, {url: String(url), options, readyState: 0, heard: {}});
    window.sources.push(this);
  }
  addEventListener(name, hear) { this.heard[name] = hear; }
  close() { this.readyState = 2; }
  say(name, data, id = "") {
    const frame = {type: name, data: JSON.stringify(data), lastEventId: id};
    name === "message" ? this.onmessage(frame) : this.heard[name](frame);
  }
  fail(readyState) { this.readyState = readyState; this.onerror({}); }
};
"""

# A page on the client, and a diary of what it was told.
OPEN = """async (options) => {
  const { StorefrontClient } = await import("/storefront-client.js");
  window.diary = []; window.began = Date.now();
  const note = (...words) => window.diary.push(words);
  window.client = new StorefrontClient({
    ...options,
    onEvent: (event) => note("event", event.n),
    onReset: (views, { reason }) => note("reset", reason, [...views]),
    onState: (state, { reason }) => note("state", state, reason),
    signIn: () => note("sign in"),
    ticket: options.tickets && (() => { note("ticket"); return `t${window.sources.length}`; }),
  });
  window.client.open();
}"""


class Tab:
    """A tab, its streams, and what its client told the page."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def open(self, **options: object) -> Tab:
        self.page.evaluate(OPEN, options)
        return self

    def say(self, name: str, data: object = None, id_: str = "") -> None:
        """A frame on the newest stream."""
        self.page.evaluate(
            "([name, data, id]) => sources.at(-1).say(name, data, id)", [name, data or {}, id_]
        )

    def live(self, position: str = "e-0", mode: str = "fresh", **more: object) -> None:
        """The opening as the server writes it, without beats."""
        self.say("stream", {"mode": mode, "position": position, **more})

    def bring(self, *numbers: int, epoch: str = "e") -> None:
        """Business events of these numbers."""
        for n in numbers:
            self.say("message", {"eventType": "cart-updated", "n": n}, f"{epoch}-{n}")

    def fail(self, *, dead: bool = False) -> None:
        """The newest stream ends: the browser comes back by itself, or, after an error, never."""
        self.page.evaluate("(state) => sources.at(-1).fail(state)", 2 if dead else 0)

    def run_for(self, seconds: float) -> None:
        self.page.clock.run_for(round(seconds * 1000))
        self.settle()

    def settle(self) -> None:
        """What was promised has happened."""
        self.page.evaluate(
            "() => new Promise((done) => { const c = new MessageChannel(); c.port1.onmessage = done; c.port2.postMessage(0); })"
        )

    def take(self) -> list[list]:
        """The diary since it was last taken."""
        return self.page.evaluate("() => window.diary.splice(0)")

    def ask(self, what: str) -> object:
        return self.page.evaluate(what)

    @property
    def streams(self) -> int:
        """How many were ever made."""
        return self.page.evaluate("sources.length")

    @property
    def open_streams(self) -> int:
        return self.page.evaluate("sources.filter((source) => source.readyState !== 2).length")

    @property
    def query(self) -> dict[str, str]:
        """Of the newest stream's address."""
        return dict(parse_qsl(urlsplit(self.page.evaluate("sources.at(-1).url")).query))


class Browser:
    """One person's browser, whose tabs share a clock."""

    def __init__(self, context: BrowserContext) -> None:
        self._context = context
        self.asked: list[dict[str, str]] = []
        context.route("**/*", self.answer)
        context.add_init_script(FAKES)
        context.clock.install(time=0)
        context.clock.pause_at(1)

    def tab(self, *scripts: str) -> Tab:
        page = self._context.new_page()
        for script in scripts:
            page.add_init_script(script)
        page.goto(f"{SHOP}/")
        return Tab(page)

    def leave(self) -> None:
        for page in self._context.pages:
            page.close()

    def answer(self, route: Route) -> None:
        path = urlsplit(route.request.url).path
        if path == "/storefront-client.js":
            script = (UI / path.removeprefix("/")).read_text()
            route.fulfill(body=script, content_type="text/javascript")
        elif path == "/":
            route.fulfill(body="<!doctype html><title>shop</title>", content_type="text/html")
        else:
            self.asked.append({"path": path, **route.request.all_headers()})
            route.fulfill(body=json.dumps({"path": path}), content_type="application/json")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    """One for a file of plain tests, which leave nothing in it."""
    with open_chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def opened(chromium: Chromium) -> Browser:
    return Browser(chromium.shopper().context)


@pytest.fixture
def browser(opened: Browser) -> Iterator[Browser]:
    """Without a tab, and a test leaves it so: tabs are what the stream and its name live in."""
    yield opened
    opened.leave()


@pytest.fixture
def tab(browser: Browser) -> Tab:
    return browser.tab()
