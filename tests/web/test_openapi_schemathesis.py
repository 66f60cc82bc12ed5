"""The whole service over real HTTP, by its own server, against its own document: what is written is what is answered."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from string import Template

import pytest
import trio

from storefront.dashboard.board import Alone
from storefront.serving import Drain, serve_http
from storefront.web.openapi.operations import OPERATIONS
from tests.service import market
from tests.service.market import ALICE, open_market

CONFIG = Path(__file__).with_name("schemathesis.toml")
# Seconds. It takes half a minute; a machine with other work to do may take longer.
PATIENCE = 300
# The tool asks without a pause, and shares the machine: neither is what this test is about.
UNHURRIED = {"query_rate": 1_000_000, "query_lag": 3600.0}


async def serve(app, sock):
    await serve_http(app, sock, drain=Drain())


@pytest.fixture
async def shop(monkeypatch):
    monkeypatch.setattr(market, "serve", serve)
    monkeypatch.setattr(market, "BUDGET", PATIENCE)
    async with open_market(views=UNHURRIED, board=Alone()) as opened:
        opened.shop.readiness.phase.value = "ready"
        yield opened


async def test_the_service_answers_what_its_document_says(shop, tmp_path):
    line = ("DOG-BOWL-01", 2)
    known = {
        "TOKEN": shop.token(),
        "CUSTOMER": ALICE,
        "ORDER": await shop.place_order(await shop.filled_cart(line)),
        "CHECKOUT": await shop.new_checkout(await shop.filled_cart(line)),
        "CART": await shop.filled_cart(line),
    }
    config = tmp_path / "schemathesis.toml"
    config.write_text(Template(CONFIG.read_text()).substitute(known))
    ran = await trio.run_process(
        [
            Path(sys.executable).with_name("schemathesis"),
            *("--config-file", config, "run", "--no-color"),
            str(shop.browser.base_url.join("/openapi.json")),
        ],
        check=False,
        capture_stdout=True,
        stderr=subprocess.STDOUT,
        # Its own folder, and nothing of this machine's that would change what it does.
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}},
    )
    said = ran.stdout.decode()
    assert ran.returncode == 0, said
    # It would also be content with nothing to do. The streams are left out, and the document is read once, first.
    assert f"Tested: {described() - 3}\n" in said, said


def described() -> int:
    return sum(len(operation.paths) for operation in OPERATIONS)
