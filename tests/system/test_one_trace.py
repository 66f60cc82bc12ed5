"""One trace from an independent publisher, through RabbitMQ, the log, the stream and Chromium with our browser client,
to the service that a refetch asks; and a collector that gets all of it, as one tree.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import trio

from tests.system.servers.rabbitmq import VirtualHost
from tests.system.servers.service import ServiceProcess
from tests.system.shopfloor import (
    ALICE,
    QUEUE,
    Neighbours,
    guid,
    numbered,
    open_neighbours,
    settings,
    token,
    until_consumed,
    wolverine_properties,
)
from tests.telemetry.collector import Collector, collecting_otlp

COOKIE = "storefront"
WITHIN = 20.0  # seconds, on a busy machine
# What a page of the shop does: our client, and a refetch of the view for each event.
PAGE = """async (customer) => {
  const { StorefrontClient } = await import('/storefront-client.js');
  window.statuses = [];
  const client = new StorefrontClient({
    onEvent: async (event) => {
      const answer = await client.fetchView(`/api/carts/${customer}/view`, event);
      window.statuses.push([answer.status, event.traceparent ?? '']);
    },
    onState: (state) => { window.state = state; },
  });
  client.open();
}"""


@contextmanager
def neighbours_at_work():
    """The simulated services on real HTTP, in a thread: Playwright has the main one."""
    opened, found, closing = threading.Event(), [], []

    async def live() -> None:
        async with open_neighbours() as neighbours:
            done = trio.Event()
            found.append(neighbours)
            closing.append((trio.lowlevel.current_trio_token(), done))
            opened.set()
            await done.wait()

    thread = threading.Thread(target=trio.run, args=(live,), daemon=True)
    thread.start()
    assert opened.wait(WITHIN)
    try:
        yield found[0]
    finally:
        loop, done = closing[0]
        loop.run_sync_soon(done.set)
        thread.join(WITHIN)


@pytest.fixture
def collector():
    with collecting_otlp() as opened:
        yield opened


@pytest.fixture
def neighbours():
    with neighbours_at_work() as at_work:
        yield at_work


@dataclass(frozen=True)
class Traced:
    """Starts services that trace to the collector."""

    new_service: Callable[..., ServiceProcess]
    vhost: VirtualHost
    neighbours: Neighbours
    collector: Collector

    def __call__(self, **more: str) -> ServiceProcess:
        given = self.neighbours.settings | PATIENT | more
        process = self.new_service(**settings(self.vhost.url, COOKIE_NAME=COOKIE, **given))
        process._environment |= {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }
        trio.run(process.start)
        trio.run(until_consumed, self.vhost)
        return process


@pytest.fixture
def traced(new_service, vhost, neighbours, collector):
    return Traced(new_service, vhost, neighbours, collector)


PATIENT = {
    "ATTEMPT_TIMEOUT": "8", "ENRICHMENT_TIMEOUT": "8", "CONNECT_TIMEOUT": "8", "VIEW_DEADLINE": "8",
    "QUESTION_TIMEOUT": "8", "QUERY_LAG": "60",
}  # fmt: skip


def publish(vhost, trace_id: str, publisher: str, number: int = 1) -> None:
    """As Wolverine does, by a client that shares no line with us."""
    properties = wolverine_properties("Shopping.ItemAdded", guid())
    properties["headers"]["parent-id"] = f"00-{trace_id}-{publisher}-01"
    vhost.tool.publish(QUEUE, numbered(ALICE, number), **properties)


def until(page, what, within: float = WITHIN):
    ends = time.monotonic() + within
    while not (found := what()):
        assert time.monotonic() < ends, "it did not come true in time"
        page.wait_for_timeout(50)
    return found


@pytest.mark.parametrize("store", ["file", "redis"])
def test_a_trace_goes_from_the_publisher_to_the_service_that_chromium_refetches_from(
    request, store, vhost, traced, chromium
):
    more = {} if store == "file" else {"REDIS_URL": request.getfixturevalue("redis_server").url}
    service, collector, neighbours = traced(**more), traced.collector, traced.neighbours
    trace_id, publisher = "c0ffee00c0ffee00c0ffee00c0ffee00", "00f067aa0ba902b7"
    shopper = chromium.shopper()
    shopper.context.add_cookies([{"name": COOKIE, "value": token(ALICE), "url": service.url}])
    page = shopper.page(f"{service.url}/health/live")
    page.evaluate(PAGE, ALICE)
    until(page, lambda: page.evaluate("window.state") == "live")

    publish(vhost, trace_id, publisher)
    (told,) = until(page, lambda: page.evaluate("window.statuses"))
    assert told[0] == 200
    assert told[1][:36] == f"00-{trace_id}-"

    # What the simulated service received.
    asked = [a for a in neighbours.desks["shopping"].ledger.requests if a.method == "GET"]
    received = [each.headers["traceparent"] for each in asked]
    assert {each[3:35] for each in received} == {trace_id}

    def tree():
        found = collector.of_trace(trace_id)
        names = {span.span_id: span.name for span in found}
        have = sorted((span.name, names.get(span.parent_id, span.parent_id)) for span in found)
        return have if "GET /api/carts/<customer_id>/view" in dict(have) else None

    route, process = "GET /api/carts/<customer_id>/view", f"process {QUEUE}"
    expected = {
        (process, publisher),
        ("record", process),
        ("fan out", "record"),
        (route, "record"),
        ("view cart", route),
        ("GET shopping", "view cart"),
    }
    until(page, lambda: expected <= set(tree() or ()))
    found = [pair for pair in tree() if pair[1] != publisher]
    # Nothing hangs in the air, and nothing is there twice but what is asked twice.
    assert all(re.search("[g-z]", parent) for _, parent in found), found
    if store == "redis":
        assert ("EVALSHA", "record") in found
    assert {span.service for span in collector.spans} == {"storefront"}
    spans = {span.span_id: span for span in collector.of_trace(trace_id)}
    assert {each[36:52] for each in received} <= set(spans)
    # Nobody's id, and nothing of a body.
    assert ALICE.encode() not in bytes(collector.raw)
    line = next(line for line in service.output().splitlines() if '"/api/carts/' in line)
    assert f'"trace_id":"{trace_id}"' in line.replace('": "', '":"')
    assert trio.run(service.stop) == 0
