"""Debian's Chromium, driven by Playwright: what a person would see, and what the page complained about.

Playwright's plain API runs a loop of its own on greenlets, so a browser test is a plain function, not an async one;
servers it needs are started with `trio.run(server.start)`. Each browser has a new, empty profile.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

PROGRAM = "/usr/bin/chromium"
SCREENSHOTS = Path(__file__).parents[3] / ".artefacts" / "screenshots"
PATIENCE = 10_000.0  # ms that Playwright waits for anything before it gives up

FLAGS = (
    "--no-sandbox",  # Chromium refuses to sandbox for root; it visits our own pages only
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass(slots=True)
class Shopper:
    """One person's browser: cookies and storage are shared by its pages and by nobody else's."""

    context: BrowserContext
    complaints: list[str] = field(default_factory=list)

    def page(self, url: str | None = None) -> Page:
        """A new tab, whose console errors and uncaught exceptions are kept in `complaints`."""
        page = self.context.new_page()
        page.on("console", lambda said: self._heard(page, said.type, said.text))
        page.on("pageerror", lambda error: self._heard(page, "exception", str(error)))
        if url is not None:
            page.goto(url)
        return page

    def _heard(self, page: Page, kind: str, text: str) -> None:
        if kind in {"error", "exception"}:
            self.complaints.append(f"{kind} on {page.url}: {text}")


class Chromium:
    """A running browser; `shopper()` opens as many separate persons' browsers as a test needs."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    @property
    def version(self) -> str:
        return self._browser.version

    def shopper(self, **options: Any) -> Shopper:
        """A new person; `options` are Playwright's for a context (`extra_http_headers`, `locale`, ...)."""
        context = self._browser.new_context(**options)
        context.set_default_timeout(PATIENCE)
        return Shopper(context)


@contextmanager
def open_chromium() -> Iterator[Chromium]:
    """Start Chromium, and end it with all its windows."""
    # trio-asyncio, once imported, gives out loops of its own; Playwright must have asyncio's.
    asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())
    try:
        with _browsing() as browser:
            yield browser
    finally:
        asyncio.set_event_loop_policy(None)


@contextmanager
def _browsing() -> Iterator[Chromium]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=PROGRAM, headless=True, args=list(FLAGS)
        )
        try:
            yield Chromium(browser)
        finally:
            browser.close()


def screenshot(page: Page, name: str) -> Path:
    """The whole page as .artefacts/screenshots/<name>.png, for a person to look at."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    path = SCREENSHOTS / f"{re.sub(r'[^A-Za-z0-9_-]+', '-', name)}.png"
    page.screenshot(path=path, full_page=True)
    return path
